"""From pictures to hands in the pictures' own pixels and cameras, whatever the crop did to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.linalg import rq
from torch import Tensor, nn

from zoo.contracts import (
    NUM_BETAS,
    NUM_JOINTS,
    NUM_ROTATIONS,
    CropView,
    Frame,
    FrameBatch,
    HandMesh,
    HandTarget,
    Prediction,
)
from zoo.geometry.camera import assumed_intrinsics
from zoo.geometry.rotation import rotmat_to_rotvec
from zoo.inference.boxes import HandBox

CameraKind = Literal["measured", "assumed", "virtual"]


@dataclass(frozen=True)
class HandResult:
    """One hand in one picture: pixels of the picture, metres of the camera that took it.

    `vertices` seen by `intrinsics` are where the mesh stands in the picture, exactly. The camera is
    "measured" (the user gave it), "assumed" (`assumed_intrinsics`), or "virtual": the head reasoned
    in a camera of its own (HaMeR's 5000 px), whose depths are only good up to that camera.

    MANO's parameters are those of the right-hand model. A left hand was seen in a mirror, so its
    parameters pose the right hand whose mirror image (x -> -x) is `vertices`.
    """

    name: str
    side: Literal["left", "right"]
    box: np.ndarray  # (4,) px, x0 y0 x1 y1 of the picture
    keypoints: np.ndarray  # (J, 2) px of the picture
    joints: np.ndarray  # (J, 3) m, camera
    vertices: np.ndarray  # (V, 3) m, camera
    faces: np.ndarray  # (F, 3) outward orientation, for either side
    rotmats: np.ndarray  # (K, 3, 3) absolute, right-hand model
    betas: np.ndarray  # (10,)
    transl: np.ndarray  # (3,) m, MANO's translation of the right-hand model
    position: np.ndarray  # (3,) m, camera, where the anchor stands
    anchor: Literal["wrist", "mano_origin"]
    intrinsics: np.ndarray  # (3, 3) px, the camera `joints` and `vertices` stand in
    camera: CameraKind

    @property
    def rotvec(self) -> np.ndarray:
        """(K, 3) rad, the rotations as axis times angle."""
        return rotmat_to_rotvec(torch.from_numpy(self.rotmats)).numpy()


def frame_of(
    image: np.ndarray, hand: HandBox, *, intrinsics: np.ndarray | None = None, name: str
) -> Frame:
    """A hand without labels, as the preprocessing wants it.

    image: (h, w, 3) uint8 RGB.
    hand: box in px of the picture, and side.
    intrinsics: (3, 3) px; None takes `zoo.geometry.camera.assumed_intrinsics` and marks the
        camera as not measured.
    """
    measured = intrinsics is not None
    if measured:
        camera = torch.as_tensor(np.asarray(intrinsics), dtype=torch.float32)
    else:
        camera = assumed_intrinsics(torch.tensor([image.shape[:2]], dtype=torch.float32))[0]
    return Frame(
        image=torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1),
        intrinsics=camera,
        hand_box=torch.tensor(hand.corners, dtype=torch.float32),
        is_left=hand.side == "left",
        label=_no_label(measured),
        key=name,
        source="user",
    )


def _no_label(measured: bool) -> HandTarget:
    return HandTarget(
        rotmats=torch.eye(3).repeat(NUM_ROTATIONS, 1, 1),
        betas=torch.zeros(NUM_BETAS),
        has_mano=torch.tensor(0.0),
        joints=torch.zeros(NUM_JOINTS, 3),
        joints_valid=torch.zeros(NUM_JOINTS),
        keypoints=torch.zeros(NUM_JOINTS, 2),
        keypoints_valid=torch.zeros(NUM_JOINTS),
        has_intrinsics=torch.tensor(float(measured)),
    )


class Predictor:
    """Frames -> one `HandResult` each, in order.

    model: a built model with `hand` (the MANO layer) and mode "tensor"; it is put into evaluation
        mode for the call and given back as it was.
    preprocess: frames -> crops; called with training=False.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        preprocess: nn.Module,
        device: torch.device | str = "cpu",
        batch_size: int = 16,
    ) -> None:
        self.model = model.to(device)
        self.preprocess = preprocess.to(device)
        self.batch_size = batch_size

    def __call__(self, frames: Sequence[Frame]) -> list[HandResult]:
        results: list[HandResult] = []
        with self.evaluating():
            for start in range(0, len(frames), self.batch_size):
                batch = frames[start : start + self.batch_size]
                view = self.see(batch)
                results += self.results(batch, view, self.model(view, mode="tensor"))
        return results

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients; the model is given back as it was."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.model.train(was_training)

    def see(self, frames: Sequence[Frame]) -> CropView:
        """The frames' crops, as evaluation shows them to the model."""
        return self.preprocess(FrameBatch(frames=tuple(frames)), training=False)["inputs"]

    def results(
        self, frames: Sequence[Frame], view: CropView, prediction: Prediction
    ) -> Iterator[HandResult]:
        """What was predicted of these crops, in the pixels and cameras of their pictures.

        Raises ValueError, naming the frames, where a hand is not made of finite numbers.
        """
        mesh = self.model.hand.place(prediction)
        _check_finite(mesh, frames)
        ways = [
            way_back(_array(view.frame_from_crop[i]), _array(prediction.camera.intrinsics[i]))
            for i in range(len(frames))
        ]
        rotmats = _turned(prediction.rotmats, ways)
        rest = _array(self.model.hand(rotmats, prediction.betas)[0])
        virtual = _differ(prediction.camera.intrinsics, view.intrinsics)
        for i, (frame, way) in enumerate(zip(frames, ways, strict=True)):
            vertices = _array(mesh.vertices[i]) @ way.points.T
            yield HandResult(
                name=frame.key,
                side="left" if frame.is_left else "right",
                box=_array(frame.hand_box),
                keypoints=_move(_array(mesh.keypoints[i]), _array(view.frame_from_crop[i])),
                joints=_array(mesh.joints[i]) @ way.points.T,
                vertices=vertices,
                faces=_facing(self.model.hand.faces, way.mirrors),
                rotmats=_array(rotmats[i]),
                betas=_array(prediction.betas[i]),
                transl=(vertices * way.mirror - rest[i]).mean(0),
                position=way.points @ _array(prediction.camera.position[i]),
                anchor=prediction.camera.anchor,
                intrinsics=way.intrinsics,
                camera=_kind(frame, virtual[i]),
            )


