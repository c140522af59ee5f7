from __future__ import annotations

import time

import huggingface_hub
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from zoo.backbones import pretrained
from zoo.backbones.pretrained import PretrainedWeightsMissing, find_pretrained, load_pretrained

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "dinov2"
    Dinov2Model(Dinov2Config(**SIZES)).save_pretrained(path)
    return path


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def offline(monkeypatch, empty_cache):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()  # sessions remember whether they may go online
    yield
    huggingface_hub.close_session()


def test_a_folder_is_loaded_whole_and_accounted_for(folder):
    model, report = load_pretrained(Dinov2Model, str(folder), {})
    again, _ = load_pretrained(Dinov2Model, str(folder), {})
    assert report.matched == report.total == len(model.state_dict())
    assert report.fraction == 1
    assert str(report) == f"{folder}: {report.total} of {report.total} weights loaded"
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        assert value.dtype == torch.float32


def test_half_precision_weights_become_fp32(folder, tmp_path):
    Dinov2Model.from_pretrained(folder).bfloat16().save_pretrained(tmp_path)
    model, _ = load_pretrained(Dinov2Model, str(tmp_path), {})
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_weights_nobody_wanted_are_reported(folder, tmp_path):
    model = Dinov2Model.from_pretrained(folder)
    model.register_buffer("stray", torch.zeros(1))
    model.save_pretrained(tmp_path)
    _, report = load_pretrained(Dinov2Model, str(tmp_path), {})
    assert report.unexpected == ("stray",)
    assert "1 of the file unused" in str(report)


def test_a_file_that_leaves_weights_unfilled_is_refused(folder, tmp_path):
    model = Dinov2Model.from_pretrained(folder)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("layernorm")}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"fills only \d+ of the backbone's \d+.*layernorm"):
        load_pretrained(Dinov2Model, str(tmp_path), {})


def test_sizes_that_do_not_fit_the_file_are_refused(folder):
    with pytest.raises(ValueError, match="missing or of another shape"):
        load_pretrained(Dinov2Model, str(folder), {"mlp_ratio": 2})


def test_another_architecture_is_refused(tmp_path):
    ViTModel(ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path
    )
    with pytest.raises(ValueError, match="holds a 'vit' model and 'dinov2' is needed"):
        load_pretrained(Dinov2Model, str(tmp_path), {})


def test_harmless_settings_reach_the_model_and_unknown_ones_are_refused(folder):
    model, _ = load_pretrained(Dinov2Model, str(folder), {"drop_path_rate": 0.25})
    assert model.encoder.layer[0].drop_path.drop_prob == 0.25
    with pytest.raises(ValueError, match="no configuration field 'drop_paths'"):
        load_pretrained(Dinov2Model, str(folder), {"drop_paths": 0.25})


def test_a_folder_without_weights_says_what_it_needs(tmp_path):
    with pytest.raises(PretrainedWeightsMissing, match=r"needs config.json and one of"):
        find_pretrained(str(tmp_path))


def test_the_cache_is_enough_without_a_network(folder, offline, empty_cache):
    repository, commit = empty_cache / "models--someone--dinov2", "0" * 40
    (repository / "snapshots").mkdir(parents=True)
    (repository / "snapshots" / commit).symlink_to(folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    _, report = load_pretrained(Dinov2Model, "someone/dinov2", {})
    assert report.fraction == 1


@pytest.mark.parametrize("name", ["facebook/dinov2-large", "./no/such/folder", "no:name"])
def test_offline_one_sentence_names_both_ways_out_at_once(name, offline):
    start = time.monotonic()
    with pytest.raises(PretrainedWeightsMissing) as caught:
        find_pretrained(name)
    assert time.monotonic() - start < 5
    sentence = str(caught.value)
    assert sentence.startswith(f"No weights of {name!r} here")
    for way_out in ("run once with a connection", "set pretrained to a folder", "pretrained=None"):
        assert way_out in sentence
    assert sentence.endswith("for a random start.")
    assert "\n" not in sentence


def test_a_network_that_does_not_answer_is_asked_once(monkeypatch, empty_cache):
    asked = []

    def no_answer(url, timeout):
        asked.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", no_answer)
    with pytest.raises(PretrainedWeightsMissing, match="TimeoutError"):
        find_pretrained("facebook/dinov2-large")
    assert asked == [pretrained._SECONDS_TO_ANSWER]
