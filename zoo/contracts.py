"""The types every room shares: what a network may see, what it may not, and what it says.

Letters: B hands, T frames, J = 21 joints, K = 16 rotations, V = 778 vertices, N tokens, C token
width, D query width, HxW crop. Units: m, rad, px, s. (0, 0) is the centre of the top-left pixel.
The camera frame is OpenCV's (x right, y down, z forward). After preprocessing every hand is a right
hand. Joints are in OpenPose's order of 21, rotations in MANO's order of 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from torch import Generator, Tensor

from zoo.geometry.record import Record

NUM_JOINTS, NUM_ROTATIONS, NUM_VERTICES, NUM_BETAS = 21, 16, 778, 10


@dataclass(frozen=True)
class CropView(Record):
    """Everything a network may see: mmengine's `inputs`."""

    images: Tensor  # (B, 3, H, W) RGB in [0, 1]; each backbone normalises for itself
    intrinsics: Tensor  # (B, 3, 3) px, the camera of the crop
    hand_box: Tensor  # (B, 4) px, x0 y0 x1 y1 in the crop
    frame_from_crop: Tensor  # (B, 3, 3) crop px -> px of the original picture, for drawing
    is_left: Tensor  # (B,) bool, true where the picture was mirrored to show a right hand
    depth: Tensor | None = None  # (B, H, W) m along the axis, 0 where unknown; None: no hand has it

    @property
    def crop_size(self) -> tuple[int, int]:  # (H, W) px
        return tuple(self.images.shape[-2:])


@dataclass(frozen=True)
class ClipView(Record):
    """Crops of T consecutive frames of each hand (Stage 2); a single frame never needs it."""

    frames: CropView  # B*T crops, clip-major; fewer where clips that overlap share frames
    times: Tensor  # (B, T) s, float64, the last frame is 0
    rows: Tensor | None = None  # (B, T) int64, each frame's crop; None: clip-major

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class EncodedClips(Record):
    """Clips whose frames a frozen Stage 1 has seen before: all that a temporal part needs."""

    tokens: Tensor  # (B, T, D) one query a frame, oldest first
    times: Tensor  # (B, T) s, float64, the last frame is 0
    estimates: tuple[Tensor, ...]  # (B, P) each, of the last frame, as in HandQuery
    view: CropView  # of the last frame; its pictures are blank


@dataclass(frozen=True)
class HandTarget(Record):
    """Everything losses and metrics may see: mmengine's `data_samples`.

    Of a clip, the LAST frame's. A label that is not valid holds zeros; read its validity first.
    """

    rotmats: Tensor  # (B, K, 3, 3) absolute, rotmats[:, 0] turns the hand into the camera frame
    betas: Tensor  # (B, 10)
    has_mano: Tensor  # (B,) 1 where rotmats and betas are labelled
    joints: Tensor  # (B, J, 3) m, camera
    joints_valid: Tensor  # (B, J)
    keypoints: Tensor  # (B, J, 2) px, crop (of the picture for a Frame's label)
    keypoints_valid: Tensor  # (B, J)
    has_intrinsics: Tensor  # (B,) 1 where the camera was measured, 0 where it is assumed
    vertices: Tensor | None = None  # (B, V, 3) m, camera; filled by the model from its own hand
    vertices_valid: Tensor | None = None  # (B,)


@dataclass(frozen=True)
class Frame:
    """One hand in one picture, as it left the tar (CPU)."""

    image: Tensor  # (3, h, w) uint8 RGB, the picture's own size
    intrinsics: Tensor  # (3, 3) px
    hand_box: Tensor  # (4,) px, x0 y0 x1 y1
    is_left: bool
    label: HandTarget  # the same fields without B, in this picture's pixels and camera
    key: str
    source: str  # dataset name: "synthetic", "freihand", "ho3d", ...
    depth: Tensor | None = None  # (h, w) float32 m along the axis, 0 where the sensor is blind


@dataclass(frozen=True)
class SkippedSample:
    """A sample that could not be used, and why; counted and shown, never silently dropped."""

    key: str
    shard: str
    reason: str


@dataclass(frozen=True)
class FrameBatch:
    """What a loader yields: hands of differing picture sizes, and what had to be left out."""

    frames: tuple[Frame, ...]
    skipped: tuple[SkippedSample, ...] = ()
    times: Tensor | None = None  # of clips: (B, T) s, float64, the last frame is 0
    rows: Tensor | None = None  # of clips: (B, T) int64 into frames, oldest first
    runs: Tensor | None = None  # of clips: (N,) int64, the film each frame is from

    def __len__(self) -> int:
        return len(self.labelled)

    @property
    def labelled(self) -> tuple[Frame, ...]:
        """The hands that are answered and judged: every frame, or the last one of every clip."""
        if self.rows is None:
            return self.frames
        return tuple(self.frames[row] for row in self.rows[:, -1].tolist())


@dataclass(frozen=True)
class EncodedBatch(Record):
    """What a token cache yields: clips and their labels, with nothing left to preprocess."""

    label: HandTarget
    clips: EncodedClips
    skipped: tuple[SkippedSample, ...] = ()


@dataclass(frozen=True)
class ViewChange(Record):
    """A change of view, X' = linear X seen by a camera with the new intrinsics.

    The picture moves by the homography K' L K^-1, points by L, orientation by L's rotation part.
    """

    linear: Tensor  # (B, 3, 3) on camera-frame points
    intrinsics: Tensor  # (B, 3, 3) px, the new camera