@dataclass(frozen=True)
class WayBack:
    """How a crop's camera-frame points return to their picture."""

    points: np.ndarray  # (3, 3) orthogonal: X of the picture = points @ X of the crop
    intrinsics: np.ndarray  # (3, 3) px, the picture's camera that sees the returned points

    @property
    def mirrors(self) -> bool:
        """Whether the crop showed the hand in a mirror."""
        return bool(np.linalg.det(self.points) < 0)

    @property
    def mirror(self) -> np.ndarray:
        """(3,) signs that turn a left hand of the picture into the right-hand model's."""
        return np.array([-1.0 if self.mirrors else 1.0, 1.0, 1.0])


def way_back(frame_from_crop: np.ndarray, crop_camera: np.ndarray) -> WayBack:
    """The one camera and the one turn (mirror included) that explain a crop in its picture.

    A crop px is K X, so a picture px is H K X, and an RQ decomposition reads H K as a camera times
    an orthogonal matrix. For a crop seen by its own camera that gives back the picture's camera
    exactly; for a head with a virtual camera, that camera as it stands in the picture.

    frame_from_crop: H (3, 3), crop px -> picture px.
    crop_camera: K (3, 3) crop px, the camera the head reasoned in.
    Source: Hartley and Zisserman, Multiple View Geometry, section 6.2.4.
    """
    camera, points = rq(frame_from_crop @ crop_camera)
    signs = np.sign(np.diag(camera))
    camera, points = camera * signs, points * signs[:, None]
    return WayBack(points=points, intrinsics=camera / camera[2, 2])


def _turned(rotmats: Tensor, ways: Sequence[WayBack]) -> Tensor:
    """Rotations of the right-hand model in the pictures' cameras, (B, K, 3, 3)."""
    turns = np.stack([way.mirror[:, None] * way.points for way in ways])
    wrist = torch.from_numpy(turns).to(rotmats) @ rotmats[:, 0]
    return torch.cat((wrist[:, None], rotmats[:, 1:]), 1)


def _differ(camera: Tensor, other: Tensor) -> list[bool]:
    """Whether two cameras see a hand at more than half a pixel's difference, one a sample."""
    close = torch.isclose(camera.float(), other.float(), rtol=1e-3, atol=0.5)
    return (~close.flatten(1).all(1)).tolist()


def _kind(frame: Frame, virtual: bool) -> CameraKind:
    if virtual:
        return "virtual"
    return "measured" if bool(frame.label.has_intrinsics) else "assumed"


def _check_finite(mesh: HandMesh, frames: Sequence[Frame]) -> None:
    finite = torch.isfinite(mesh.vertices).flatten(1).all(1)
    if not bool(finite.all()):
        bad = [frame.key for frame, good in zip(frames, finite.tolist(), strict=True) if not good]
        raise ValueError(
            f"the model's hand in {', '.join(bad)} is not made of finite numbers; the checkpoint "
            "comes from a run that diverged, take an earlier one."
        )


def _facing(faces: Tensor, mirrored: bool) -> np.ndarray:
    """Faces whose outside is outside also after mirroring, which turns every triangle over."""
    outward = faces.detach().cpu().numpy()
    return np.ascontiguousarray(outward[:, ::-1]) if mirrored else outward


def _move(points: np.ndarray, homography: np.ndarray) -> np.ndarray:
    moved = np.c_[points, np.ones(len(points))] @ homography.T
    return moved[:, :2] / moved[:, 2:]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
