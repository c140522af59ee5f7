"""WiLoR's head: a coarse hand, and a correction read where its vertices lie on the picture."""

from __future__ import annotations

from os import PathLike
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from zoo.contracts import NUM_BETAS, NUM_ROTATIONS, CameraReadout, CropView, HandQuery, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.heads.coarse_hand import CoarseHand, placed, starts_from
from zoo.heads.vertex_sampling import cells_as_wilor_released, cells_of_picture, sample

_SHARES = 7  # the levels have 4, 2 and 1 sevenths of all channels
_RELEASED, _FIXED = "as_released", "fixed"


class PosedHand(Protocol):
    """What this head asks of a hand model."""

    def mean_pose_rotmats(self) -> Tensor: ...  # (K, 3, 3) absolute
    def __call__(self, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]: ...


class VertexRefiner(nn.Module):
    """A coarse hand and its correction by features at its vertices (WiLoR, CVPR 2025).

    The coarse hand is read out of the backbone's hand tokens. Its 778 vertices are projected on
    three maps upsampled from the patch tokens; the largest value of every channel over the vertices
    corrects rotations, shape and camera.

    query_dim: channels of the three maps together, a multiple of 7: 4/7 at the tokens' own
        resolution, 2/7 at twice, 1/7 at four times (WiLoR: 640, 320, 160).
    sampling: "fixed" reads the maps where the picture shows the vertices; "as_released" reads them
        all within half a cell of the top left corner, with which the published weights were
        trained.
    mean_params: npz with `pose` and `shape` of the average hand; None takes the hand's mean pose.
    readout_gain: Xavier gain of all read-outs. A small one starts at the mean hand; with PyTorch's
        own initialisation (None) the coarse camera starts up to half a metre aside, and the fixed
        sampling reads nothing but zeros there.

    The camera is any read-out; one of weak perspective starts from the coarse hand's.
    """

    tiny: ClassVar[dict[str, Any]] = {"query_dim": 224}

    def __init__(
        self,
        *,
        token_dim: int,
        token_grid: tuple[int, int],
        num_prefix_tokens: int,
        image_size: tuple[int, int],
        camera: CameraReadout,
        hand: PosedHand,
        query_dim: int = 1120,
        sampling: Literal["as_released", "fixed"] = "fixed",
        representation: Literal["rot6d_columns", "rot6d_rows", "rotvec", "quat"] = "rot6d_columns",
        mean_params: str | PathLike[str] | None = None,
        readout_gain: float | None = None,
    ) -> None:
        super().__init__()
        _check(sampling, representation, query_dim)
        self.query_dim, self.sampling, self.hand, self.camera = query_dim, sampling, hand, camera
        self.token_grid, self.image_size = tuple(token_grid), tuple(image_size)
        self.representation = REPRESENTATIONS[representation]
        self.pose_name = f"pose_{representation}"
        own = {self.pose_name, f"coarse_{self.pose_name}", "coarse_betas"}
        self.provides = camera.provides | own
        self.coarse = CoarseHand(
            token_dim=token_dim,
            num_prefix_tokens=num_prefix_tokens,
            token_grid=token_grid,
            representation=representation,
            hand=hand,
            mean_params=mean_params,
            initial_camera=starts_from(camera),
            readout_gain=readout_gain,
        )
        self.deconv = Pyramid(token_dim=token_dim, channels=query_dim)
        self.dec_pose = nn.Linear(query_dim, NUM_ROTATIONS * self.representation.width)
        self.dec_shape = nn.Linear(query_dim, NUM_BETAS)
        for readout in (self.dec_pose, self.dec_shape) if readout_gain is not None else ():
            nn.init.xavier_uniform_(readout.weight, gain=readout_gain)

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        """What the maps show at the coarse hand's vertices, and that hand; call it in fp32.

        tokens: (B, N, token_dim).
        returns: token (B, query_dim), finest map first; one estimate (B, P) of rotations, betas and
            s, tx, ty.
        """
        numbers, features = self.coarse(tokens)
        pose, betas, camera = numbers.split(self.coarse.widths, dim=-1)
        vertices, _ = self.hand(self._rotmats(pose), betas)
        maps = self.deconv(features)
        seen = [sample(level, self.cells(vertices, camera, level)).amax(-1) for level in maps]
        return HandQuery(token=torch.cat(seen, dim=-1), estimates=(numbers,))

    def read(self, query: HandQuery, view: CropView) -> Prediction:
        """The coarse hand with its correction; call it in fp32.

        query.token: (B, query_dim), as `query` gave it or as a temporal part refined it.
        """
        coarse_pose, coarse_betas, weak = query.estimates[-1].split(self.coarse.widths, dim=-1)
        pose = coarse_pose + self.dec_pose(query.token)
        betas = coarse_betas + self.dec_shape(query.token)
        rotmats = self._rotmats(pose)
        reading = placed(
            self.camera,
            query.token,
            weak,
            view,
            joints=lambda: self.hand(rotmats.detach(), betas.detach())[1],
        )
        aux = {
            **reading.aux,
            self.pose_name: pose.unflatten(-1, (NUM_ROTATIONS, -1)),
            f"coarse_{self.pose_name}": coarse_pose.unflatten(-1, (NUM_ROTATIONS, -1)),
            "coarse_betas": coarse_betas,
        }
        return Prediction(rotmats=rotmats, betas=betas, camera=reading.pose, aux=aux)

    def cells(self, vertices: Tensor, camera: Tensor, level: Tensor) -> Tensor:
        """Where on a map the vertices are read: (B, V, 2) cells.

        vertices: (B, V, 3) m, MANO's own frame. camera: (B, 3) s, tx, ty. level: (B, C, h, w).
        """
        size = tuple(level.shape[-2:])
        if self.sampling == _RELEASED:
            return cells_as_wilor_released(vertices, camera, map_size=size)
        grid, crop = self.token_grid, self.image_size
        return cells_of_picture(vertices, camera, map_size=size, crop_size=crop, token_grid=grid)

    def _rotmats(self, pose: Tensor) -> Tensor:
        return self.representation.to_rotmat(pose.unflatten(-1, (NUM_ROTATIONS, -1)))


