"""What a diagnosis shows beside its findings: scales, crops, errors and the hands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.subject import Subject
from zoo.contracts import ClipView, CropView, HandMesh, HandTarget, Prediction
from zoo.geometry.alignment import align
from zoo.geometry.camera import project
from zoo.geometry.rotation import geodesic_angle
from zoo.metrics.errors import fingers, staircase
from zoo.metrics.summary import measure, summarize

HANDS = 8  # hands a table of ranges is made from
Spread = tuple[float, float, float]  # least, median, greatest


@dataclass(frozen=True)
class Scale:
    """One quantity as the model says it and as the label says it, in one unit."""

    quantity: str
    unit: str
    prediction: Spread | None  # None: the model does not say it
    label: Spread | None


@dataclass(frozen=True)
class Seen:
    """A subject's view of some hands: what went in, what was labelled, what came out."""

    view: CropView
    target: HandTarget  # with its surface
    prediction: Prediction
    mesh: HandMesh


@torch.no_grad()
def see(subject: Subject, count: int = HANDS, *, training: bool, seed: int = 0) -> Seen:
    """`count` hands, forward once, without a trace in the model."""
    view, target = subject.batch(count, training=training, seed=seed)
    model = subject.model.eval()
    prediction = model.predict_hand(view)
    target, mesh = model.hand.place_target(target), model.hand.place(prediction)
    seen = Seen(last_frames(view), target, prediction, mesh)
    return Seen(*(record.detach() for record in vars(seen).values()))


def last_frames(view: CropView | ClipView) -> CropView:
    """The crops that labels and answers belong to: of clips, those of the last frames."""
    if not isinstance(view, ClipView):
        return view
    clips = tuple(view.times.shape)
    return view.frames.map(lambda tensor: tensor.unflatten(0, clips)[:, -1])


def scales(seen: Seen) -> list[Scale]:
    """Every output beside its label: a factor of 1000 or of the crop's width shows at once."""
    target, mesh = seen.target, seen.mesh
    joints, keypoints = target.joints_valid > 0, target.keypoints_valid > 0
    rows = [Scale("picture", "of 1", _spread(seen.view.images), None)]
    for axis, name in enumerate("xy"):
        said, meant = mesh.keypoints[..., axis], target.keypoints[..., axis]
        rows.append(Scale(f"keypoints {name}", "px", _spread(said), _spread(meant[keypoints])))
    for axis, name in enumerate(("x", "y", "z (depth)")):
        said, meant = mesh.joints[..., axis], target.joints[..., axis]
        rows.append(Scale(f"joints {name}", "m", _spread(said), _spread(meant[joints])))
    said, meant = _reach(mesh.joints), _reach(target.joints)[joints.all(-1)]
    rows.append(Scale("hand, wrist to middle tip", "m", _spread(said), _spread(meant)))
    return [*rows, *_parameter_scales(seen)]


def _parameter_scales(seen: Seen) -> Iterator[Scale]:
    prediction, target, mano = seen.prediction, seen.target, seen.target.has_mano > 0
    pairs = {
        ("finger rotations", "rad"): (_angle(prediction.rotmats[:, 1:]), target.rotmats[:, 1:]),
        ("global orientation", "rad"): (_angle(prediction.rotmats[:, 0]), target.rotmats[:, 0]),
    }
    for (name, unit), (said, meant) in pairs.items():
        yield Scale(name, unit, _spread(said), _spread(_angle(meant)[mano]))
    yield Scale("betas", "1", _spread(prediction.betas), _spread(target.betas[mano]))
    said, meant = prediction.camera.intrinsics[:, 0, 0], seen.view.intrinsics[:, 0, 0]
    yield Scale("focal length", "px", _spread(said), _spread(meant))


def round_trip(seen: Seen) -> dict[str, float]:
    """Pixels between labelled keypoints and labelled joints seen by the crop's own camera.

    returns: "median_px" and "worst_px", empty where no joint has both labels.
    """
    target = seen.target
    both = (target.joints_valid > 0) & (target.keypoints_valid > 0)
    both = both & (target.has_intrinsics > 0)[:, None]
    drawn = project(target.joints, seen.view.intrinsics)
    distance = (drawn - target.keypoints).norm(dim=-1)[both]
    if not len(distance):
        return {}
    return {"median_px": distance.median().item(), "worst_px": distance.max().item()}


