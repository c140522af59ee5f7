"""Are a head's rotations what its numbers say, and does it start from rotations at all?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.truth import hand_of, single_frames
from benchmarks.subject import Subject
from zoo.contracts import NUM_ROTATIONS, CropView, Finding, HandQuery, Prediction
from zoo.geometry.representation import REPRESENTATIONS, Representation
from zoo.geometry.rotation import geodesic_angle, rotvec_to_rotmat

ANGLES = (1e-4, 5e-4, 1e-2, 1.0, 3.0, 3.1415)  # rad
AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
OFF = 0.05  # of the angle, or of 1 rad where it is larger: rounding is below 1e-3 of it
SLOPE_OFF = 0.1  # of the gradient the numbers themselves have
STEEP = 1e3  # rotation per number at the start; whole rotations written in any way have below 10
ASIDE = 0.5  # rad from every usual way to hold a hand upright in a camera's axes
_FOLLOWS = 1e-4


@dataclass(frozen=True)
class Reader:
    """A head that reads a hand out of numbers it was given plus a correction of its own."""

    head: Any
    view: CropView
    query: HandQuery
    name: str  # in aux, of the numbers
    written: Representation

    @property
    def width(self) -> int:
        """Of all sixteen rotations in an estimate."""
        return NUM_ROTATIONS * self.written.width

    @property
    def start(self) -> Tensor:
        """(B, 16, width) numbers of the first estimate."""
        return self.query.estimates[0][:, : self.width].unflatten(-1, (NUM_ROTATIONS, -1))

    def read(self, estimate: Tensor) -> tuple[Prediction, Tensor]:
        """The answer on top of another last estimate, and its (B, 16, width) pose numbers."""
        estimates = (*self.query.estimates[:-1], estimate)
        said = self.head.read(dataclasses.replace(self.query, estimates=estimates), self.view)
        return said, said.aux[self.name]


class Rotations:
    """Rotations near none, near a half turn and between, as the head writes and returns them.

    The estimate is moved until the head's own pose numbers say a known rotation, or would after
    the turn by which the head corrects them; what it answers is compared with that, in value and
    gradient. Causes: matrices taken to angles by a formula that
    fails near 180 degrees and is cut off near 0 (UTNet V8), another order of 6D columns.
    """

    id: ClassVar[str] = "numeric.rotations"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = (
        "The rotations of an answer, and their gradient, are those of its pose numbers, from no "
        "turn to a half turn."
    )
    see: ClassVar[str] = "docs/probes.md#numeric-rotations"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Angles at which the head says another rotation, or none of its gradient."""
        axes = torch.tensor(AXES)
        reader = reader_of(subject, len(ANGLES) * len(AXES), "pose_", "coarse_pose_")
        left, right = _correction(reader)
        vectors = torch.cat([angle * axes for angle in ANGLES])
        turns = rotvec_to_rotmat(vectors)[:, None].expand(-1, NUM_ROTATIONS, -1, -1)
        wanted = reader.written.from_rotmat(left.mT @ turns @ right.mT)
        estimate = _estimate_for(reader, wanted).requires_grad_()
        said, numbers = reader.read(estimate)
        alone = numbers.detach().requires_grad_()
        expected = left @ reader.written.to_rotmat(alone) @ right
        off = ((said.rotmats - expected).flatten(2).norm(dim=-1) / 2**0.5).amax(-1).detach()
        slope = _apart(estimate, said.rotmats, alone, expected, reader.width)
        table = {
            f"{angle:g} rad": {"off_rad": float(a.amax()), "gradient_off": float(b.amax())}
            for angle, a, b in zip(
                ANGLES, off.split(len(AXES)), slope.split(len(AXES)), strict=True
            )
        }
        return ProbeResult(tuple(self._judge(table)), {"angles": table})

    def _judge(self, table: dict[str, dict[str, float]]) -> Iterator[Finding]:
        wrong, dead = {}, {}
        for (name, row), angle in zip(table.items(), ANGLES, strict=True):
            if not row["off_rad"] <= OFF * min(angle, 1.0):
                wrong[name] = row["off_rad"]
            if not row["gradient_off"] <= SLOPE_OFF:
                dead[name] = row["gradient_off"]
        if not wrong and not dead:
            return
        worst = max(wrong or dead, key=(wrong or dead).__getitem__)
        row = table[worst]
        yield Finding(
            id=f"{self.id}/{'wrong' if wrong else 'gradient'}",
            severity="error",
            path="model.head",
            message=f"Told to turn by {worst}, the head answers a rotation {row['off_rad']:.3g} "
            f"rad away, and its gradient differs by {row['gradient_off']:.3g} of what it should "
            f"be. Wrong in value at {', '.join(wrong) or 'no angle'}, in gradient at "
            f"{', '.join(dead) or 'no angle'}: rotations go through angles on the way.",
            evidence={**row, "at": worst, "wrong": ", ".join(wrong), "gradient": ", ".join(dead)},
        )


