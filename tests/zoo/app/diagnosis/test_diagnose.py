"""`zoo diagnose` from the command line: a stranger's model, a run, exit codes, files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from zoo.app.cli.main import app
from zoo.app.diagnosis.diagnose import DiagnoseRequest, failed, run_diagnosis
from zoo.app.diagnosis.run_folder import RunFolder
from zoo.app.guards import read_batch
from zoo.app.training.train import TrainRequest, train

OWN = """
import torch
from torch import nn
from benchmarks.own_model import hand_of, wrap
from benchmarks.subject import rendered_frames


class Blind(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Parameter(torch.zeros(10))
        self.forgotten = nn.Linear(2, 2)

    def forward(self, images):
        return self.used.expand(len(images), 10)


def read(out, view):
    rotmats = torch.eye(3).expand(len(out), 16, 3, 3)
    position = torch.tensor((0.0, 0.0, 0.5)).expand(len(out), 3)
    return hand_of(rotmats, out, position=position, view=view)


def shape_loss(prediction, mesh, target):
    return (prediction.betas - target.betas).square().mean()


frames = rendered_frames(4, seed=0, image_size=64)
subject = wrap(Blind, read=read, losses={"betas": shape_loss}, crop=(64, 64), frames=frames)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("own") / "my_model.py"
    file.write_text(OWN)
    return file


def test_a_strangers_model_is_diagnosed_and_everything_asked_for_is_written(own, tmp_path):
    files = {"--json": tmp_path / "deep" / "d.json", "--html": tmp_path / "deep" / "d.html"}
    asked = [text for name, file in files.items() for text in (name, str(file))]
    result = CliRunner().invoke(
        app, ["diagnose", str(own), "none", "--probe", "gradient.optimised", *asked]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(files["--json"].read_text())
    assert [subject["name"] for subject in report["subjects"]] == ["own model"]
    assert report["probes"][0]["id"] == "gradient.optimised"
    assert report["exhibits"][0]["crop_hw_px"] == [64, 64]
    assert "own model" in files["--html"].read_text()


def test_fail_on_counts_the_first_subjects_findings_and_crashes():
    def report(**counted: int) -> dict:
        zero = dict.fromkeys(("error", "warning", "crashed"), 0)
        return {"subjects": [{"name": "a"}], "counts": {"subjects": {"a": {**zero, **counted}}}}

    assert not failed(report(error=3), None)
    assert failed(report(error=1), "error")
    assert not failed(report(warning=1), "error")
    assert failed(report(warning=1), "warning")
    assert failed(report(crashed=1), "error")
    assert not failed(report(), "warning")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["csvit9"], "There is no config 'csvit9'"),
        (["csvit2", "none", "--probe", "gradiant"], "Did you mean 'gradient"),
        (["."], "no log of a training run"),
    ],
)
def test_a_users_mistake_is_one_sentence(arguments, said):
    result = CliRunner().invoke(app, ["diagnose", *arguments])
    assert isinstance(result.exception, ValueError)
    assert said in str(result.exception)


def test_a_file_that_raises_or_holds_no_subject_is_named(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("subject = 1 / 0\n")
    with pytest.raises(ValueError, match=r"broken.py could not be run: ZeroDivisionError"):
        run_diagnosis(DiagnoseRequest((str(broken),)), Console())
    broken.write_text("subject = 3\n")
    with pytest.raises(ValueError, match=r"`subject` is int; make it with"):
        run_diagnosis(DiagnoseRequest((str(broken),)), Console())


@pytest.fixture(scope="module")
def run(tmp_path_factory, hands, tiny_changes) -> Path:
    """A run of three steps whose loss is not a number: the guards keep its batches."""
    folder = tmp_path_factory.mktemp("runs") / "sick"
    request = TrainRequest(
        "csvit2_ief3",
        size="tiny",
        data=str(hands),
        steps=4,
        work_dir=folder,
        changes=(
            *tiny_changes,
            "model.losses.joints.weight=1e39",
            "custom_hooks.guards.parameters_every=2",
            "custom_hooks.guards.keep=2",
            "default_hooks.logger.interval=1",
        ),
    )
    train(request, Console(quiet=True))
    return folder


def test_guards_keep_the_batches_of_a_loss_that_is_not_finite(run):
    kept = sorted((run / "bad_batches").iterdir())
    assert [file.name for file in kept] == ["step_1_rank0.pth", "step_2_rank0.pth"]
    batch = read_batch(kept[0])
    assert len(batch) == 4
    assert batch.frames[0].image.dtype == torch.uint8
    assert batch.frames[0].label.joints.shape == (21, 3)
    with pytest.raises(ValueError, match="no batch that training kept"):
        read_batch(next(run.glob("iter_*.pth")))


def test_a_runs_folder_is_its_recipe_its_log_and_its_weights(run):
    folder = RunFolder.read(run)
    assert folder.log.config["model"]["head"]["dim"] == 32
    assert folder.log.config["model"]["head"]["camera"]["bins"] == (32, 32, 32)
    assert list(folder.log.steps) == [1, 2, 3, 4]
    found = {finding.id for law in folder.laws() for finding in law.findings}
    assert "run.finite/not" in found
    subject = folder.subject()
    assert subject.name == "sick"
    assert subject.checkpoint == run / "iter_4.pth"


def test_a_run_is_diagnosed_on_a_batch_its_guards_kept(run):
    request = DiagnoseRequest(
        (str(run),),
        data=str(run / "bad_batches" / "step_1_rank0.pth"),
        probes=("gradient.optimised",),
    )
    report = run_diagnosis(request, Console(quiet=True))
    assert report["subjects"][0]["hands"] == 4
    assert report["verdict"]["causes"][0]["path"].startswith("model.losses")
    assert report["exhibits"][0]["staircase_mm"]["all"] > 0


def test_a_folder_with_a_log_and_no_recipe_says_so(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for file in (*copy.glob("*.py"), copy / "run.json"):
        file.unlink()
    with pytest.raises(ValueError, match="neither a config"):
        RunFolder.read(copy)


def test_the_four_reasons_why_the_old_model_did_not_learn_come_first():
    request = DiagnoseRequest(
        ("csvit2_old", "hamer"),
        probes=("gradient.reach", "ledger", "numeric.turns", "label.truth"),
    )
    causes = run_diagnosis(request, Console(quiet=True))["verdict"]["causes"][:4]
    assert [cause["path"] for cause in causes] == [
        "model.head.init",
        "model.head.residual",
        "model.head.camera",
        "model.losses.numbers",
    ]
    assert "translation: it is untrained" in causes[2]["text"]
    assert "different units" in causes[3]["text"]
