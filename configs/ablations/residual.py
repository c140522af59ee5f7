"""P0: csvit2_old, and the read-outs correct the query's numbers instead of replacing them."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

model.head.update(residual=True)