class Pyramid(nn.Module):
    """A token map at its own, twice and four times its resolution, under WiLoR's names."""

    def __init__(self, *, token_dim: int, channels: int) -> None:
        super().__init__()
        share = channels // _SHARES
        coarse, middle, fine = 4 * share, 2 * share, share
        self.first_conv = nn.Sequential(nn.Conv2d(token_dim, coarse, 1))
        self.deconv = nn.ModuleList(
            (
                nn.Sequential(*_doubled(coarse, middle)),
                nn.Sequential(*_doubled(coarse, middle), *_doubled(middle, fine)),
            )
        )

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """features: (B, token_dim, h, w); returns maps of 4h x 4w, 2h x 2w and h x w."""
        coarse = self.first_conv(features)
        middle, fine = (level(coarse) for level in self.deconv)
        return fine, middle, coarse


def _doubled(channels: int, then: int) -> tuple[nn.Module, ...]:
    """A map of twice the resolution."""
    grown = nn.ConvTranspose2d(channels, then, 4, stride=2, padding=1, bias=False)
    return grown, nn.BatchNorm2d(then), nn.ReLU()


def _check(sampling: str, representation: str, query_dim: int) -> None:
    choices = {
        "sampling": (sampling, (_RELEASED, _FIXED)),
        "representation": (representation, tuple(REPRESENTATIONS)),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f"VertexRefiner's {name} is {value!r}; it can be {', '.join(map(repr, known))}."
            )
    if query_dim < _SHARES or query_dim % _SHARES:
        raise ValueError(
            f"VertexRefiner's query_dim is {query_dim}; its three maps have 4, 2 and 1 sevenths of "
            "it, so that it has to be a multiple of 7 (WiLoR: 1120)."
        )