class Start:
    """The rotations that a head corrects: proper ones, of a hand that is held upright.

    Two columns of a 6D start that are parallel make a rotation of rounding, with a gradient a
    million times too large; taken to a rotation vector, an arbitrary turn stays of it (UTNet V11:
    the wrist of the public mean file is stored in the transposed layout).
    """

    id: ClassVar[str] = "numeric.start"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = (
        "The rotations a head starts from are well defined, and its wrist is upright in the axes "
        "of some camera, as the mean hand's is."
    )
    see: ClassVar[str] = "docs/probes.md#numeric-start"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Starts that hang on rounding, and wrists that no camera shows upright."""
        reader = reader_of(subject, 1, "pose_", "coarse_pose_")
        numbers = reader.start[0].detach()
        slopes = _slopes(reader.written, numbers)
        evidence: dict[str, Any] = {"slope": [float(slope) for slope in slopes]}
        if reader.written.width == 6:
            evidence["sine_between_columns"] = [float(s) for s in _sines(reader.name, numbers)]
        joint = int(slopes.nan_to_num(torch.inf, torch.inf).argmax())
        if not float(slopes[joint]) < STEEP:
            return ProbeResult((self._degenerate(joint, evidence),), evidence)
        wrist = reader.written.to_rotmat(numbers[0])
        mean = hand_of(subject).mean_pose_rotmats()[0]
        signs = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))
        upright = torch.stack([torch.diag(torch.tensor(sign)) @ mean for sign in signs])
        away = float(geodesic_angle(wrist.expand_as(upright), upright).amin())
        evidence["wrist_from_upright_rad"] = away
        return ProbeResult(() if away <= ASIDE else (self._aside(away),), evidence)

    def _degenerate(self, joint: int, evidence: dict[str, Any]) -> Finding:
        slope = evidence["slope"][joint]
        sines = evidence.get("sine_between_columns")
        told = f", the sine between its columns {sines[joint]:.2g}" if sines else ""
        return Finding(
            id=f"{self.id}/degenerate",
            severity="error",
            path="model.head",
            message=f"The numbers rotation {joint} starts from hardly say a rotation: its slope is "
            f"{slope:.2g}{told}. Are they read in the layout they were written in?",
            evidence={"rotation": joint, "slope": slope},
        )

    def _aside(self, away: float) -> Finding:
        return Finding(
            id=f"{self.id}/aside",
            severity="warning",
            path="model.head",
            message=f"The wrist that is corrected starts {away:.2f} rad from the mean hand, and no "
            "camera's axes explain it: the start is read in another layout than it was written in, "
            "or is no hand's.",
            evidence={"angle_rad": away},
        )


def reader_of(subject: Subject, hands: int, *prefixes: str) -> Reader:
    """A fresh head, and its query of one hand, several times over.

    prefixes: of the names in aux under which the numbers may stand, the likeliest first.
    Unrunnable where the head does not tell its numbers, or does not correct an estimate.
    """
    model = subject.fresh_model().eval()
    if not all(hasattr(model, name) for name in ("backbone", "head")):
        raise Unrunnable("the model has no backbone and head of the zoo's kind")
    view, _ = single_frames(subject, 1)
    with torch.no_grad():
        tokens = model.backbone(view.images).float()
        neck = getattr(model, "neck", None)
        tokens = tokens if neck is None else neck(tokens, view).float()
        query = model.head.query(tokens, view)
        rows = torch.zeros(hands, dtype=torch.int64)  # one hand, as often as is asked for
        query, view = query.map(lambda t: t[rows]), view.map(lambda t: t[rows])
        said = model.head.read(query, view)
    names = {f"{prefix}{kind}": kind for prefix in prefixes for kind in REPRESENTATIONS}
    name = next((name for name in names if name in said.aux), None)
    if name is None or not query.estimates:
        raise Unrunnable("the head does not tell the numbers behind its rotations")
    reader = Reader(model.head, view, query, name, REPRESENTATIONS[names[name]])
    if query.estimates[-1].shape[-1] < reader.width or not _follows(reader):
        raise Unrunnable("the head's rotations are no correction of an estimate")
    return reader


@torch.no_grad()
def _follows(reader: Reader) -> bool:
    """Whether the pose numbers move by as much as the estimate does."""
    estimate = reader.query.estimates[-1]
    moved = estimate.clone()  # numbers may be a view of the estimate
    moved[:, : reader.width] += 0.1
    _, before = reader.read(estimate)
    _, after = reader.read(moved)
    return float((after - before - 0.1).abs().amax()) < _FOLLOWS


@torch.no_grad()
def _correction(reader: Reader) -> tuple[Tensor, Tensor]:
    """(B, 16, 3, 3) twice: what an answer turns its numbers' rotations by, left and right of them.

    Nothing where they are the answer's own numbers. Told from two ordinary rotations; Unrunnable
    where it is no turn on either side.
    """
    none = torch.eye(3).expand(len(reader.start), NUM_ROTATIONS, 3, 3)
    if reader.name.startswith("pose_"):
        return none, none
    first, second = (
        rotvec_to_rotmat(torch.tensor(vector)).expand_as(none)
        for vector in ((0.7, -0.4, 0.3), (-0.2, 0.9, 0.5))
    )
    one, other = (
        reader.read(_estimate_for(reader, reader.written.from_rotmat(turns)))[0].rotmats
        for turns in (first, second)
    )
    left, right = one @ first.mT, first.mT @ one
    for before, after in ((left, none), (none, right)):
        if float((before @ second @ after - other).abs().amax()) < _FOLLOWS:
            return before, after
    raise Unrunnable("the head corrects the rotations of its estimate by more than a turn")


@torch.no_grad()
def _estimate_for(reader: Reader, wanted: Tensor) -> Tensor:
    """The last estimate moved so that the head's pose numbers are the wanted ones."""
    estimate = reader.query.estimates[-1].clone()
    for _ in range(2):  # once more, for what rounding left
        _, numbers = reader.read(estimate)
        estimate[:, : reader.width] += (wanted - numbers).flatten(1)
    return estimate


