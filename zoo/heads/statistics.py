"""Whitened read-outs: a head says how unusual a hand is, and statistics make it a hand."""

from __future__ import annotations

from os import PathLike

import numpy as np
import torch
from torch import Tensor, nn

NUM_NUMBERS = 61  # 16 rotation vectors, 10 betas, 3 coordinates of the wrist
_JITTER = 1e-6  # CS-ViT2 adds it to the diagonal before it takes the root
_M_PER_MM = 1e-3


class OutputStatistics(nn.Module):
    """Numbers of mean 0 and covariance 1 turned into those of a data set: y = L x + mean.

    L is the Cholesky factor of the covariance (CS-ViT2, `denorm_output`).

    file: npz with `mean` (61,) and `cov` (61, 61) of rotation vectors in rad (16 x 3, the fingers
        relative to the mean pose), betas (10) and the wrist in mm (3), as CS-ViT2 recorded them.

    Raises ValueError for a file that holds something else.
    """

    def __init__(self, file: str | PathLike[str]) -> None:
        super().__init__()
        mean, covariance = _read(file)
        covariance = covariance + _JITTER * torch.eye(NUM_NUMBERS, dtype=covariance.dtype)
        self.register_buffer("scale_tril", torch.linalg.cholesky(covariance).mT.float())
        self.register_buffer("output_mean", mean.float())

    def forward(self, numbers: Tensor) -> Tensor:
        """The numbers of a hand.

        numbers: (B, 61) whitened.
        returns: (B, 61) rad, betas, then the wrist in m.
        """
        hand = numbers @ self.scale_tril + self.output_mean
        return torch.cat((hand[:, :-3], hand[:, -3:] * _M_PER_MM), dim=-1)


def statistics_of(
    file: str | PathLike[str] | None, representation: str, residual: bool
) -> OutputStatistics | None:
    """The statistics of a file; ValueError where a head's read-outs are not what they describe."""
    if file is None:
        return None
    if representation != "rotvec" or residual:
        raise ValueError(
            f"ManoDecoder's statistics describe rotation vectors without residual and it has "
            f"representation={representation!r}, residual={residual}; set representation='rotvec' "
            "and residual=False, or leave statistics out."
        )
    return OutputStatistics(file)


def _read(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        found = {key: file[key].shape for key in file.files}
        if found.get("mean") != (NUM_NUMBERS,) or found.get("cov") != (NUM_NUMBERS, NUM_NUMBERS):
            raise ValueError(
                f"{path} holds no statistics of a hand: it needs mean ({NUM_NUMBERS},) and cov "
                f"({NUM_NUMBERS}, {NUM_NUMBERS}) of rotation vectors, betas and the wrist in mm, "
                f"and has {found or 'nothing'}."
            )
        return tuple(torch.from_numpy(file[key].astype(np.float64)) for key in ("mean", "cov"))
