"""UTNet's head: a coarse hand, and a correction that travels over the mesh of the hand."""

from __future__ import annotations

from os import PathLike
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from zoo.contracts import NUM_BETAS, NUM_ROTATIONS, CameraReadout, CropView, HandQuery, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.heads.coarse_hand import CoarseHand, placed, starts_from
from zoo.heads.mesh_graph import MeshGraph
from zoo.heads.released_rotations import rotvec_as_released
from zoo.heads.vertex_sampling import cells_as_utnet_released, cells_of_picture, sample

_CHOICES = ("as_released", "corrected")
_SCALES = 3


class MeshedHand(Protocol):
    """What this head asks of a hand model."""

    faces: Tensor  # (F, 3)

    def mean_pose_rotmats(self) -> Tensor: ...  # (K, 3, 3) absolute
    def __call__(self, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]: ...


class GraphRefiner(nn.Module):
    """A coarse hand, corrected by a graph network over its mesh (UTNet).

    The coarse hand is read out of the backbone's hand tokens, its vertices are projected on three
    maps upsampled from the patch tokens, and graph convolutions over the hand's edges turn what
    they see into a correction of pose and shape. Every mistake of the release is one argument.

    channels: of each map. hidden_dim, query_dim: widths of the graph's layers.
    sampling: "as_released" takes millimetres times camera scale for cells: at the initial camera
        nearly every vertex is off the maps and reads zeros.
    rotations: "as_released" takes the final rotations through rotation vectors by a formula that is
        wrong near pi and has no gradient below 1e-3 rad.
    mean_root: "as_released" starts from the wrist as the public mean file is misread.
    self_loops: vertices also hear themselves.
    representation: how rotations are written; rotation vectors are added up, otherwise the
        correction is a rotation of its own.
    readout_gain, correction_gain: Xavier gain of the coarse read-outs, and of the last layers that
        read the correction; None keeps PyTorch's initialisation.
    """

    tiny: ClassVar[dict[str, Any]] = {"channels": 48, "hidden_dim": 64, "query_dim": 128}

    def __init__(
        self,
        *,
        token_dim: int,
        token_grid: tuple[int, int],
        num_prefix_tokens: int,
        image_size: tuple[int, int],
        camera: CameraReadout,
        hand: MeshedHand,
        channels: int = 640,
        hidden_dim: int = 512,
        query_dim: int = 256,
        sampling: Literal["as_released", "corrected"] = "corrected",
        rotations: Literal["as_released", "corrected"] = "corrected",
        mean_root: Literal["as_released", "corrected"] = "corrected",
        self_loops: bool = False,
        representation: Literal["rotvec", "rot6d_columns"] = "rotvec",
        mean_params: str | PathLike[str] | None = None,
        readout_gain: float | None = 0.01,
        correction_gain: float | None = None,
    ) -> None:
        super().__init__()
        _check(sampling=sampling, rotations=rotations, mean_root=mean_root)
        self.sampling, self.rotations = sampling, rotations
        self.query_dim, self.hand, self.camera = query_dim, hand, camera
        self.token_grid, self.image_size = tuple(token_grid), tuple(image_size)
        self.representation = REPRESENTATIONS[representation]
        self.pose_name, self.adds = f"pose_{representation}", representation == "rotvec"
        own = {self.pose_name} if self.adds else set()
        self.provides = camera.provides | own | {f"coarse_{self.pose_name}", "coarse_betas"}
        start = {"representation": representation, "mean_root": mean_root, "hand": hand}
        start |= {"mean_params": mean_params, "readout_gain": readout_gain}
        start |= {"token_dim": token_dim, "num_prefix_tokens": num_prefix_tokens}
        start |= {"initial_camera": starts_from(camera)}
        self.coarse = CoarseHand(token_grid=self.token_grid, **start)
        self.upsampler = Upsampler(token_dim=token_dim, channels=channels)
        self._register_graph(_SCALES * channels, hidden_dim, self_loops)
        self._start_near_nothing(correction_gain)

    def _start_near_nothing(self, gain: float | None) -> None:
        for readout in (self.pose_head, self.shape_head) if gain is not None else ():
            nn.init.xavier_uniform_(readout[-1].weight, gain=gain)
            nn.init.zeros_(readout[-1].bias)

    def _register_graph(self, seen: int, hidden_dim: int, self_loops: bool) -> None:
        dim = self.query_dim
        widths = (seen, hidden_dim, dim, dim)
        self.gcn = MeshGraph(faces=self.hand.faces, widths=widths, self_loops=self_loops)
        self.pose_head = _readout(dim, 3 * NUM_ROTATIONS)
        self.shape_head = _readout(dim, NUM_BETAS)

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        """What the mesh saw, and the coarse hand it was projected as; call it in fp32.

        tokens: (B, N, token_dim).
        returns: token (B, query_dim); one estimate (B, P) of rotations, betas and s, tx, ty.
        """
        numbers, features = self.coarse(tokens)
        pose, betas, camera = numbers.split(self.coarse.widths, dim=-1)
        vertices, _ = self.hand(self._written(pose), betas)
        maps = self.upsampler(features)
        seen = [sample(level, self.cells(vertices, camera, level)) for level in maps]
        token = self.gcn(torch.cat(seen, dim=1).mT).mean(1)
        return HandQuery(token=token, estimates=(numbers,))

    def read(self, query: HandQuery, view: CropView) -> Prediction:
        """The coarse hand with its correction; call it in fp32.

        query.token: (B, query_dim), as `query` gave it or as a temporal part refined it.
        """
        coarse, coarse_betas, weak = query.estimates[-1].split(self.coarse.widths, dim=-1)
        turn = self.pose_head(query.token)
        betas = coarse_betas + self.shape_head(query.token)
        rotmats, aux = self._corrected(coarse, turn)
        reading = placed(
            self.camera,
            query.token,
            weak,
            view,
            joints=lambda: self.hand(rotmats.detach(), betas.detach())[1],
        )
        aux |= {
            **reading.aux,
            f"coarse_{self.pose_name}": coarse.unflatten(-1, (NUM_ROTATIONS, -1)),
            "coarse_betas": coarse_betas,
        }
        return Prediction(rotmats=rotmats, betas=betas, camera=reading.pose, aux=aux)

    def cells(self, vertices: Tensor, camera: Tensor, level: Tensor) -> Tensor:
        """Where on a map the vertices are read: (B, V, 2) cells.

        vertices: (B, V, 3) m, MANO's own frame. camera: (B, 3) s, tx, ty. level: (B, C, h, w).
        """
        size = tuple(level.shape[-2:])
        if self.sampling == "as_released":
            return cells_as_utnet_released(vertices, camera, map_size=size)
        crop, grid = self.image_size, self.token_grid
        return cells_of_picture(vertices, camera, map_size=size, crop_size=crop, token_grid=grid)

    def _corrected(self, coarse: Tensor, turn: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.adds:
            numbers = (coarse + turn).unflatten(-1, (NUM_ROTATIONS, 3))
            rotmats, aux = rotvec_to_rotmat(numbers), {self.pose_name: numbers}
        else:
            turned = rotvec_to_rotmat(turn.unflatten(-1, (NUM_ROTATIONS, 3)))
            rotmats, aux = turned @ self._written(coarse), {}
        if self.rotations == "as_released":
            rotmats = rotvec_to_rotmat(rotvec_as_released(rotmats))
        return rotmats, aux

    def _written(self, pose: Tensor) -> Tensor:
        return self.representation.to_rotmat(pose.unflatten(-1, (NUM_ROTATIONS, -1)))


class Upsampler(nn.Module):
    """A token map at its own, twice and four times its resolution, all of one width."""

    def __init__(self, *, token_dim: int, channels: int) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(nn.Conv2d(token_dim, channels, 1))
        self.deconv_layers = nn.ModuleList(_doubled(channels) for _ in range(_SCALES - 1))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """features: (B, token_dim, h, w); returns maps of h x w, 2h x 2w and 4h x 4w."""
        maps = [self.first_conv(features)]
        for layer in self.deconv_layers:
            maps.append(layer(maps[-1]))
        return tuple(maps)


def _doubled(channels: int) -> nn.Sequential:
    grown = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(grown, nn.BatchNorm2d(channels), nn.ReLU())


def _readout(dim: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, width))


def _check(**choices: str) -> None:
    for name, found in choices.items():
        if found not in _CHOICES:
            known = " or ".join(map(repr, _CHOICES))
            raise ValueError(f"GraphRefiner's {name} is {found!r}; it can be {known}.")
