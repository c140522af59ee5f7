"""Laws of what happens between a picture and the network: everything moves together."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.label import from_wrist
from benchmarks.probes.ramp import painted, read_back
from benchmarks.probes.truth import hand_of
from benchmarks.subject import Subject
from zoo.contracts import CropView, Finding, Frame, FrameBatch, HandTarget
from zoo.geometry.camera import project
from zoo.geometry.rotation import nearest_rotation
from zoo.geometry.view import move_points
from zoo.mano.topology import mirror_points, mirror_rotmats

HANDS, DRAWS = 8, 2
PIXELS = 0.5  # px of the crop between a keypoint and what it has to agree with
PICTURE = 2.0  # px of the crop: a ramp's level and its rounding stay below
SHIFTED = 0.25  # px of the crop by which all pictures together may stand beside their keypoints
ENOUGH = 50  # keypoints, whose rounding cancels in a mean
RIGID_SHARE = 0.05  # of the crop: how far joints of a hand kept rigid may be seen from keypoints
POSE_MM, STRETCH = 1.0, 1e-3
INSIDE = 0.5  # share of the keypoints a crop has to show


@dataclass(frozen=True)
class Sight:
    """What preprocessing makes of painted frames, once."""

    frames: FrameBatch
    stored: HandTarget  # labels as stored, mirrored where the hand is a left one
    view: CropView
    target: HandTarget


class Consistent:
    """Each augmentation alone, and all of them, move picture, points, pose and camera alike.

    Pictures are painted so that each pixel says where it is, and are read back at the moved
    keypoints; joints are projected, the way back is walked, and the posed hand is compared with
    the turned joints. Causes: a homography without its third row (P-04), orientation or joints
    that stay (P-11, UTNet V9), labels in another camera's axes (V5), a crop that looks beside the
    hand (V10), a camera of another size. Every augmentation that breaks it alone is named.
    """

    id: ClassVar[str] = "augmentation.consistent"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "Picture, keypoints, joints, orientation and camera move together."
    see: ClassVar[str] = "docs/probes.md#augmentation-consistent"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = exact_frames(subject)
        evidence: dict[str, Any] = {}
        found: dict[str, Finding] = {}  # by kind and path
        for path, preprocess, training in ways(subject):
            if found and path == "augmentation.view":
                break  # all together say no more than what breaks alone
            numbers: dict[str, float] = {}
            for draw in range(DRAWS if training else 1):
                sight = look(preprocess, frames, training, draw)
                for name, value in measured(subject, sight).items():
                    numbers[name] = max(value, numbers.get(name, 0.0))
            evidence[f"{path} {'training' if training else 'evaluation'}"] = numbers
            known = {finding.id for at, finding in found.items() if "crop" in at}
            for finding in self._judge(path, numbers, sight.view.crop_size[1]):
                if finding.id not in known:  # what the crop breaks, every way that crops breaks
                    found.setdefault(f"{finding.id} {path}", finding)
        return ProbeResult(tuple(found.values()), evidence)

    def _judge(self, path: str, numbers: Mapping[str, float], width: int) -> Iterator[Finding]:
        rigid = numbers["wrist px"] <= PIXELS and numbers["joints px"] <= RIGID_SHARE * width
        checks = {
            "picture": (
                numbers["picture px"] > PICTURE or numbers["shift px"] > SHIFTED,
                "the picture is not where keypoints say",
            ),
            "joints": (
                numbers["joints px"] > PIXELS and not rigid,
                "keypoints are not where the camera sees the joints",
            ),
            "back": (
                numbers["back px"] > PIXELS,
                "frame_from_crop does not lead back to the stored picture",
            ),
            "pose": (
                numbers["pose mm"] > POSE_MM,
                "the labelled orientation does not turn with the joints",
            ),
            "lost": (
                numbers["lost"] > 0 or 1 - numbers["outside"] < INSIDE,
                f"the crop does not show the hand (of {numbers['lost']:.0%} of the hands nothing)",
            ),
        }
        for kind, (broken, what) in checks.items():
            if broken:
                yield Finding(
                    id=f"{self.id}/{kind}",
                    severity="error",
                    path=path,
                    message=f"After {path} {what}: picture {numbers['picture px']:.3g} px "
                    f"({numbers['shift px']:.2g} px in the mean), joints "
                    f"{numbers['joints px']:.3g} px, way back {numbers['back px']:.3g} px, pose "
                    f"{numbers['pose mm']:.3g} mm, {1 - numbers['outside']:.0%} of the keypoints "
                    "in the crop.",
                    evidence={**numbers, "priority": 0},
                )


def exact_frames(subject: Subject) -> FrameBatch:
    """Painted frames whose joints, keypoints and pose agree exactly, whatever the data says.

    The stored label is posed anew by the model's own hand; wrist and camera are the stored ones.
    """

    def build() -> FrameBatch:
        hand, made = hand_of(subject), []
        for frame in subject.frames.frames:
            label = frame.label
            if label.has_mano > 0 and label.joints_valid[0] > 0 and label.joints[0, 2] > 0:
                made.append(painted(_exact(hand, frame)))
            if len(made) == HANDS:
                break
        if not made:
            raise Unrunnable("no hand has MANO parameters and a labelled wrist")
        return FrameBatch(tuple(made))

    return subject.remember("painted frames", build)


def ways(subject: Subject) -> Iterator[tuple[str, nn.Module, bool]]:
    """The preprocessing with nothing but the crop, with each view augmentation, and with all.

    What is yielded is a copy: its augmentations draw from the same seed each time.
    """
    whole = preprocess_of(subject)
    whole.pixel_augmentations = {}
    crop = copy.deepcopy(whole)
    crop.view_augmentations = {}
    yield "augmentation.crop", crop, False
    yield "augmentation.crop", crop, True
    for name, part in whole.view_augmentations.items():
        alone = copy.deepcopy(crop)
        alone.view_augmentations = {name: part}
        yield f"augmentation.view.{name}", alone, True
    yield "augmentation.view", whole, True
    yield "augmentation.view", whole, False


def look(preprocess: nn.Module, frames: FrameBatch, training: bool, draw: int) -> Sight:
    """What a preprocessing makes of the frames with its `draw`-th random state."""
    load_draw(preprocess, draw)
    data = preprocess(frames, training)
    return Sight(frames, _as_right_hands(frames), data["inputs"], data["data_samples"])


def load_draw(preprocess: nn.Module, draw: int) -> None:
    """Sets which random state the next training call has, where the preprocessing counts them."""
    if "draws" in dict(preprocess.named_buffers()):
        preprocess.load_state_dict({"draws": torch.tensor(draw)}, strict=False)


def preprocess_of(subject: Subject) -> nn.Module:
    """A copy of the preprocessing; Unrunnable where it does not list its augmentations."""
    preprocess = getattr(subject.model, "data_preprocessor", None)
    if not all(hasattr(preprocess, n) for n in ("view_augmentations", "pixel_augmentations")):
        raise Unrunnable("the model's preprocessing does not list its augmentations")
    return copy.deepcopy(preprocess)


def measured(subject: Subject, sight: Sight) -> dict[str, float]:
    """How far everything that has to move together is apart, in px of the crop and mm."""
    target, view = sight.target, sight.view
    stored = torch.stack([frame.label.keypoints for frame in sight.frames.frames])
    found, readable = read_back(view, target.keypoints, sight.frames)
    zoom = _zoom(view)[:, None]
    seen = torch.linalg.vector_norm(found - stored, dim=-1) * zoom
    seen_joints = (project(target.joints, view.intrinsics) - target.keypoints).norm(dim=-1)
    back = (move_points(target.keypoints, view.frame_from_crop) - stored).norm(dim=-1) * zoom
    size = target.keypoints.new_tensor(view.crop_size[::-1])
    inside = ((target.keypoints >= -0.5) & (target.keypoints <= size - 0.5)).all(-1)
    # the median of each hand: a single level of the ramp lost at an edge is no fault
    hands_seen = [
        float(errors[mask].median())
        for errors, mask in zip(seen, readable, strict=True)
        if mask.sum() >= 5
    ]
    return {
        "picture px": max(hands_seen, default=0.0),
        "shift px": _shift((found - stored) * zoom[..., None], readable, view.is_left),
        "readable": float(readable.float().mean()),
        "joints px": float(seen_joints.mean(-1).amax().nan_to_num(1e9)),
        "wrist px": float(seen_joints[:, 0].amax().nan_to_num(1e9)),
        "back px": float(back.mean(-1).amax().nan_to_num(1e9)),
        "pose mm": pose_error(subject, sight),
        "outside": 1 - float(inside.float().mean()),
        "lost": float((~inside.any(-1)).float().mean()),
    }


def pose_error(subject: Subject, sight: Sight) -> float:
    """Mm between the joints the label poses and the joints as they were, turned as they turned.

    The turn is measured from the joints themselves, so that a stretch, which no MANO parameters
    can follow, does not count against the orientation.
    """
    hand, target = hand_of(subject), sight.target
    kept = target.has_mano > 0
    if not kept.any():
        return 0.0
    before, after = from_wrist(sight.stored.joints)[kept], from_wrist(target.joints)[kept]
    linear = torch.linalg.lstsq(before.double(), after.double()).solution.mT
    turned = before @ nearest_rotation(linear).float().mT
    with torch.no_grad():
        _, posed = hand(target.rotmats[kept], target.betas[kept])
    error = (from_wrist(posed) - turned).norm(dim=-1).mean(-1).amax()
    return 1000 * float(error.nan_to_num(1e6))


def _shift(offsets: Tensor, readable: Tensor, is_left: Tensor) -> float:
    """Px of the crop by which all hands stand to the same side of where their keypoints say.

    offsets: (B, N, 2) px, along the axes of pictures, in which left hands are not yet mirrored.
    """
    if readable.sum() < ENOUGH:
        return 0.0
    mirrored = torch.where(is_left[:, None, None] > 0, offsets.new_tensor((-1.0, 1.0)), 1.0)
    return float((offsets * mirrored)[readable].mean(0).norm())


def _exact(hand: nn.Module, frame: Frame) -> Frame:
    label = frame.label.map(lambda tensor: tensor.float()[None])
    rotmats = mirror_rotmats(label.rotmats) if frame.is_left else label.rotmats
    with torch.no_grad():
        _, joints = hand(rotmats, label.betas)
    joints = mirror_points(joints) if frame.is_left else joints
    joints = joints - joints[:, :1] + label.joints[:, :1]
    exact = dataclasses.replace(
        frame.label,
        joints=joints[0],
        joints_valid=torch.ones(joints.shape[1]),
        keypoints=project(joints, frame.intrinsics.float()[None])[0],
        keypoints_valid=torch.ones(joints.shape[1]),
        has_intrinsics=torch.tensor(1.0),
        vertices=None,
        vertices_valid=None,
    )
    points = exact.keypoints
    return dataclasses.replace(
        frame, label=exact, hand_box=torch.cat((points.amin(0), points.amax(0)))
    )


def _as_right_hands(frames: FrameBatch) -> HandTarget:
    labels = [
        dataclasses.replace(f.label, joints=mirror_points(f.label.joints)) if f.is_left else f.label
        for f in frames.frames
    ]
    names = [f.name for f in dataclasses.fields(HandTarget) if not f.name.startswith("vertices")]
    return HandTarget(**{n: torch.stack([getattr(label, n) for label in labels]) for n in names})


def _zoom(view: CropView) -> Tensor:
    """(B,) px of the crop a pixel of the picture becomes."""
    return torch.linalg.det(view.frame_from_crop[:, :2, :2]).abs().clamp(min=1e-12).rsqrt()
