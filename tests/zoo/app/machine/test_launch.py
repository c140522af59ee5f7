"""Two processes train as one does: same losses, one folder, no waiting for each other for ever."""

from __future__ import annotations

import copy
import io
import itertools
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from rich.console import Console

from zoo.app.machine import launch
from zoo.app.training.precision import CheckedOptimWrapper
from zoo.app.training.train import TrainRequest, train

STEPS, COMPARED = 22, 20
SAME_VIEW = (  # nothing drawn at random, nothing that looks at a whole batch
    "model.backbone.stem=linear",
    "model.head.dropout=0.0",
    "model.precision=fp32",
    "augmentation.view={}",
    "augmentation.pixels={}",
    "custom_hooks={}",
    "data.train.shuffle=1",
    f"train_cfg.max_iters={STEPS}",
    f"train_cfg.val_interval={STEPS}",
    "train_cfg.val_begin=1",
    f"default_hooks.checkpoint.interval={STEPS}",
    "param_scheduler.warmup=2",
)

SCRIPT = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from rich.console import Console
from zoo.app.machine import launch
from zoo.app.training.train import TrainRequest, train

asked = json.loads(Path(sys.argv[1]).read_text())
ranks, leave = [], launch.leave
launch.leave = lambda: (ranks.append(get_rank()), leave())[1]
request = TrainRequest(**{**asked, "work_dir": Path(asked["work_dir"]), "launcher": "pytorch"})
train(request, Console())
losses = MessageHub.get_current_instance().log_scalars["train/loss"].data[0].tolist()
Path(sys.argv[1]).with_suffix(f".rank{ranks[0]}").write_text(json.dumps(losses))
"""


def uneven(folder: Path, hands: Path) -> Path:
    """One shard of 41 samples to train on, which two readers cannot share evenly; 7 to judge."""
    for part, count in (("train", 41), ("val", 7)):
        (folder / part).mkdir(parents=True)
        samples: dict[str, list[tuple[tarfile.TarInfo, bytes]]] = {}
        for shard in sorted((hands / part).glob("*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar:
                    key = member.name.partition(".")[0]
                    samples.setdefault(key, []).append((member, tar.extractfile(member).read()))
        with tarfile.open(folder / part / "uneven-000000.tar", "w") as tar:
            for number, key in enumerate(itertools.islice(itertools.cycle(samples), count)):
                for member, content in samples[key]:
                    member.name = f"{number:04d}.{member.name.partition('.')[2]}"
                    tar.addfile(member, io.BytesIO(content))
    return folder


def request(data: Path, work_dir: Path, changes: tuple[str, ...], batch_size: int) -> dict:
    batch = (f"data.train.batch_size={batch_size}", f"data.val.batch_size={batch_size}")
    return {
        "config": "csvit2_ief3",
        "size": "tiny",
        "data": str(data),
        "work_dir": str(work_dir),
        "changes": (*changes, *SAME_VIEW, *batch),
    }


def test_two_processes_on_uneven_shards_train_and_measure_as_one_does(
    hands, tiny_changes, tmp_path
):
    data = uneven(tmp_path / "data", hands)
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(request(data, tmp_path / "two", tiny_changes, 1)))
    (tmp_path / "script.py").write_text(SCRIPT)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *command, tmp_path / "script.py", asked],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=Path(__file__).parents[4],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads(asked.with_suffix(f".rank{rank}").read_text()) for rank in (0, 1)]
    assert ranks[0] != ranks[1], "each has hands of its own"

    alone = request(data, tmp_path / "one", tiny_changes, 2)
    train(TrainRequest(**{**alone, "work_dir": tmp_path / "one"}), Console(file=io.StringIO()))
    one = MessageHub.get_current_instance().log_scalars["train/loss"].data[0][:COMPARED]
    two = torch.tensor(ranks, dtype=torch.float64).mean(0)[:COMPARED]
    torch.testing.assert_close(two, torch.from_numpy(one).double(), rtol=1e-5, atol=1e-5)

    runs = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("two", "one")]
    assert [run["steps"] for run in runs] == [STEPS, STEPS]
    assert runs[0]["metrics"].keys() == runs[1]["metrics"].keys()
    hands_seen = [run["metrics"]["num_hands"] for run in runs]
    assert hands_seen == [7, 7], "every hand counts once, whoever looked at it"
    assert not any(path.name.startswith("two-") for path in tmp_path.iterdir()), "one folder"


def test_torchrun_without_the_launcher_option_is_told_to_name_it(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"torchrun started 2 processes.*add --launcher pytorch"):
        launch.join("none", Console())


@pytest.mark.parametrize("launcher", ["pytorch", "slurm"])
def test_a_launcher_nobody_started_is_one_sentence(monkeypatch, launcher):
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=rf"--launcher {launcher}: .* is not set"):
        launch.join(launcher, Console())


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a CUDA device mmengine does this")
def test_slurm_numbers_the_processes_as_torchrun_does(monkeypatch):
    slurm = {"PROCID": "0", "NTASKS": "1", "LOCALID": "0", "LAUNCH_NODE_IPADDR": "127.0.0.1"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MASTER_PORT", "29517")
    try:
        launch.join("slurm", Console())
        assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    finally:
        assert launch.leave()
    assert not dist.is_initialized()


def test_alone_nothing_is_asked_of_others():
    console = Console()
    assert launch.join("none", console) is console
    assert launch.first_decides(lambda: 3) == 3
    assert launch.on_any(True)
    assert launch.wrapper() is None
    with launch.first_first():
        pass


def test_accumulated_gradients_are_those_of_one_larger_batch():
    torch.manual_seed(0)
    inputs, start = torch.randn(8, 3), torch.nn.Linear(3, 2)
    ends = []
    for parts in (1, 4):
        layer = copy.deepcopy(start)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
        wrapper = CheckedOptimWrapper(
            optimizer=optimizer, accumulative_counts=parts, clip_grad={"max_norm": 0.1}
        )
        for chunk in inputs.chunk(parts):
            with wrapper.optim_context(layer):
                wrapper.update_params(layer(chunk).square().mean())
        ends.append(torch.cat([p.detach().flatten() for p in layer.parameters()]))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)
    assert not torch.equal(ends[0][:6], start.weight.detach().flatten())
