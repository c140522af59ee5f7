"""P1: csvit2_old, and the backbone learns as fast as the rest, at HaMeR's rate."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

optim_wrapper.optimizer.update(lr=1e-5)
optim_wrapper.paramwise_cfg.custom_keys.backbone.update(lr_mult=1.0)