@dataclass(frozen=True)
class CameraPose(Record):
    """Where a head puts the hand, and the camera it reasoned in."""

    position: Tensor  # (B, 3) m, where the anchor stands in the camera frame
    anchor: Literal["wrist", "mano_origin"]
    intrinsics: Tensor  # (B, 3, 3) crop px: the true camera, or HaMeR's virtual one


@dataclass(frozen=True)
class Prediction(Record):
    """A hand in MANO's parameters and its place in the camera."""

    rotmats: Tensor  # (B, K, 3, 3) absolute
    betas: Tensor  # (B, 10)
    camera: CameraPose
    aux: Mapping[str, Tensor] = field(default_factory=dict)  # what one head alone can tell, by name
    earlier: tuple[Prediction, ...] = ()  # estimates of earlier IEF steps, oldest first


@dataclass(frozen=True)
class HandMesh(Record):
    """The posed surface of a prediction or of a label."""

    vertices: Tensor  # (B, V, 3) m, camera
    joints: Tensor  # (B, J, 3) m, camera
    keypoints: Tensor  # (B, J, 2) px, in the image of the camera it was placed in


@dataclass(frozen=True)
class HandQuery(Record):
    """What a head knows of each hand before it reads it out; a temporal part refines `token`."""

    token: Tensor  # (B, D)
    estimates: tuple[Tensor, ...] = ()  # (B, P) running IEF estimates so far, oldest first


@dataclass(frozen=True)
class CameraReading(Record):
    """What a camera read-out says: the numbers that re-enter the IEF query, and their meaning."""

    values: Tensor  # (B, num_values) the read-out's own unit, of order one
    pose: CameraPose
    aux: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Backbone(Protocol):
    """Picture -> tokens; normalises for itself, runs under bf16; its `see(view)`, if any, first."""

    token_dim: int  # C
    image_size: tuple[int, int]  # (H, W) px of the crops it wants
    token_grid: tuple[int, int]  # rows and columns of its patch tokens
    num_prefix_tokens: int  # CLS and register tokens before the patch tokens

    def __call__(self, images: Tensor) -> Tensor: ...  # (B, 3, H, W) in [0, 1] -> (B, N, C)


@runtime_checkable
class Neck(Protocol):
    """Tokens -> tokens of the same width, told about the camera of the crop."""

    def __call__(self, tokens: Tensor, view: CropView) -> Tensor: ...  # (B, N, C) -> (B, N, C)


@runtime_checkable
class Head(Protocol):
    """Tokens -> a hand, in two halves so that a temporal part can sit between them."""

    provides: frozenset[str]  # names it promises in Prediction.aux
    query_dim: int  # D

    def query(self, tokens: Tensor, view: CropView) -> HandQuery: ...
    def read(self, query: HandQuery, view: CropView) -> Prediction: ...


@runtime_checkable
class Temporal(Protocol):
    """Refines the last frame's query with the T frames before it."""

    def __call__(self, queries: Tensor, times: Tensor) -> Tensor: ...  # (B,T,D), (B,T) s -> (B,D)


@runtime_checkable
class CameraReadout(Protocol):
    """How a decoded token becomes a place in space.

    Plain numbers are added to `estimate`, those of the IEF step before; heat maps ignore it.
    """

    provides: frozenset[str]
    num_values: int
    initial: Tensor  # (num_values,) the values of an average hand

    def __call__(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading: ...


@runtime_checkable
class LossTerm(Protocol):
    """One term, a torch module; returns the unweighted value, the model multiplies by `weight`."""

    needs: frozenset[str]  # names it reads from Prediction.aux
    weight: float

    def __call__(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor: ...


@runtime_checkable
class ViewAugmentation(Protocol):
    """Chooses a change of view for every hand of a batch; geometry applies it."""

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange: ...


@runtime_checkable
class PixelAugmentation(Protocol):
    """Changes colours only: (B, 3, H, W) in [0, 1] both ways."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor: ...


@runtime_checkable
class Metric(Protocol):
    """Per-hand values and how many labels each rests on; a mean over hands is weighted by count."""

    name: str  # with its unit: "mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Finding:
    """What a probe found: a broken law (error), something suspicious, or a difference."""

    id: str
    severity: Literal["error", "warning", "info"]
    path: str  # config path it points at
    message: str
    evidence: Mapping[str, float | str | Sequence[float]] = field(default_factory=dict)
    fix: tuple[str, ...] = ()  # `--set` lines


@dataclass(frozen=True)
class HandAsset:
    """The arrays of a hand model in MANO's layout (right hand), whatever file they came from."""

    name: str  # "clayhand", "mano", ...
    v_template: np.ndarray  # (V, 3) m
    faces: np.ndarray  # (F, 3) int64, outward orientation
    weights: np.ndarray  # (V, K) skinning weights, rows sum to 1
    posedirs: np.ndarray  # (V, 3, 135)
    shapedirs: np.ndarray  # (V, 3, 10) m per unit beta
    joint_regressor: np.ndarray  # (K, V)
    parents: np.ndarray  # (K,) int64, parents[0] = -1
    hands_mean: np.ndarray  # (45,) rad, mean hand pose (axis-angle)
    hands_components: np.ndarray  # (45, 45)
