"""docs/combinations.md: what trains with what, as the covering design found it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from zoo.app.combinations.cells import Factors
from zoo.app.combinations.design import Result

COMMAND = "python -m zoo.app.combinations"
_HEAD = f"""# Combinations

<!-- Written by `{COMMAND}`; a test keeps it true. -->

Every part of every slot, and every distinct way in which a shipped config sets one, was put
together with every part of every other slot, and every head with every camera and every set of
losses. A combination either trains (two steps in bf16 at the smallest widths: finite loss, a
gradient in every trainable parameter, shapes as the contracts say) or is refused before anything
is trained, by a sentence that names both parts, the reason and a way out. There is no third
outcome.

A single loss is tried on top of losses on rotations, betas and keypoints, and of the one a camera
cannot learn without; "all of" is a config's own set.
"""


def page(result: Result) -> str:
    """The whole page."""
    blocks = [_HEAD, values_block(result.factors), *_numbers(result)]
    blocks += ["## Camera and losses", _cameras(result), "## What is refused", _refusals(result)]
    return "\n".join(block.rstrip() + "\n" for block in blocks)


def values_block(factors: Factors) -> str:
    """The part of the page that lists what was combined; costs no training to make."""
    lines = ["## What was combined", "", "| slot | values |", "|---|---|"]
    lines += [
        f"| {name} | {', '.join(f'`{label}`' for label in values)} |"
        for name, values in factors.items()
    ]
    return "\n".join(lines) + "\n"


def _numbers(result: Result) -> Iterator[str]:
    tried = len(result.trained) + len(result.refusals)
    whole = 1
    for values in result.factors.values():
        whole *= len(values)
    yield (
        f"{result.tuples} pairs and triples are covered by {tried} combinations out of "
        f"{whole:.1e}: {len(result.trained)} train, and {len(result.refusals)} sets of values "
        "refuse each other, whatever stands beside them.\n"
    )


def _cameras(result: Result) -> str:
    """Losses against cameras, over all heads: what trains, and with which heads only."""
    cameras = list(result.factors["camera"])
    lines = [
        f"| losses | {' | '.join(f'`{c}`' for c in cameras)} |",
        "|---" * (len(cameras) + 1) + "|",
    ]
    for losses in result.factors["losses"]:
        cells = [_cell(result, losses, camera) for camera in cameras]
        lines.append(f"| `{losses}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\nA head's name in a cell is one that is refused there.\n"


def _cell(result: Result, losses: str, camera: str) -> str:
    heads = list(result.factors["head"])
    rows = [{"head": head, "camera": camera, "losses": losses} for head in heads]
    refused = [row["head"] for row in rows if result.refused(row)]
    if len(refused) == len(heads):
        return "refused"
    return "trains" if not refused else "trains, not " + ", ".join(f"`{h}`" for h in refused)


def _refusals(result: Result) -> str:
    if not result.refusals:
        return "Nothing.\n"
    lines = []
    ordered = sorted(result.refusals, key=lambda r: sorted(r.values.items()))
    for _, group in itertools.groupby(ordered, key=lambda r: sorted(r.values.items())):
        refusal = next(group)
        both = " with ".join(f"{name} `{value}`" for name, value in refusal.values.items())
        lines.append(f"- {both}: {_plain(refusal.sentence)}")
    return "\n".join(lines) + "\n"


def _plain(sentence: str) -> str:
    """Options and paths of a sentence as code, so that Markdown leaves them as they are."""
    return re.sub(r'(--set (?:"[^"]*"|\S+?))(?=[,;.)]*(?:\s|$))', r"`\1`", sentence)
