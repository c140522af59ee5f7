from __future__ import annotations

import os
import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from zoo.weights.checkpoint_file import Description, UnreadableCheckpoint, plain, read

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1, 2])}


class Payload:
    """What a hostile file holds: something to call on opening."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_tensors_are_read_from_every_form(form, tmp_path):
    file = tmp_path / ("x.safetensors" if form == "safetensors" else "x.ckpt")
    if form == "safetensors":
        save_file(WEIGHTS, file)
    else:
        state = {"epoch": 3, "state_dict": WEIGHTS}
        torch.save(state, file, _use_new_zipfile_serialization=form == "zip")
    content = read(file)
    assert content.get("epoch") == (None if form == "safetensors" else 3)
    assert all(torch.equal(content["state_dict"][key], value) for key, value in WEIGHTS.items())


@pytest.fixture
def lightning_file(tmp_path, config_object):
    """A checkpoint beside whose tensors a CfgNode and an OmegaConf node are pickled."""
    node = config_object("yacs.config.CfgNode")
    head = node(IEF_ITERS=3)
    head._immutable = True
    value = config_object("omegaconf.nodes.AnyNode", object)()
    value._val = 5
    tree = config_object("omegaconf.dictconfig.DictConfig", object)()
    tree._content = {"size": value}
    content = {
        "state_dict": WEIGHTS,
        "hyper_parameters": {"cfg": node(MODEL=node(MANO_HEAD=head)), "more": tree},
        "callbacks": {"best": np.float64(2.5), "dtype": torch.float16, "array": np.arange(3)},
        "optimizer_states": [{"step": torch.nn.Parameter(torch.ones(2))}],
    }
    file = tmp_path / "last.ckpt"
    torch.save(content, file)
    for name in ("yacs", "yacs.config", "omegaconf", "omegaconf.nodes", "omegaconf.dictconfig"):
        sys.modules.pop(name, None)
    return file


def test_config_objects_are_read_as_data_only_where_that_is_asked_for(lightning_file):
    with pytest.raises(UnreadableCheckpoint, match=r"omegaconf.*--pickled-config"):
        read(lightning_file)
    content = read(lightning_file, pickled_config=True)
    assert torch.equal(content["state_dict"]["a.weight"], WEIGHTS["a.weight"])
    config = plain(content["hyper_parameters"])
    assert config == {"cfg": {"MODEL": {"MANO_HEAD": {"IEF_ITERS": 3}}}, "more": {"size": 5}}
    assert isinstance(content["hyper_parameters"]["cfg"], Description)
    assert content["callbacks"]["best"] == 2.5
    assert content["callbacks"]["dtype"] is torch.float16
    assert "yacs" not in sys.modules
    assert "omegaconf" not in sys.modules


@pytest.mark.parametrize("pickled_config", [True, False])
@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (lambda place: Payload(open, place, "w"), "open"),
        (lambda place: Payload(os.mkdir, place), "mkdir"),
        (lambda place: Payload(eval, f"open({place!r}, 'w')"), "eval"),
        (lambda place: Payload(getattr, Payload(open, place, "w"), "name"), "getattr|open"),
        (lambda place: Payload(np.save, place, np.zeros(1)), "save"),
        (lambda place: Payload(torch.save, {}, place), "save"),
        (lambda place: Payload(torch.hub.load, place, "x"), "load"),
    ],
)
def test_a_file_that_would_run_something_is_refused_by_name(
    payload, name, pickled_config, tmp_path
):
    file, place = tmp_path / "evil.ckpt", tmp_path / "ran"
    torch.save({"state_dict": WEIGHTS, "evil": payload(str(place))}, file)
    with pytest.raises(UnreadableCheckpoint, match=rf"asks for \S*({name}).*nothing was run"):
        read(file, pickled_config=pickled_config)
    assert not place.exists()


def test_a_call_disguised_as_a_config_object_runs_nothing(tmp_path, config_object):
    """The class of a known library is a dead stand-in, whatever it is called with."""
    kind = config_object("yacs.config.load", object)

    class Disguised:
        def __reduce__(self):
            return (kind, (str(tmp_path / "ran"),), {"_content": {"x": 1}})

    torch.save({"state_dict": WEIGHTS, "cfg": Disguised()}, tmp_path / "x.ckpt")
    content = read(tmp_path / "x.ckpt", pickled_config=True)
    assert type(content["cfg"]).__mro__[1] is Description
    assert plain(content["cfg"]) == {"x": 1}
    assert not (tmp_path / "ran").exists()


def test_a_bare_hostile_pickle_is_refused_too(tmp_path):
    file = tmp_path / "evil.ckpt"
    file.write_bytes(pickle.dumps(Payload(open, str(tmp_path / "ran"), "w")))
    for pickled_config in (True, False):
        with pytest.raises(UnreadableCheckpoint):
            read(file, pickled_config=pickled_config)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("left", [0, 1, 100, 0.5, 0.9, -1])
def test_a_file_cut_short_is_one_sentence(left, tmp_path):
    file = tmp_path / "x.ckpt"
    torch.save({"state_dict": {"w": torch.zeros(5000)}}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    with pytest.raises(UnreadableCheckpoint, match=rf"cut short after {file.stat().st_size} bytes"):
        read(file)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(UnreadableCheckpoint, match="no such file"):
        read(tmp_path / "absent.ckpt")
    torch.save([torch.zeros(1)], tmp_path / "list.ckpt")
    with pytest.raises(UnreadableCheckpoint, match="holds a list"):
        read(tmp_path / "list.ckpt")
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.ckpt"))
    with pytest.raises(UnreadableCheckpoint, match="torchscript"):
        read(tmp_path / "script.ckpt", pickled_config=True)
