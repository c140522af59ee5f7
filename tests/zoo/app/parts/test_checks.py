"""The contract's rules find what breaks them, and leave the shipped parts in peace."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Generator, Tensor, nn
from typer.testing import CliRunner

from zoo.app.cli.main import app
from zoo.app.parts.checks import check_part
from zoo.contracts import CameraReadout, CropView, HandQuery, Prediction, ViewChange
from zoo.geometry.rotation import rot6d_to_rotmat


class MixingHead(nn.Module):
    """Looks at the other hands of the batch, and forgets a layer."""

    def __init__(self, *, token_dim: int, camera: CameraReadout, dim: int = 8) -> None:
        super().__init__()
        self.query_dim, self.camera, self.provides = dim, camera, camera.provides
        self.embed, self.forgotten = nn.Linear(token_dim, dim), nn.Linear(dim, dim)
        self.pose, self.shape = nn.Linear(dim, 16 * 6), nn.Linear(dim, 10)

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        token = self.embed(tokens.mean(1))
        return HandQuery(token=token - token.mean(0))

    def read(self, query: HandQuery, view: CropView) -> Prediction:
        numbers = self.pose(query.token).unflatten(-1, (16, 6))
        reading = self.camera(query.token, None, view)
        rotmats = rot6d_to_rotmat(numbers, order="columns")
        return Prediction(rotmats, self.shape(query.token), reading.pose, reading.aux)


class GlobalZoom:
    """Draws from everybody's random state, and edits the camera it is given."""

    def __init__(self, *, spread: float = 0.1) -> None:
        self.spread = spread

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        intrinsics[:, :2, :2] *= 1 + self.spread * torch.rand(())
        linear = torch.eye(3).expand(len(intrinsics), 3, 3)
        return ViewChange(linear, intrinsics)


class Brighter:
    """Brighter than white."""

    def __init__(self) -> None: ...

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        return images + 0.5


class HalfMetric:
    """Forgets the count, and has no unit."""

    name = ""

    def __init__(self) -> None: ...

    def __call__(self, mesh, target) -> tuple[Tensor, Tensor]:
        error = (mesh.joints - target.joints).norm(dim=-1)
        return error.mean(-1) - error.mean(), torch.ones(1)


def failed(slot: str, part: str | type, **arguments) -> dict[str, str]:
    found = check_part(slot, part, arguments=arguments)
    return {check.name: check.seen for check in found if check.state == "failed"}


@pytest.mark.parametrize(
    ("slot", "part"),
    [
        ("view_augmentation", "roll"),
        ("view_augmentation", "perspective_rotation"),
        ("pixel_augmentation", "erasing"),
        ("metric", "pa_mpjpe"),
    ],
)
def test_shipped_parts_keep_the_rules(slot, part):
    assert failed(slot, part) == {}


def test_a_head_that_mixes_hands_and_forgets_a_layer_is_found():
    found = failed("head", MixingHead)
    assert found.keys() == {"batch invariance", "gradients", "bf16"}
    assert "when other hands join" in found["batch invariance"]
    assert "head.forgotten.weight" in found["gradients"]


def test_an_augmentation_that_touches_what_is_not_its_own_is_found():
    assert failed("view_augmentation", GlobalZoom).keys() == {
        "leaves its input",
        "determinism",
        "random state",
    }


def test_pixels_beyond_white_are_found():
    assert "reach from 0.5" in failed("pixel_augmentation", Brighter)["range"]


def test_a_metric_without_counts_or_unit_is_found():
    assert failed("metric", HalfMetric).keys() == {"shapes", "batch invariance", "named"}


def test_a_part_that_cannot_be_built_is_one_failed_line():
    found = failed("view_augmentation", "roll", distribution="gauss")
    assert "'uniform', 'normal'" in found["builds"]


def test_a_slot_without_rules_is_a_sentence():
    with pytest.raises(ValueError, match=r"no contract checks for 'hed'. Did you mean 'head'"):
        check_part("hed", "roll")


def test_the_command_ends_with_1_when_a_rule_is_broken_and_writes_what_it_saw(tmp_path):
    ended = CliRunner().invoke(app, ["check-part", "pixel_augmentation", "grayscale"])
    assert ended.exit_code == 0, ended.output
    assert "failed" not in ended.output
    file = tmp_path / "own_brighter_plugin.py"
    file.write_text(
        "from registry.catalog import pixel_augmentations\n\n\n"
        "@pixel_augmentations.register('too_bright')\n"
        "class TooBright:\n"
        '    """Brighter than white."""\n\n'
        "    def __init__(self) -> None: ...\n\n"
        "    def __call__(self, images, rng):\n"
        "        return images + 0.5\n"
    )
    words = ["check-part", "pixel_augmentation", "too_bright", "--plugin", str(file)]
    ended = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "checks.json")])
    assert ended.exit_code == 1, ended.output
    rows = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert [row["name"] for row in rows if row["state"] == "failed"] == ["range"]
