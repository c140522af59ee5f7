"""Whether parts that are each fine also fit together, and what to do where they do not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from registry.catalog import SLOTS
from registry.layout import SINGLE_PARTS, at
from zoo.contracts import Backbone, CameraReadout, Head, LossTerm, Neck, Temporal


class IncompatibleParts(ValueError):
    """Parts that are each fine, but do not fit together.

    The sentence names both, the reason and a way out; `between` holds their config paths.
    """

    def __init__(self, sentence: str, *, between: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.between = between


def neighbour_named(error: str, path: str) -> str | None:
    """The config path of the other part that an error of the part at `path` names, if it does."""
    for other in sorted(SINGLE_PARTS, key=len, reverse=True):
        if other != path and re.search(rf"\b{re.escape(other)}\b", error):
            return other
    return None


def check_crop_fits_backbone(crop_size: tuple[int, int] | None, backbone: Backbone) -> None:
    """The crop has the size the backbone was built for."""
    if crop_size is not None and tuple(crop_size) != tuple(backbone.image_size):
        wanted = tuple(backbone.image_size)
        raise IncompatibleParts(
            f"augmentation.crop.size is {tuple(crop_size)}, but {type(backbone).__name__} wants "
            f"{wanted} (model.backbone). Set one to the other: --set "
            f'"augmentation.crop.size={wanted}"',
            between=("augmentation.crop", "model.backbone"),
        )


def check_neck_keeps_width(backbone: Backbone, neck: Neck | None) -> None:
    """A neck hands on tokens of the width it received."""
    width = getattr(neck, "token_dim", backbone.token_dim)
    if width != backbone.token_dim:
        raise IncompatibleParts(
            f"model.neck ({type(neck).__name__}) says token_dim {width}, but "
            f"{type(backbone).__name__} gives {backbone.token_dim}. Leave token_dim out of the "
            "config; the neck is told.",
            between=("model.neck", "model.backbone"),
        )


def check_query_width(
    config: Mapping[str, Any], told: int, head: Head, temporal: Temporal | None
) -> None:
    """Camera and temporal part read queries of the width the head decodes."""
    if at(config, "model.head.camera") is not None and head.query_dim != told:
        raise IncompatibleParts(
            f"model.head.camera was told to read {told} numbers, but {type(head).__name__} "
            f"(model.head) decodes {head.query_dim}. Call the head's width `dim` or `query_dim` "
            f"in its constructor, or tell the camera: --set model.head.camera.dim={head.query_dim}",
            between=("model.head.camera", "model.head"),
        )
    width = getattr(temporal, "query_dim", head.query_dim)
    if width != head.query_dim:
        raise IncompatibleParts(
            f"model.temporal ({type(temporal).__name__}) refines queries of {width} numbers, but "
            f"{type(head).__name__} (model.head) decodes {head.query_dim}. Leave query_dim out of "
            "the config; the temporal part is told.",
            between=("model.temporal", "model.head"),
        )


def check_losses_fit_head(
    head: Head, losses: Mapping[str, LossTerm], camera: CameraReadout | None = None
) -> None:
    """Every loss reads only what the head promises, in the camera the head reasons in."""
    lacking = {
        f"model.losses.{name}": missing
        for name, term in losses.items()
        if (missing := frozenset(getattr(term, "needs", ())) - head.provides)
    }
    if lacking:
        first = next(iter(lacking))
        _refuse_unread(losses[first.removeprefix("model.losses.")], lacking, head, camera)
    for name, term in losses.items():
        if getattr(term, "needs_true_camera", False) and getattr(camera, "virtual", False):
            raise IncompatibleParts(
                f"model.losses.{name} ({type(term).__name__}) compares places in the true camera, "
                f"but {type(camera).__name__} (model.head.camera) puts the hand before a virtual "
                f"one, where depth is another number. Place it in the true one: --set "
                f"model.head.camera.intrinsics=true, or drop the loss: --set "
                f"model.losses.{name}=null",
                between=(f"model.losses.{name}", "model.head.camera"),
            )


def check_camera_is_taught(camera: CameraReadout | None, losses: Mapping[str, LossTerm]) -> None:
    """What a camera learns through a loss of its own alone is read by one, if anything trains."""
    needed = frozenset(getattr(camera, "trained_through", ()))
    read = frozenset().union(*(getattr(term, "needs", ()) for term in losses.values()))
    if losses and needed - read:
        way_out = getattr(camera, "companion_loss", None)
        added = f': --set "model.losses.of_camera={way_out}"' if way_out else ""
        raise IncompatibleParts(
            f"model.head.camera ({type(camera).__name__}) learns {_listed(needed - read)} only "
            f"through a loss that reads them, and none of model.losses ({', '.join(losses)}) does. "
            f"Add one{added}, or choose another camera (zoo list camera).",
            between=("model.head.camera", "model.losses"),
        )


def check_hooks_fit_head(
    config: Mapping[str, Any], head: Head, temporal: Temporal | None = None
) -> None:
    """A recipe that switches dropout has a head or temporal part that lets it."""
    for name, hook in (at(config, "custom_hooks") or {}).items():
        switches = hook and hook.get("type") == "ProgressiveDropout" and hook.get("probability")
        if switches and not any(hasattr(part, "set_dropout") for part in (head, temporal)):
            raise IncompatibleParts(
                f"custom_hooks.{name} (ProgressiveDropout) sets the head's dropout while training, "
                f"but {type(head).__name__} (model.head) has no set_dropout(p). Add that method, "
                f"or leave the hook out: --set custom_hooks.{name}=null",
                between=(f"custom_hooks.{name}", "model.head"),
            )


def _refuse_unread(
    term: LossTerm,
    lacking: Mapping[str, frozenset[str]],
    head: Head,
    camera: CameraReadout | None,
) -> None:
    """Raises with the part that should provide what losses need, and ways to have it.

    term: the first of them; lacking: what each one misses, by its path.
    """
    (path, missing), *others = lacking.items()
    cameras = _settings_providing(camera, missing) if camera is not None else []
    culprit, where = (camera, "model.head.camera") if cameras else (head, "model.head")
    ways = cameras or [f"another head (zoo list head --providing {min(missing)})"]
    without = " ".join(f"--set {one}=null" for one in lacking)
    alike = "".join(f"; {other} needs {_listed(more)}" for other, more in others)
    raise IncompatibleParts(
        f"{path} ({type(term).__name__}) needs {_listed(missing)}, but {type(culprit).__name__} "
        f"({where}) provides {_listed(culprit.provides) or 'nothing extra'}{alike}. Change one of "
        f"them: {', or '.join(ways)}; or do without: {without}",
        between=(path, where),
    )


def _settings_providing(camera: CameraReadout, wanted: frozenset[str]) -> list[str]:
    """What to set so that the camera read-out provides all of these names.

    A camera's class says what it provides as it is (`provides`) and, where an option changes that,
    what it provides then (`provides_by_option`: "norm_by_hand=true" -> names).
    """
    ways, slot, start = [], SLOTS["camera"], "--set model.head.camera"
    for name in slot.names():
        try:
            kind = slot.get(name)
        except ValueError:  # a broken plug-in is no way out, and no reason to fail here
            continue
        promised = getattr(kind, "provides", None)
        options = getattr(kind, "provides_by_option", {})
        this = type(camera) is kind
        other = "" if this else f"{start}={name} "
        if isinstance(promised, frozenset) and wanted <= promised:
            off = [f"{start}.{option.replace('=true', '=false')}" for option in options]
            ways += off if this else [other.strip()]
        ways += [f"{other}{start}.{o}" for o, names in options.items() if wanted <= names]
    return ways


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
