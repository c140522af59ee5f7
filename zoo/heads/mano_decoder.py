"""The head of HaMeR and of CS-ViT2: one query looks at the tokens and becomes MANO parameters."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from zoo.contracts import (
    NUM_BETAS,
    NUM_ROTATIONS,
    CameraReadout,
    CropView,
    HandQuery,
    Prediction,
)
from zoo.geometry.representation import REPRESENTATIONS
from zoo.heads.statistics import statistics_of
from zoo.layers.decoder import KeysValues, TransformerDecoder
from zoo.mano.topology import hand_scale
from zoo.mano.unpickler import BlockedPickle, read_npz


class HasMeanPose(Protocol):
    """What this head asks of a hand model; the posed joints only for distances in hand lengths."""

    def mean_pose_rotmats(self) -> Tensor: ...  # (K, 3, 3) absolute
    def __call__(self, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class SteppedQuery(HandQuery):
    """A query that also carries what the steps before it said."""

    earlier: tuple[Prediction, ...] = ()  # oldest first


class ManoDecoder(nn.Module):
    """MANO parameters from one decoded query, refined `steps` times (HaMeR, CVPR 2024).

    The query token is the running estimate (rotations, betas, camera values), so every step looks
    at the picture knowing what the last one said; each answer is added to it when `residual`, and
    replaces it otherwise. `steps=1, residual=True` is HaMeR, `steps=1, residual=False` CS-ViT2,
    `steps=3, residual=True` iterative error feedback.

    Under a camera with `norm_by_hand` the wrist's place is read in hand lengths and multiplied with
    the length of the hand this head predicts, never a label's; no gradient passes through that
    length, so that a hand too far away is no reason to grow it.

    hand: gives the mean pose; needed for `init="mean"` without `mean_params`, for
        `relative_to_mean` and under a camera with `norm_by_hand`, which alone keeps it.
    init: where the estimate starts: the "mean" hand, "zero", or fixed "random" numbers drawn with
        `seed` (CS-ViT2).
    representation: a name of `zoo.geometry.representation`; how rotations are written meanwhile.
    query: "estimate", or "zero" for HaMeR's published weights, whose query is constant; several
        steps then only repeat one correction, as they do there, which a warning says.
    mean_params: npz with `pose` (96,) rot6d in columns and `shape` (10,) to start from instead of
        the hand's own mean pose and zero betas; a camera in it is left to the camera read-out.
    relative_to_mean: rotation vectors are offsets to the hand's mean pose, as CS-ViT2 writes them.
    readout_gain: Xavier gain of the pose and shape read-outs (HaMeR's option is 0.01); None keeps
        PyTorch's own initialisation, whose noise every residual step adds to the mean hand.
    statistics: npz of a data set's mean and covariance; the read-outs and the camera's values are
        then numbers of mean 0 and covariance 1, see `zoo.heads.statistics` (CS-ViT2's first
        version, `denorm_output`). For rotation vectors without residual.
    embed_query: False takes the estimate itself for the query, which then has to be `dim` wide.
    """

    bf16_safe: ClassVar[bool] = True  # decodes under autocast, reads out in fp32
    tiny: ClassVar[dict[str, Any]] = {
        "dim": 128,
        "depth": 2,
        "num_heads": 4,
        "head_dim": 32,
        "mlp_dim": 256,
    }

    def __init__(
        self,
        *,
        token_dim: int,
        camera: CameraReadout,
        hand: HasMeanPose | None = None,
        dim: int = 1024,
        depth: int = 6,
        num_heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 1024,
        dropout: float = 0.0,
        steps: int = 1,
        residual: bool = True,
        init: Literal["mean", "random", "zero"] = "mean",
        representation: Literal["rot6d_columns", "rot6d_rows", "rotvec", "quat"] = "rot6d_columns",
        query: Literal["estimate", "zero"] = "estimate",
        mean_params: str | PathLike[str] | None = None,
        relative_to_mean: bool = False,
        readout_gain: float | None = None,
        statistics: str | PathLike[str] | None = None,
        embed_query: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(steps, init, representation, query, relative_to_mean)
        self.statistics = statistics_of(statistics, representation, residual)
        self.hand = _ruler(camera, hand)
        self.steps, self.residual, self.constant_query = steps, residual, query == "zero"
        self.representation = REPRESENTATIONS[representation]
        self.query_dim, self.camera, self.pose_name = dim, camera, f"pose_{representation}"
        self.provides = camera.provides | {self.pose_name}
        self.widths = (NUM_ROTATIONS * self.representation.width, NUM_BETAS, camera.num_values)
        sizes = {"dim": dim, "depth": depth, "num_heads": num_heads, "head_dim": head_dim}
        sizes |= {"mlp_dim": mlp_dim, "context_dim": token_dim, "dropout": dropout}
        sizes |= {"token_dim": 1 if self.constant_query else sum(self.widths), "num_tokens": 1}
        self.transformer = TransformerDecoder(exact_tokens=True, embed_tokens=embed_query, **sizes)
        self.decpose, self.decshape = (_readout(dim, n, readout_gain) for n in self.widths[:2])
        self._register_start(init, hand, mean_params, relative_to_mean, seed)

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        """What the last step decoded, and the estimates it knew.

        tokens: (B, N, token_dim).
        returns: token (B, dim) fp32; `steps` estimates (B, P) of rotations, betas and camera
            values, the start first.
        """
        start = torch.cat((self.init_hand_pose, self.init_betas, self.init_cam), dim=-1)
        estimates, earlier = [start.expand(tokens.shape[0], -1)], []
        context = self.transformer.prepare(tokens)
        for _ in range(self.steps - 1):
            token = self._decode(estimates[-1], context)
            estimate, prediction = self._answer(token, estimates[-1], view)
            estimates.append(estimate)
            earlier.append(prediction)
        token = self._decode(estimates[-1], context)
        return SteppedQuery(token=token, estimates=tuple(estimates), earlier=tuple(earlier))

    def read(self, query: HandQuery, view: CropView) -> Prediction:
        """The hand that a decoded token stands for, on top of the last estimate; fp32.

        query.token: (B, dim), as decoded or as a temporal part refined it.
        """
        _, prediction = self._answer(query.token, query.estimates[-1], view)
        earlier = query.earlier if isinstance(query, SteppedQuery) else ()
        return Prediction(
            rotmats=prediction.rotmats,
            betas=prediction.betas,
            camera=prediction.camera,
            aux=prediction.aux,
            earlier=earlier,
        )

    def set_dropout(self, p: float) -> None:
        """The decoder's dropout probability from now on."""
        self.transformer.set_dropout(p)

    def _decode(self, estimate: Tensor, context: list[KeysValues]) -> Tensor:
        query = estimate.new_zeros(estimate.shape[0], 1) if self.constant_query else estimate
        return self.transformer.attend(query[:, None], context)[:, 0].float()

    def _answer(self, token: Tensor, estimate: Tensor, view: CropView) -> tuple[Tensor, Prediction]:
        with torch.autocast(token.device.type, enabled=False):
            token = token.float()
            pose, betas, camera = estimate.float().split(self.widths, dim=-1)
            if self.residual:
                pose, betas = pose + self.decpose(token), betas + self.decshape(token)
            else:
                pose, betas, camera = self.decpose(token), self.decshape(token), None
            reading = self.camera(token, camera, view)
            place = reading.pose
            if self.statistics is not None:
                hand = self.statistics(torch.cat((pose, betas, reading.values), dim=-1))
                pose, betas, position = hand.split(self.widths, dim=-1)
                place = dataclasses.replace(place, position=position)
            numbers = (pose + self.pose_offset).unflatten(-1, (NUM_ROTATIONS, -1))
            rotmats = self.representation.to_rotmat(numbers)
            if self.hand is not None:
                length = hand_scale(self.hand(rotmats.detach(), betas.detach())[1])
                place = dataclasses.replace(place, position=place.position * length[:, None])
            aux = {**reading.aux, self.pose_name: numbers}
            prediction = Prediction(rotmats=rotmats, betas=betas, camera=place, aux=aux)
            return torch.cat((pose, betas, reading.values), dim=-1), prediction

    def _numbers(self, rotmats: Tensor) -> Tensor:
        return self.representation.from_rotmat(rotmats.detach().float()).view(1, -1)

    def _register_start(
        self,
        init: str,
        hand: HasMeanPose | None,
        mean_params: str | PathLike[str] | None,
        relative_to_mean: bool,
        seed: int,
    ) -> None:
        pose, betas, camera = (torch.zeros(1, width) for width in self.widths)
        offset = torch.zeros_like(pose)
        if relative_to_mean:
            offset = self._mean_of_hand(hand, "relative_to_mean=True")
        if init == "random":
            rng = torch.Generator().manual_seed(seed)
            pose, betas, camera = (torch.randn(1, n, generator=rng) for n in self.widths)
        elif init == "mean":
            camera = self.camera.initial.detach().to(pose.device, copy=True)[None]
            if mean_params is not None:
                pose, betas = self._mean_of_file(mean_params)
            else:
                pose = self._mean_of_hand(hand, "init='mean'")
            pose = pose - offset
        self.register_buffer("init_hand_pose", pose)
        self.register_buffer("init_betas", betas)
        self.register_buffer("init_cam", camera)
        self.register_buffer("pose_offset", offset, persistent=False)

    def _mean_of_hand(self, hand: HasMeanPose | None, reason: str) -> Tensor:
        if hand is None:
            raise ValueError(
                f"ManoDecoder with {reason} needs the mean pose of a hand and was given none; pass "
                "`hand`, or choose init='zero' or init='random' and relative_to_mean=False."
            )
        return self._numbers(hand.mean_pose_rotmats()).to(self.decpose.weight.device)

    def _mean_of_file(self, path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
        try:
            file = read_npz(path)
        except BlockedPickle as error:
            raise ValueError(
                f"{path}: a pickle in it asks for {error}; nothing was run."
            ) from error
        if missing := {"pose", "shape"} - set(file):
            raise ValueError(
                f"{path} is no file of mean hand parameters: {sorted(missing)} missing, found "
                f"{sorted(file)}; HaMeR's mano_mean_params.npz holds pose and shape."
            )
        pose, shape = (torch.from_numpy(file[key]).float() for key in ("pose", "shape"))
        columns = REPRESENTATIONS["rot6d_columns"]
        if self.representation is not columns:
            pose = self._numbers(columns.to_rotmat(pose.view(NUM_ROTATIONS, columns.width)))
        return pose.view(1, -1), shape.view(1, NUM_BETAS)


def _readout(dim: int, width: int, gain: float | None) -> nn.Linear:
    linear = nn.Linear(dim, width)
    if gain is not None:
        nn.init.xavier_uniform_(linear.weight, gain=gain)
    return linear


def _ruler(camera: CameraReadout, hand: HasMeanPose | None) -> HasMeanPose | None:
    """The hand whose length is the camera's unit, where the camera has such a unit."""
    if not getattr(camera, "norm_by_hand", False):
        return None
    if hand is None:
        raise ValueError(
            f"ManoDecoder under {type(camera).__name__} with norm_by_hand=True needs a hand to "
            "measure and was given none; pass `hand`, or set the camera's norm_by_hand=False."
        )
    return hand


def _check(steps: int, init: str, representation: str, query: str, relative_to_mean: bool) -> None:
    choices = {
        "init": (init, ("mean", "random", "zero")),
        "representation": (representation, tuple(REPRESENTATIONS)),
        "query": (query, ("estimate", "zero")),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f"ManoDecoder's {name} is {value!r}; it can be {', '.join(map(repr, known))}."
            )
    if steps < 1:
        raise ValueError(f"ManoDecoder takes one step or more, not steps={steps}.")
    if steps > 1 and query == "zero":
        warnings.warn(
            f"ManoDecoder with query='zero' makes the same correction {steps} times, for its query "
            "does not know the estimate; query='estimate' looks again at every step.",
            stacklevel=3,
        )
    if relative_to_mean and representation != "rotvec":
        raise ValueError(
            "ManoDecoder can write rotations relative to the mean pose only as rotation vectors; "
            f"set representation='rotvec' or relative_to_mean=False (found {representation!r})."
        )
