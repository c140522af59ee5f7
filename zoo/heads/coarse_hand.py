"""The first guess of heads that refine one: a hand read out of tokens that carry its numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from os import PathLike

import torch
from einops import rearrange
from torch import Tensor, nn

from zoo.contracts import NUM_BETAS, NUM_ROTATIONS, CameraReading, CameraReadout, CropView
from zoo.geometry.representation import REPRESENTATIONS
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera
from zoo.layers.decoder import TransformerDecoder
from zoo.mano.mean_hand import HasMeanPose, mean_hand
from zoo.mano.topology import hand_scale

NUM_HAND_TOKENS = NUM_ROTATIONS + 2
_HEAD_DIM = 64
_INITIAL_CAMERA = (4.0, 0.0, 0.0)  # s, tx, ty of an average hand that fills the crop


class CoarseHand(nn.Module):
    """Rotations, shape and camera, each a linear read-out of its token, added to the mean hand.

    One read-out serves all sixteen rotations. A backbone without hand tokens of its own gets them
    from one decoder layer, whose queries look at its patches.

    num_prefix_tokens: 18 where the backbone carries hand tokens, in the order rotations, shape,
        camera.
    token_grid: rows and columns in which the patch tokens are laid out.
    initial_camera: (3,) s, tx, ty of an average hand in the crop.
    mean_root: see `zoo.mano.mean_hand`.
    readout_gain: Xavier gain of the read-outs; None keeps PyTorch's initialisation.
    """

    def __init__(
        self,
        *,
        token_dim: int,
        num_prefix_tokens: int,
        token_grid: tuple[int, int],
        representation: str,
        hand: HasMeanPose | None,
        mean_params: str | PathLike[str] | None,
        initial_camera: Sequence[float],
        readout_gain: float | None = None,
        mean_root: str = "corrected",
    ) -> None:
        super().__init__()
        width = REPRESENTATIONS[representation].width
        self.num_prefix_tokens, self.token_grid = num_prefix_tokens, tuple(token_grid)
        self.num_tokens = num_prefix_tokens + math.prod(token_grid)
        self.widths = (NUM_ROTATIONS * width, NUM_BETAS, 3)
        self.decpose = nn.Linear(token_dim, width)
        self.decshape, self.deccam = nn.Linear(token_dim, NUM_BETAS), nn.Linear(token_dim, 3)
        if readout_gain is not None:
            for readout in (self.decpose, self.decshape, self.deccam):
                nn.init.xavier_uniform_(readout.weight, gain=readout_gain)
        self.looks = None if num_prefix_tokens == NUM_HAND_TOKENS else _tokens_maker(token_dim)
        pose, betas = mean_hand(hand, mean_params, representation, root=mean_root)
        self.register_buffer("init_hand_pose", pose.reshape(1, -1))
        self.register_buffer("init_betas", betas[None])
        self.register_buffer("init_cam", torch.as_tensor(initial_camera).float()[None].clone())

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The hand's numbers and what is left to look at.

        tokens: (B, N, token_dim); of several layers one after the other, the last is the map.
        returns: numbers (B, 16 * width + 10 + 3) rotations, betas, s, tx, ty; features
            (B, token_dim, rows, columns).
        """
        last = tokens[:, -self.num_tokens :]
        patches = last[:, self.num_prefix_tokens :]
        hand = last[:, : self.num_prefix_tokens]
        if self.looks is not None:
            queries = tokens.new_zeros(tokens.shape[0], NUM_HAND_TOKENS, tokens.shape[-1])
            hand = self.looks.attend(queries, self.looks.prepare(tokens))
        pose = self.init_hand_pose + self.decpose(hand[:, :NUM_ROTATIONS]).flatten(1)
        betas = self.init_betas + self.decshape(hand[:, -2])
        camera = self.init_cam + self.deccam(hand[:, -1])
        rows, columns = self.token_grid
        features = rearrange(patches, "b (row col) d -> b d row col", row=rows, col=columns)
        return torch.cat((pose, betas, camera), dim=-1), features


def starts_from(camera: CameraReadout) -> Sequence[float] | Tensor:
    """(3,) s, tx, ty a coarse hand starts from: a weak perspective camera's own, or an average."""
    return camera.initial if isinstance(camera, WeakPerspectiveCamera) else _INITIAL_CAMERA


def placed(
    camera: CameraReadout,
    token: Tensor,
    weak: Tensor,
    view: CropView,
    joints: Callable[[], Tensor],
) -> CameraReading:
    """Where a camera puts a corrected hand; one of weak perspective starts from the coarse hand's.

    token: (B, D). weak: (B, 3) s, tx, ty of the coarse hand.
    joints: (B, 21, 3) m of the corrected hand, asked for where the camera counts in hand lengths.
    """
    refines = isinstance(camera, WeakPerspectiveCamera)
    start = weak if refines else camera.initial.expand(weak.shape[0], -1)
    reading = camera(token, start, view)
    if not getattr(camera, "norm_by_hand", False):
        return reading
    position = reading.pose.position * hand_scale(joints())[:, None]
    return dataclasses.replace(reading, pose=dataclasses.replace(reading.pose, position=position))


def _tokens_maker(token_dim: int) -> TransformerDecoder:
    return TransformerDecoder(
        token_dim=token_dim,
        num_tokens=NUM_HAND_TOKENS,
        context_dim=token_dim,
        dim=token_dim,
        depth=1,
        num_heads=max(1, token_dim // _HEAD_DIM),
        head_dim=min(_HEAD_DIM, token_dim),
        mlp_dim=token_dim,
        embed_tokens=False,
    )
