"""`zoo weights`: published checkpoints looked into, turned into ours, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from registry.layout import at
from zoo.app.training.results import write_json
from zoo.contracts import HandAsset
from zoo.mano import files
from zoo.weights.account import Account
from zoo.weights.checkpoint_file import read, state_of, weights_file
from zoo.weights.families import FAMILIES, Family, UnknownFamily, named, of_ours, of_published


def inspect(
    path: Path, *, pickled_config: bool, json_file: Path | None, console: Console
) -> dict[str, Any]:
    """Prints and returns what a file of weights is, key by key; nothing in it is run.

    Raises UnreadableCheckpoint for a file that cannot be read as data.
    """
    file = _file_of(path)
    content = read(file, pickled_config=pickled_config)
    state = state_of(content)
    family = of_published(state)
    told: dict[str, Any] = {"schema": 1, "file": str(file), "tensors": len(state)}
    told["numbers"] = sum(tensor.numel() for tensor in state.values())
    told["also"] = sorted(str(key) for key in content if key != "state_dict" and key not in state)
    console.print(f"{file}: {len(state)} tensors, {told['numbers'] / 1e6:.1f} M numbers")
    if family is None:
        told |= _describe_other(state, console)
    else:
        told |= _describe_published(family, content, str(file), console)
    if told["also"]:
        console.print(f"beside the weights: {', '.join(told['also'])}", highlight=False)
    if json_file is not None:
        write_json(json_file, told)
    return told


def convert(
    path: Path,
    out: Path | None,
    *,
    to: str | None,
    family: str | None,
    hand: Path | None,
    pickled_config: bool,
    overwrite: bool,
    console: Console,
) -> list[Path]:
    """Turns a published checkpoint into ours, or, with `to`, ours into a published one.

    Raises ValueError (UnreadableCheckpoint, WrongCheckpoint, UnknownFamily) in one report.
    """
    file = _file_of(path)
    content = read(file, pickled_config=pickled_config)
    if to is not None:
        return _publish(file, content, out, named(to), hand, overwrite, console)
    state = state_of(content)
    chosen = of_published(state) if family is None else named(family)
    if chosen is None:
        raise UnknownFamily(_unknown(file, state))
    reader, folder = chosen.reader(), out or file.with_name(f"{file.stem}-zoo")
    _refuse_overwriting(folder, overwrite)
    weights = reader.from_content(content, source=str(file))
    _print_account(chosen, weights.account, weights.describe(), console)
    written = reader.write(weights, folder, name=file.name)
    for place in written:
        console.print(f"wrote {place}", highlight=False, soft_wrap=True)
    if weights.hand is not None:
        console.print(
            "[yellow]note:[/] mano.npz is the MANO hand that was in the file; it stays under "
            "MANO's licence (mano.is.tue.mpg.de)."
        )
    console.print(
        f"Next:\n  zoo predict {folder}/config.py {folder}/model.safetensors hand.jpg "
        f"--box x0,y0,x1,y1",
        highlight=False,
        soft_wrap=True,
    )
    return written


def _publish(
    file: Path,
    content: Mapping[str, Any],
    out: Path | None,
    family: Family,
    hand: Path | None,
    overwrite: bool,
    console: Console,
) -> list[Path]:
    state = state_of(dict(content))
    if of_published(state) is not None:
        raise ValueError(f"{file} already is a published checkpoint; leave --to out to convert it.")
    target = out or file.with_name(f"{file.stem}-{family.name}.ckpt")
    _refuse_overwriting(target, overwrite)
    asset = _hand_beside(file) if hand is None else files.load(hand)
    target.parent.mkdir(parents=True, exist_ok=True)
    family.reader().save_published(target, state, asset)
    console.print(f"{family.title}: wrote {target} with the hand {asset.name!r} in it")
    if asset.name == "mano":
        console.print("[yellow]note:[/] the file holds MANO's arrays and is under MANO's licence.")
    return [target]


def _hand_beside(file: Path) -> HandAsset:
    """The hand a checkpoint of ours was trained or converted with."""
    if (converted := file.with_name("mano.npz")).is_file():
        return files.load(converted)
    asset, record = "clayhand", file.with_name("run.json")
    if record.is_file():
        asset = at(json.loads(record.read_text()), "config.model.hand.asset", asset)
    return files.load(asset if Path(asset).is_file() else files.find(asset))


def _file_of(path: Path) -> Path:
    """The file a path means; of a run's folder, its last checkpoint."""
    from zoo.app.training import checkpoints

    if path.is_dir() and (found := checkpoints.latest(path)) is not None:
        return found[0]
    return weights_file(path)


def _describe_published(
    family: Family, content: Mapping[str, Any], source: str, console: Console
) -> dict[str, Any]:
    try:
        weights = family.reader().from_content(content, source=source)
    except ValueError as error:
        account = getattr(error, "account", None)
        if account is None:
            raise
        console.print(f"{family.title}, but not whole:\n{error}", highlight=False, soft_wrap=True)
        return {"family": family.name, "complete": False, **_as_json(account)}
    _print_account(family, weights.account, weights.describe(), console)
    return {
        "family": family.name,
        "complete": True,
        "is": weights.describe(),
        "hand": weights.hand is not None,
        **_as_json(weights.account),
    }


def _describe_other(state: Mapping[str, Tensor], console: Console) -> dict[str, Any]:
    modules = _modules(state)
    for name, count in modules.most_common():
        console.print(f"  {name:<20}{count:>6} tensors", highlight=False)
    ours = of_ours(state)
    if ours is not None:
        console.print(f"A model of the zoo; it can become {ours.title}: --to {ours.name}")
    else:
        console.print("Of no family the zoo converts: " + ", ".join(f.name for f in FAMILIES))
    return {"family": None, "modules": dict(modules), "can_become": ours and ours.name}


def _print_account(family: Family, account: Account, sizes: str, console: Console) -> None:
    console.print(f"{family.title}: {sizes}", highlight=False, soft_wrap=True)
    console.print(str(account), highlight=False, soft_wrap=True, markup=False)


def _as_json(account: Account) -> dict[str, Any]:
    modules = {m.name: {"matched": m.matched, "total": m.total} for m in account.modules}
    shapes = {key: {"found": f, "wanted": w} for key, (f, w) in account.wrong_shape.items()}
    return {
        "modules": modules,
        "missing": account.missing,
        "wrong_shape": shapes,
        "not_finite": account.not_finite,
        "unexpected": account.unexpected,
    }


def _refuse_overwriting(target: Path, overwrite: bool) -> None:
    taken = target.is_file() or (target.is_dir() and any(target.iterdir()))
    if taken and not overwrite:
        raise ValueError(f"{target} is there already; add --overwrite, or name another with --out.")


def _unknown(file: Path, state: Mapping[str, Tensor]) -> str:
    modules = ", ".join(name for name, _ in _modules(state).most_common(5)) or "no tensors"
    can = of_ours(state)
    hint = f" It is a model of the zoo: add --to {can.name} to publish it." if can else ""
    known = ", ".join(family.name for family in FAMILIES)
    return (
        f"{file}: the weights ({modules}) are of no family the zoo converts ({known}).{hint} "
        f"If it is a damaged file of one, name it with --family for a full account."
    )


def _modules(state: Mapping[str, Tensor]) -> Counter[str]:
    return Counter(key.split(".", 1)[0] for key in state)
