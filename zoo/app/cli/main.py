"""The door: what users type. Thin, and quick to open; torch loads only where it is needed."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from zoo.app.cli.bench import add_bench_commands
from zoo.app.cli.check import add_check_commands
from zoo.app.cli.data import data_app
from zoo.app.cli.diagnose import add_diagnose_commands
from zoo.app.cli.diff import add_diff_commands
from zoo.app.cli.export import add_export_commands
from zoo.app.cli.info import add_info_commands
from zoo.app.cli.ladder import add_ladder_commands
from zoo.app.cli.scaffold import add_new_commands
from zoo.app.cli.weights import add_weights_commands

app = typer.Typer(
    name="zoo",
    help="Hand-mesh models in exchangeable parts: train, measure, compare, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data_app, name="data")
add_info_commands(app)
add_weights_commands(app)
add_export_commands(app)
add_diff_commands(app)
add_new_commands(app)
add_check_commands(app)
add_diagnose_commands(app)
add_bench_commands(app)
add_ladder_commands(app)


class Size(StrEnum):
    """How large a config is built."""

    auto = "auto"
    tiny = "tiny"
    small = "small"
    full = "full"


class Precision(StrEnum):
    """What the network computes in; everything with a unit stays fp32."""

    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"


class Device(StrEnum):
    """Where a command computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Launcher(StrEnum):
    """How several processes are started."""

    none = "none"
    pytorch = "pytorch"
    slurm = "slurm"


PROTOCOL = "Score as freihand, ho3d, dexycb, interhand, hint or hot3d does, too"
Config = Annotated[str, typer.Argument(help="A config file, or its bare name: csvit2_ief3")]
Changes = Annotated[
    Optional[list[str]], typer.Option("--set", help="Change one value: model.head.steps=3")  # noqa: UP045
]
Plugins = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file that registers parts")  # noqa: UP045
]
SizeOption = Annotated[Size, typer.Option(help="auto: full where GPU, weights and shards are")]
DeviceOption = Annotated[Device, typer.Option(help="auto: CUDA where there is one")]
Data = Annotated[
    Optional[str], typer.Option(help="Shards: a folder, a glob or a brace range")  # noqa: UP045
]


ValData = Annotated[
    Optional[str], typer.Option(help="Validation shards; default: DATA/val, or --data")  # noqa: UP045
]
Steps = Annotated[Optional[int], typer.Option(help="Budget; the schedule keeps its shape")]  # noqa: UP045
Seed = Annotated[Optional[int], typer.Option(help="Of weights, data order, augmentation")]  # noqa: UP045
PrecisionOption = Annotated[Optional[Precision], typer.Option(help="Of the network")]  # noqa: UP045
WorkDir = Annotated[Optional[Path], typer.Option(help="Default: runs/CONFIG-SIZE")]  # noqa: UP045
BoxOption = Annotated[
    Optional[list[str]], typer.Option(help="x0,y0,x1,y1 in pixels; once for every hand")  # noqa: UP045
]
SideOption = Annotated[
    Optional[list[str]], typer.Option(help="left or right, one for all or one for each box")  # noqa: UP045
]
FramesPerSecond = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="Of a folder of frames, for a model of clips; a video knows its own"),
]
LauncherOption = Annotated[Launcher, typer.Option(help="Who started several processes")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint")]


@app.command()
def train(
    config: Config,
    size: SizeOption = Size.auto,
    data: Data = None,
    val_data: ValData = None,
    steps: Steps = None,
    seed: Seed = None,
    precision: PrecisionOption = None,
    work_dir: WorkDir = None,
    resume: Resume = False,
    changes: Changes = None,
    plugins: Plugins = None,
    launcher: LauncherOption = Launcher.none,
) -> None:
    """Train the model a config describes, and show how good it became."""
    from registry.config import find

    find(config)  # a misspelt name is answered before torch loads
    from zoo.app.training.train import TrainRequest
    from zoo.app.training.train import train as run

    request = TrainRequest(
        config,
        size.value,
        data,
        val_data,
        steps,
        seed,
        precision and precision.value,
        work_dir,
        resume,
        tuple(changes or ()),
        tuple(plugins or ()),
        launcher.value,
        command=_typed(),
    )
    if not run(request, Console()).finished:
        raise typer.Exit(1)


@app.command("eval")
def evaluate(
    config: Config,
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a run")],
    data: Data = None,
    size: SizeOption = Size.auto,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")] = None,  # noqa: UP045
    protocol: Annotated[Optional[str], typer.Option(help=PROTOCOL)] = None,  # noqa: UP045
    submission: Annotated[Optional[Path], typer.Option(help="Write the server's file here")] = None,  # noqa: UP045
    order: Annotated[Optional[Path], typer.Option(help="HO-3D's evaluation.txt")] = None,  # noqa: UP045
    device: DeviceOption = Device.auto,
    changes: Changes = None,
    plugins: Plugins = None,
) -> None:
    """Measure a checkpoint on shards: every metric with its count, interval and source."""
    from registry.config import find

    find(config)
    from zoo.app.evaluation.measure import measure_checkpoint

    measure_checkpoint(
        config,
        checkpoint,
        data=data,
        size=size.value,
        json_file=json,
        changes=changes or [],
        plugins=plugins or [],
        console=Console(),
        protocol=protocol,
        submission=submission,
        order=order,
        device=device.value,
    )


@app.command()
def predict(
    config: Config,
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a run")],
    images: Annotated[list[Path], typer.Argument(help="Pictures, folders or videos")],
    box: BoxOption = None,
    side: SideOption = None,
    focal: Annotated[Optional[float], typer.Option(help="px; default: the diagonal")] = None,  # noqa: UP045
    out: Annotated[Path, typer.Option(help="Where the results go")] = Path("predictions"),
    every: Annotated[int, typer.Option(help="Of a video, each EVERY-th frame")] = 1,
    fps: FramesPerSecond = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results")] = False,
    size: SizeOption = Size.auto,
    device: DeviceOption = Device.auto,
    changes: Changes = None,
    plugins: Plugins = None,
) -> None:
    """Recover the hands in pictures: overlay PNG, .obj, .glb and JSON for each.

    A config of clips (csvit2_stage2) also refines every frame of a film by the frames before it.
    """
    from registry.config import find

    find(config)
    from zoo.app.evaluation.predict import PredictRequest, predict_hands

    request = PredictRequest(
        config=config,
        checkpoint=checkpoint,
        images=tuple(images),
        boxes=tuple(box or ()),
        sides=tuple(side or ("right",)),
        focal=focal,
        out=out,
        every=every,
        fps=fps,
        overwrite=overwrite,
        size=size.value,
        device=device.value,
        changes=tuple(changes or ()),
        plugins=tuple(plugins or ()),
    )
    if not predict_hands(request, Console()):
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line; a user's mistake is one sentence and exit code 2."""
    traceback = "--traceback" in sys.argv
    if traceback:
        sys.argv.remove("--traceback")
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        if traceback:
            raise
        Console(stderr=True).print(f"[bold red]error:[/] {_escaped(error)}", highlight=False)
        raise SystemExit(2 if isinstance(error, ValueError) else 1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _escaped(error: Exception) -> str:
    from rich.markup import escape

    text = str(error).strip() or type(error).__name__
    # Other libraries' internal errors say little by themselves.
    known = isinstance(error, ValueError) or type(error).__module__.startswith(("zoo", "registry"))
    hint = "" if known else " (where: add --traceback)"
    return escape(text + hint)


def _typed() -> str:
    return shlex.join(["zoo", *sys.argv[1:]])
