"""From pictures to hands in the pictures' own pixels and cameras, whatever the crop did to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
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


def assumed_intrinsics(size: tuple[int, int]) -> np.ndarray:
    """The camera of a picture nobody measured: focal length = longer side, axis in the middle.

    That is 53 degrees of view along the longer side, between a phone's main camera (about 65) and
    its portrait lens (about 40). Depth scales with the focal length, so an assumed camera leaves
    distances unsure by that ratio.

    size: (height, width) px.
    returns: (3, 3) px.
    """
    height, width = size
    focal = float(max(height, width))
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def frame_of(
    image: np.ndarray, hand: HandBox, *, intrinsics: np.ndarray | None = None, name: str
) -> Frame:
    """A hand without labels, as the preprocessing wants it.

    image: (h, w, 3) uint8 RGB.
    hand: box in px of the picture, and side.
    intrinsics: (3, 3) px; None takes `assumed_intrinsics` and marks the camera as not measured.
    """
    measured = intrinsics is not None
    camera = np.asarray(intrinsics) if measured else assumed_intrinsics(image.shape[:2])
    return Frame(
        image=torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1),
        intrinsics=torch.from_numpy(camera).float(),
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
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                return [
                    result
                    for start in range(0, len(frames), self.batch_size)
                    for result in self._batch(frames[start : start + self.batch_size])
                ]
        finally:
            self.model.train(was_training)

    def _batch(self, frames: Sequence[Frame]) -> Iterator[HandResult]:
        view = self.preprocess(FrameBatch(frames=tuple(frames)), training=False)["inputs"]
        prediction: Prediction = self.model(view, mode="tensor")
        mesh = self.model.hand.place(prediction)
        _check_finite(mesh, frames)
        rest_vertices, _ = self.model.hand(prediction.rotmats, prediction.betas)
        transl = (mesh.vertices - rest_vertices).mean(1)
        hand = self.model.hand.faces
        for i, frame in enumerate(frames):
            yield _result(frame, i, view, prediction, mesh, transl, hand)


def _check_finite(mesh: HandMesh, frames: Sequence[Frame]) -> None:
    finite = torch.isfinite(mesh.vertices).flatten(1).all(1)
    if not bool(finite.all()):
        bad = [frame.key for frame, good in zip(frames, finite.tolist(), strict=True) if not good]
        raise ValueError(
            f"the model's hand in {', '.join(bad)} is not made of finite numbers; the checkpoint "
            "comes from a run that diverged, take an earlier one."
        )


def _result(
    frame: Frame,
    i: int,
    view: CropView,
    prediction: Prediction,
    mesh: HandMesh,
    transl: Tensor,
    faces: Tensor,
) -> HandResult:
    """Hand `i` of a batch, carried from its crop into its picture."""
    frame_from_crop = _array(view.frame_from_crop[i])
    mirror = np.array([-1.0, 1.0, 1.0]) if frame.is_left else np.ones(3)
    crop_camera = _array(prediction.camera.intrinsics[i])
    intrinsics = picture_camera(crop_camera, frame_from_crop, mirror)
    return HandResult(
        name=frame.key,
        side="left" if frame.is_left else "right",
        box=_array(frame.hand_box),
        keypoints=_move(_array(mesh.keypoints[i]), frame_from_crop),
        joints=_array(mesh.joints[i]) * mirror,
        vertices=_array(mesh.vertices[i]) * mirror,
        faces=_facing(faces, frame.is_left),
        rotmats=_array(prediction.rotmats[i]),
        betas=_array(prediction.betas[i]),
        transl=_array(transl[i]),
        position=_array(prediction.camera.position[i]) * mirror,
        anchor=prediction.camera.anchor,
        intrinsics=intrinsics,
        camera=_kind(frame, intrinsics),
    )


def picture_camera(
    crop_camera: np.ndarray, frame_from_crop: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """The camera of the picture in which camera-frame points keep their place, mirror aside.

    A crop without rotation is A = frame_from_crop, so pixel = A K X = (A K M)(M X) with M the
    mirror: A K M is the camera that sees M X where the crop's pixels lie in the picture.

    crop_camera: (3, 3) crop px.
    frame_from_crop: (3, 3) affine, crop px -> picture px.
    mirror: (3,) signs, x negative for a left hand.
    returns: (3, 3) px.
    """
    camera = frame_from_crop @ crop_camera * mirror
    camera = camera / camera[2, 2]
    scale = abs(camera[0, 0])
    tilted = np.abs(camera[[1, 2, 2], [0, 0, 1]]).max() > 1e-4 * scale
    assert not tilted and camera[0, 0] > 0, "prediction crops neither turn nor tilt the camera"
    return camera


def _kind(frame: Frame, intrinsics: np.ndarray) -> CameraKind:
    own = _array(frame.intrinsics)
    if not np.allclose(intrinsics, own, rtol=1e-3, atol=0.5):
        return "virtual"
    return "measured" if bool(frame.label.has_intrinsics) else "assumed"


def _facing(faces: Tensor, is_left: bool) -> np.ndarray:
    """Faces whose outside is outside also after mirroring, which turns every triangle over."""
    outward = faces.detach().cpu().numpy()
    return np.ascontiguousarray(outward[:, ::-1]) if is_left else outward


def _move(points: np.ndarray, homography: np.ndarray) -> np.ndarray:
    moved = np.c_[points, np.ones(len(points))] @ homography.T
    return moved[:, :2] / moved[:, 2:]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
