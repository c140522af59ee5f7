"""Moves the named poses until pads meet and nothing overlaps, measured on the posed mesh."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import least_squares

from zoo.mano.procedural.anatomy import DIGITS, LONG_FINGERS
from zoo.mano.procedural.collision import vertex_normals
from zoo.mano.procedural.hand import Hand
from zoo.mano.procedural.postures import ANGLE_NAMES, DIP_PER_PIP

STEP = 0.4  # deg, for finite differences
SOFT = 0.3  # mm of overlap that flesh forgives
OVERLAP_WEIGHT, GAP_WEIGHT, FACING_WEIGHT, COUPLING_WEIGHT = 1.2, 1.0, 4.0, 0.04
# Where around a ring of ten a side lies; the thumb's rings begin one step earlier.
_SIDES = {"dorsal": (2,), "palmar": (7,), "radial": (0, 9)}


@dataclass(frozen=True)
class Patch:
    """Some vertices of one digit: rings counted from the base, and a side."""

    digit: str
    rings: tuple[int, ...]
    side: str

    def ids(self, hand: Hand) -> list[int]:
        shift = 1 if self.digit == "thumb" else 0
        rings = hand.mesh.tubes[self.digit].rings
        return [rings[r][(k - shift) % 10] for r in self.rings for k in _SIDES[self.side]]


@dataclass(frozen=True)
class Aim:
    """What a pose should touch and which digits may give way, by how many degrees."""

    touches: tuple[tuple[tuple[Patch, ...], tuple[Patch, ...], float], ...] = ()
    free: tuple[str, ...] = ()
    give: dict[str, float] = field(default_factory=dict)  # angle name ending -> deg


def _pad(digit: str) -> tuple[Patch, ...]:
    return (Patch(digit, (8, 9), "palmar"),)


def _backs(*names: str) -> tuple[Patch, ...]:
    return tuple(Patch(name, (4, 5), "dorsal") for name in names)


_FIRM_KNUCKLES = {
    **{f"{finger}_mcp": 5.0 for finger in LONG_FINGERS},
    **{f"{finger}_pip": 9.0 for finger in LONG_FINGERS},
}
_THUMB, _INDEX = _pad("thumb"), _pad("index")
_FIRM_THUMB = {"cmc_flex": 12, "cmc_abd": 10, "cmc_pron": 8, "thumb_mcp": 10, "thumb_ip": 10}
_RELAXED_THUMB = {"cmc_abd": 12, "cmc_pron": 15, "thumb_mcp": 8, "thumb_ip": 6}
AIMS = {
    "fist": Aim(((_THUMB, _backs("index", "middle"), 1.0),), DIGITS, _FIRM_KNUCKLES),
    "thumb_up": Aim((), DIGITS, {**_FIRM_KNUCKLES, **_FIRM_THUMB}),
    "point": Aim(
        ((_THUMB, _backs("middle"), 1.0),), ("thumb", "middle", "ring", "pinky"), _FIRM_KNUCKLES
    ),
    "two": Aim(((_THUMB, _backs("ring"), 1.0),), ("thumb", "ring", "pinky"), _FIRM_KNUCKLES),
    "three": Aim(((_THUMB, _backs("pinky"), 1.0),), ("thumb", "pinky"), _FIRM_KNUCKLES),
    "horns": Aim(
        ((_THUMB, _backs("middle", "ring"), 1.0),), ("thumb", "middle", "ring"), _FIRM_KNUCKLES
    ),
    "call": Aim((), ("index", "middle", "ring", "thumb"), {**_FIRM_KNUCKLES, **_FIRM_THUMB}),
    "pinch": Aim(((_THUMB, _INDEX, 1.0),), ("thumb", "index"), _RELAXED_THUMB),
    "ok": Aim(((_THUMB, _INDEX, 1.0),), ("thumb", "index"), {**_RELAXED_THUMB, "index_pip": 6}),
    "tripod": Aim(
        ((_THUMB, _INDEX, 0.6), (_THUMB, (Patch("middle", (7, 8), "radial"),), 0.3)),
        ("thumb", "index", "middle", "ring"),
        _RELAXED_THUMB,
    ),
    "key": Aim(((_THUMB, (Patch("index", (4, 5), "radial"),), 1.0),), DIGITS, {**_FIRM_KNUCKLES}),
}


def settle(hand: Hand, angles: np.ndarray, aim: Aim, *, starts: int = 3) -> np.ndarray:
    """Joint angles (21,) deg near the given ones that touch what they should and overlap nothing.

    The best of a few deterministic starts; bounded least squares with numeric derivatives.
    """
    wish = hand.prior.clamp(angles[None])[0]
    give = _give(aim)
    touches = [
        (
            [v for patch in a for v in patch.ids(hand)],
            [v for patch in b for v in patch.ids(hand)],
            w,
        )
        for a, b, w in aim.touches
    ]

    def residuals(x: np.ndarray) -> np.ndarray:
        vertices = hand.posed(hand.prior.clamp(x[None])[0])
        normals = vertex_normals(vertices, hand.mesh.faces)
        parts = [OVERLAP_WEIGHT * np.maximum(hand.penetration(vertices) - SOFT, 0)]
        for a, b, weight in touches:
            gap = vertices[a].mean(0) - vertices[b].mean(0)
            facing = normals[a].mean(0) + normals[b].mean(0)  # zero when the two skins oppose
            parts += [weight * GAP_WEIGHT * gap, weight * FACING_WEIGHT * facing]
        return np.concatenate((*parts, (x - wish) / give, _uncoupled(x, aim)))

    rng = np.random.default_rng(0)
    best = None
    for start in range(starts):
        x = wish + (0.4 * give * rng.standard_normal(21) if start else 0)
        x = np.clip(x, hand.prior.low + 1e-3, hand.prior.high - 1e-3)
        bounds = (hand.prior.low, hand.prior.high)
        derivative = _derivative(residuals, hand.prior.high)
        answer = least_squares(
            residuals, x, derivative, bounds=bounds, max_nfev=35, xtol=1e-3, ftol=1e-3
        )
        best = answer if best is None or answer.cost < best.cost else best
    return hand.prior.clamp(best.x[None])[0]


def _give(aim: Aim) -> np.ndarray:
    """(21,) deg each angle may reasonably move."""
    give = np.full(21, 3.0)
    for k, name in enumerate(ANGLE_NAMES):
        digit, joint = name.split("_", 1)
        if digit in aim.free:
            give[k] = 30.0 if digit == "thumb" else 5.0 if joint == "abd" else 22.0
        for ending, value in aim.give.items():
            if name.endswith(ending):
                give[k] = min(give[k], value) if digit != "thumb" or digit in aim.free else give[k]
    return give


def _uncoupled(x: np.ndarray, aim: Aim) -> np.ndarray:
    """How far the last joint of each moving finger is from following the middle one."""
    fingers = [k for k, name in enumerate(LONG_FINGERS) if name in aim.free]
    return np.array(
        [COUPLING_WEIGHT * (x[4 * k + 3] - DIP_PER_PIP * x[4 * k + 2]) for k in fingers]
    )


def _derivative(residuals, high: np.ndarray):
    def derivative(x: np.ndarray) -> np.ndarray:
        here, columns = residuals(x), []
        for k in range(len(x)):
            step = STEP if x[k] + STEP <= high[k] else -STEP
            moved = x.copy()
            moved[k] += step
            columns.append((residuals(moved) - here) / step)
        return np.stack(columns, 1)

    return derivative


def main() -> None:
    """Prints the rows of `postures.NAMED`, contact poses settled to whole degrees."""
    hand = Hand.build()
    for name, angles in hand.prior.named_angles.items():
        if name in AIMS:
            angles = settle(hand, angles, AIMS[name])
        whole = np.round(angles).astype(int).tolist()
        rows = [tuple(whole[4 * k : 4 * k + 4]) for k in range(4)] + [tuple(whole[16:])]
        print(f'    "{name}": ({", ".join(map(str, rows))}),')


if __name__ == "__main__":
    main()