def _apart(estimate: Tensor, said: Tensor, alone: Tensor, expected: Tensor, width: int) -> Tensor:
    """(B,) how far the answer's gradient is from the numbers' own, in sizes of it."""
    weights = torch.randn(said.shape, generator=torch.Generator().manual_seed(0))
    (found,) = torch.autograd.grad((said * weights).sum(), estimate)
    (due,) = torch.autograd.grad((expected * weights).sum(), alone)
    due = due.flatten(1)
    return ((found[:, :width] - due).norm(dim=-1) / due.norm(dim=-1)).nan_to_num(torch.inf)


def _slopes(written: Representation, numbers: Tensor) -> Tensor:
    """(16,) how far a rotation turns for a unit of its numbers."""
    numbers = numbers.clone().requires_grad_()
    rotmats = written.to_rotmat(numbers).flatten(1)
    rows = [
        torch.autograd.grad(rotmats[:, entry].sum(), numbers, retain_graph=True)[0]
        for entry in range(9)
    ]
    return torch.stack(rows).square().sum((0, 2)).sqrt()


def _sines(name: str, numbers: Tensor) -> Tensor:
    """(16,) between the two columns of each rotation."""
    if name.endswith("columns"):
        first, second = numbers[:, :3], numbers[:, 3:]
    else:
        first, second = numbers.unflatten(-1, (3, 2)).unbind(-1)
    across = torch.linalg.cross(first, second).norm(dim=-1)
    return across / (first.norm(dim=-1) * second.norm(dim=-1)).clamp(min=1e-12)
