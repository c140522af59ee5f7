"""`zoo eval --protocol`: a published benchmark's scores of an evaluation, and its submission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from registry.layout import at
from zoo.app.evaluation.evaluate import Evaluation
from zoo.data.converters.ho3d import read_list
from zoo.metrics.protocols import Answers, find
from zoo.metrics.submission import write_submission


def report_protocol(
    name: str,
    evaluation: Evaluation,
    config: Mapping[str, Any],
    console: Console,
    *,
    submission: Path | None = None,
    order: Path | None = None,
) -> dict[str, float]:
    """Prints and returns the official scores, with everything a number has to be told with.

    submission: where to write the file the benchmark's server takes. order: HO-3D's evaluation.txt.

    Raises ValueError for an unknown protocol, or labels it cannot be scored on, unless a
    submission was asked for: the labels of an evaluation split may be with the server alone.
    """
    protocol, answers = find(name), answers_of(evaluation, config)
    scores: dict[str, float] = {}
    try:
        scores = protocol(answers)
    except ValueError as error:
        if submission is None:
            raise
        console.print(f"[yellow]not scored here:[/] {error}", highlight=False)
    table = Table("", "", title=f"Protocol {name}", title_style="bold", show_header=False)
    for what, said in protocol.table().items():
        table.add_row(what, said)
    table.add_section()
    for what, value in scores.items():
        table.add_row(what, f"{value:.6g}")
    console.print(table)
    if submission is not None:
        lines = None if order is None else read_list(order)
        count = write_submission(name, answers, submission, order=lines)
        console.print(f"{count} hands in {submission}", highlight=False)
    return scores


def answers_of(evaluation: Evaluation, config: Mapping[str, Any]) -> Answers:
    """What protocols compare, from one pass over the evaluation data."""

    def column(part: str, name: str) -> torch.Tensor | None:
        rows = evaluation.records
        if not rows or name not in rows[0].get(part, {}):
            return None
        return torch.from_numpy(np.stack([np.asarray(row[part][name]) for row in rows]))

    size, expand = at(config, "augmentation.crop.size"), at(config, "augmentation.crop.expand")
    count = len(evaluation.records)
    return Answers(
        joints=column("prediction", "joints"),
        vertices=column("prediction", "vertices"),
        keypoints=column("prediction", "keypoints"),
        label_joints=column("target", "joints"),
        joints_valid=column("target", "joints_valid"),
        label_vertices=column("target", "vertices"),
        vertices_valid=column("target", "vertices_valid"),
        label_keypoints=column("target", "keypoints"),
        keypoints_valid=column("target", "keypoints_valid"),
        # the crop is `expand` longer sides of the box wide
        box_side=torch.full((count,), max(size) / float(expand)),
        is_left=torch.tensor(evaluation.is_left, dtype=torch.bool),
        keys=tuple(key for _, key in evaluation.keys),
    )