def start(subject: Subject, seen: Seen) -> dict[str, float]:
    """Where the model stands on some hands, against MANO's mean hand and the labels.

    returns: "fingers_from_mean_deg", the mean angle between predicted finger rotations and the
        mean pose; "betas_size", the mean absolute beta; "root_mpjpe_mm" over hands labelled whole,
        absent where there is none.
    """
    rotmats, target = seen.prediction.rotmats[:, 1:], seen.target
    mean = subject.model.hand.mean_pose_rotmats().to(rotmats)[1:]
    away = geodesic_angle(rotmats, mean.expand_as(rotmats))
    numbers = {
        "fingers_from_mean_deg": float(away.mean().rad2deg()),
        "betas_size": float(seen.prediction.betas.abs().mean()),
    }
    whole = (target.joints_valid > 0).all(-1)
    if whole.any():
        said, meant = (joints - joints[:, :1] for joints in (seen.mesh.joints, target.joints))
        numbers["root_mpjpe_mm"] = float(1000 * (said - meant).norm(dim=-1)[whole].mean())
    return numbers


def errors(subject: Subject, batch: int = 16) -> dict[str, dict[str, float]]:
    """What remains in mm after each alignment, and of each finger, over all hands of a subject."""
    metrics = {**staircase(), **fingers()}
    scores = []
    for first in range(0, len(subject.frames), batch):
        count = min(batch, len(subject.frames) - first)
        view, target = subject.batch(count, training=False, start=first)
        with torch.no_grad():
            mesh = subject.model.hand.place(subject.model.eval().predict_hand(view))
        scores += measure(metrics.values(), mesh, target)
    found = summarize(scores, [metric.name for metric in metrics.values()])
    return {
        "staircase_mm": {name: found[metric.name] for name, metric in staircase().items()},
        "fingers_mm": {name: found[metric.name] for name, metric in fingers().items()},
    }


@dataclass(frozen=True)
class Surface:
    """A hand to be looked at in 3D, in the camera frame of the first subject's crop."""

    name: str  # "label", or a subject's name
    subject: int | None  # its index; None for the label
    vertices: Tensor  # (V, 3) m
    joints: Tensor  # (J, 3) m


def surfaces(seen: Sequence[Seen], names: Sequence[str], hand: int) -> list[Surface]:
    """The labelled hand and what every subject made of it, in one frame.

    Subjects may see a hand through differently turned cameras; the label, which is the same hand
    for all, says how each is turned. Empty where the hand is not labelled whole.
    """
    first = seen[0].target
    if first.vertices is None or not first.vertices_valid[hand]:
        return []
    found = [Surface("label", None, first.vertices[hand], first.joints[hand])]
    for index, (one, name) in enumerate(zip(seen, names, strict=True)):
        label = one.target.joints[hand]
        moved = torch.cat((one.mesh.vertices[hand], one.mesh.joints[hand]))
        moved = _carried(moved, label, first.joints[hand])
        count = len(one.mesh.vertices[hand])
        found.append(Surface(name, index, moved[:count], moved[count:]))
    return found


def summary(
    seen: Seen, rows: Sequence[Scale], subject: Subject
) -> dict[str, Mapping[str, Any] | list[Any]]:
    """The exhibits that are numbers, for the JSON."""
    numbers: dict[str, Any] = {
        "scales": [vars(row) for row in rows],
        "round_trip": round_trip(seen),
        "start": start(subject, seen),
        "crop_hw_px": list(seen.view.crop_size),
    }
    if subject.checkpoint is not None:
        numbers |= errors(subject)
    return numbers


def _carried(points: Tensor, label: Tensor, onto: Tensor) -> Tensor:
    # The labels alone have weight; the points come along.
    everything, goal = torch.cat((label, points)), torch.cat((onto, torch.zeros_like(points)))
    weight = (torch.arange(len(everything)) < len(label)).to(points)
    moved = align(everything[None], goal[None], weight[None], rotate=True)[0]
    return moved[len(label) :]


def _reach(joints: Tensor) -> Tensor:
    return (joints[:, 12] - joints[:, 0]).norm(dim=-1)


def _angle(rotmats: Tensor) -> Tensor:
    return geodesic_angle(rotmats, torch.eye(3).to(rotmats).expand_as(rotmats))


def _spread(values: Tensor) -> Spread | None:
    values = values.detach().double().flatten()
    if not len(values):
        return None
    return (values.min().item(), values.median().item(), values.max().item())
