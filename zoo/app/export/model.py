"""`zoo export`: a checkpoint as a file other programs run, kept only if it says what ours says."""

from __future__ import annotations

import importlib.util
import os
import pprint
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from registry.config import load
from registry.plugins import load_plugin
from registry.whole import build_model
from zoo.app.evaluation.evaluate import load_weights
from zoo.app.export import check as export_check
from zoo.app.export.check import Deviation, ExportDiffers, Run, rendered_view
from zoo.app.export.graph import INPUTS, OUTPUTS, CannotExport, HandGraph, trace
from zoo.app.machine.sizing import size_of_run
from zoo.app.training.checkpoints import CONVERTED
from zoo.contracts import CropView
from zoo.model import HandMeshModel

ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": "-safetensors"}
EXTRA = ("onnx", "onnxscript", "onnxruntime")
_README = """# {name}: weights of a hand-mesh-zoo model

- `model.safetensors`: {tensors} tensors, {numbers:.1f} M numbers; keys begin with the part they are
  of: {parts}.
- `config.py`: the model they belong to, resolved.

The hand (MANO or clayhand) is not inside. Use: `zoo predict config.py model.safetensors IMAGE`.
"""


@dataclass(frozen=True)
class ExportRequest:
    """What the user typed after `zoo export`."""

    config: str
    checkpoint: Path
    to: str
    out: Path | None = None
    overwrite: bool = False
    size: str = "auto"
    changes: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()


def export_model(request: ExportRequest, console: Console) -> Deviation:
    """Writes the export, checks it against the model and returns how far apart they are.

    Raises ValueError for what cannot be meant or exported, ExportDiffers for a file whose numbers
    are not the model's; nothing is left under the final name then.
    """
    target = _target(request)
    for plugin in request.plugins:
        load_plugin(plugin)
    size = size_of_run(request.config, request.checkpoint, request.size)
    config = load(request.config, request.changes, size=size)
    model = _built(config, request)
    view = rendered_view(model)
    write = {"onnx": _onnx, "torch-export": _torch_export, "safetensors": _safetensors}[request.to]
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.mkdir(parents=True)
    try:
        run = write(partial / target.name, model, view, config)
        found = export_check.deviation(_answer_of(model), run, view)
        if not found.small:
            raise ExportDiffers(f"{target} was not written: {_said(found)}.")
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console.print(f"wrote {target}: {_said(found)}", highlight=False, soft_wrap=True)
    if request.to != "safetensors":
        console.print(f"in: {', '.join(INPUTS)}; out: {', '.join(OUTPUTS)}", soft_wrap=True)
    return found


def _target(request: ExportRequest) -> Path:
    if request.to not in ENDINGS:
        raise ValueError(f"--to {request.to!r}: known are {', '.join(ENDINGS)}.")
    if request.to == "onnx" and (missing := [n for n in EXTRA if not importlib.util.find_spec(n)]):
        raise ValueError(
            f"--to onnx needs {', '.join(missing)}; pip install 'hand-mesh-zoo[export]' brings it."
        )
    folder = request.checkpoint if request.checkpoint.is_dir() else request.checkpoint.parent
    target = request.out or folder / f"{Path(request.config).stem}{ENDINGS[request.to]}"
    if target.exists() and not request.overwrite:
        raise ValueError(f"{target} is there already; add --overwrite, or name another with --out.")
    return target


def _built(config: Mapping[str, Any], request: ExportRequest) -> HandMeshModel:
    model = build_model(config)
    if model.temporal is not None and request.to != "safetensors":
        raise CannotExport(
            f"model.temporal ({type(model.temporal).__name__}) cannot be exported: the graph sees "
            f"single crops, not clips; use --to safetensors, or export its Stage 1."
        )
    load_weights(model, request.checkpoint)
    model.precision = "fp32"
    return model.eval()


def _torch_export(path: Path, model: HandMeshModel, view: CropView, _config: Any) -> Run:
    torch.export.save(trace(model, view), path)
    loaded = torch.export.load(path).module()
    return lambda crops: loaded(**crops)


def _onnx(path: Path, model: HandMeshModel, view: CropView, _config: Any) -> Run:
    program = trace(model, view)
    exported = torch.onnx.export(
        program, dynamo=True, input_names=INPUTS, output_names=OUTPUTS, verbose=False
    )
    exported.save(path)  # weights beyond 2 GB lie beside it, in NAME.data
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(crops: Mapping[str, Tensor]) -> dict[str, Tensor]:
        said = session.run(OUTPUTS, {name: value.numpy() for name, value in crops.items()})
        return {name: torch.from_numpy(value) for name, value in zip(OUTPUTS, said, strict=True)}

    return run


def _safetensors(
    folder: Path, model: HandMeshModel, _view: CropView, config: Mapping[str, Any]
) -> Run:
    folder.mkdir()
    state = {
        name: value.contiguous().clone()
        for name, value in model.state_dict().items()
        if not name.startswith("data_preprocessor.")
    }
    save_file(state, folder / CONVERTED, metadata={"format": "pt"})
    lines = [f"{name} = {pprint.pformat(value, width=96)}\n" for name, value in config.items()]
    about = '"""The model of the weights beside this file, with everything resolved."""\n\n'
    (folder / "config.py").write_text(about + "\n".join(lines), encoding="utf-8")
    text = _README.format(
        name=folder.name,
        tensors=len(state),
        numbers=sum(value.numel() for value in state.values()) / 1e6,
        parts=", ".join(sorted({name.split(".")[0] for name in state})),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    again = build_model(load(folder / "config.py"))
    load_weights(again, folder / CONVERTED)
    again.precision = "fp32"
    return _answer_of(again.eval())


def _answer_of(model: HandMeshModel) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    graph = HandGraph(model)
    return lambda crops: graph(**crops)


def _put(partial: Path, target: Path) -> None:
    """Moves what was written to its final names, the one that was asked for last."""
    if target.is_dir():
        os.replace(target, partial / "replaced")
    written = partial / target.name
    for beside in sorted(partial.glob(f"{target.name}.*")):
        os.replace(beside, target.with_name(beside.name))
    os.replace(written, target)


def _said(found: Deviation) -> str:
    batches = " and ".join(map(str, export_check.BATCHES))
    return (
        f"largest deviation from the model {found.mm:.4f} mm (allowed {found.allowed_mm:.2f}) and "
        f"{found.px:.4f} px (allowed {export_check.TOLERANCE_PX:.2f}), {batches} rendered crops"
    )
