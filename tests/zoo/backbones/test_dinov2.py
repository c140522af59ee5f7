from __future__ import annotations

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from zoo.backbones.dinov2 import SIZES, Dinov2
from zoo.backbones.pretrained import LoadReport, PretrainedWeightsMissing
from zoo.contracts import Backbone

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}


def backbone(**changes) -> Dinov2:
    torch.manual_seed(0)
    settings = {"pretrained": None, "config": SMALL, "image_size": 32}
    return Dinov2(**settings | changes)


def pictures(height: int = 32, width: int = 32, batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "dinov2"
    Dinov2Model(Dinov2Config(**SMALL, image_size=40)).save_pretrained(path)
    return path


@pytest.mark.parametrize("stem", ["linear", "conv"])
@pytest.mark.parametrize("size", [32, (32, 32), (48, 32), (32, 64)])
@pytest.mark.parametrize("drop_cls", [True, False])
def test_it_keeps_the_contract_of_a_backbone(stem, size, drop_cls):
    model = backbone(stem=stem, image_size=size, drop_cls=drop_cls)
    assert isinstance(model, Backbone)
    rows, columns = model.token_grid
    assert (rows * 8, columns * 8) == model.image_size
    tokens = model(pictures(*model.image_size))
    assert tokens.shape == (3, model.num_prefix_tokens + rows * columns, model.token_dim)
    assert model.num_prefix_tokens == (0 if drop_cls else 1)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_positions_tell_equal_patches_apart(stem):
    model = backbone(stem=stem)
    tokens = model(torch.full((1, 3, 32, 32), 0.5))[:, 1:]
    inner = tokens[0].view(4, 4, -1)[1:3, 1:3].flatten(0, 1)
    assert (torch.cdist(inner, inner) + torch.eye(4) > 1e-3).all()


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_positions_of_another_size_are_interpolated(stem):
    model = backbone(stem=stem, config=SMALL | {"image_size": 64})
    assert model.vit.embeddings.position_embeddings.shape[1] == 65
    assert model(pictures()).shape == (3, 17, 32)


def test_it_normalises_pictures_itself():
    model = backbone()
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    expected = model.vit((pictures() - mean) / std).last_hidden_state
    torch.testing.assert_close(model(pictures()), expected)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_one_picture_does_not_depend_on_the_others(stem):
    # A stem with batch norm promises it only once it is evaluated.
    model = backbone(stem=stem).train(stem == "linear")
    torch.testing.assert_close(model(pictures()[:1]), model(pictures())[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("stem", ["linear", "conv"])
@pytest.mark.parametrize("gradient_checkpointing", [True, False])
def test_gradients_reach_every_trainable_parameter(stem, gradient_checkpointing):
    model = backbone(stem=stem, gradient_checkpointing=gradient_checkpointing).train()
    model(pictures())[:, 1:].pow(3).sum().backward()
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    # A constant added to every key leaves the softmax, and so the output, as it is.
    silent = {n for n, p in trainable.items() if p.grad is None or not p.grad.any()}
    assert {name for name in silent if "k_proj.bias" not in name} == set()
    assert len(trainable) > 20


def test_checkpointing_changes_memory_alone():
    plain, saving = backbone().train(), backbone(gradient_checkpointing=True).train()
    gradients = []
    for model in (plain, saving):
        model(pictures()).pow(3).sum().backward()
        gradients.append(model.vit.embeddings.cls_token.grad)
    torch.testing.assert_close(*gradients)


def test_a_frozen_backbone_learns_nothing_and_stays_in_evaluation_mode():
    model = backbone(frozen=True, config=SMALL | {"drop_path_rate": 0.5}).train()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    tokens = model(pictures().requires_grad_())
    assert not tokens.requires_grad
    torch.testing.assert_close(tokens, model(pictures()))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_both_ways_of_attending_agree_with_each_other_and_bf16(attention):
    model, reference = backbone(attention=attention), backbone()
    tokens = reference(pictures())
    torch.testing.assert_close(model(pictures()), tokens, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(pictures())
    assert (rounded.float() - tokens).norm() < 0.02 * tokens.norm()


def test_the_tiny_backbone_is_small_and_builds():
    model = Dinov2(**Dinov2.tiny)
    assert model.image_size == (128, 128)
    assert model.token_grid == (8, 8)
    assert sum(p.numel() for p in model.parameters()) < 2e6
    assert model(pictures(128, 128, 1)).shape == (1, 65, 192)


@pytest.mark.parametrize(("name", "millions"), [("small", 22.1), ("base", 86.6), ("large", 304.4)])
def test_named_sizes_have_the_published_numbers_of_parameters(name, millions):
    with torch.device("meta"):
        model = Dinov2Model(Dinov2Config(**SIZES[name], image_size=518))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_a_published_name_without_weights_has_room_for_them():
    with torch.device("meta"):
        empty = Dinov2(pretrained=None, config="facebook/dinov2-small", image_size=224)
        fresh = Dinov2(pretrained=None, config="small", image_size=224)
    assert empty.vit.embeddings.position_embeddings.shape == (1, 37 * 37 + 1, 384)
    assert fresh.vit.embeddings.position_embeddings.shape == (1, 16 * 16 + 1, 384)


def test_a_model_without_a_mask_token_builds():
    model = backbone(config=SMALL | {"use_mask_token": False})
    assert all(p.requires_grad for p in model.parameters())


def test_pretrained_weights_are_loaded_and_reported(folder):
    said = []
    model = backbone(pretrained=str(folder), config=None, report=said.append)
    expected = Dinov2Model.from_pretrained(folder).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.vit.state_dict().items())
    assert said == [model.load_report]
    assert isinstance(model.load_report, LoadReport)
    assert model.load_report.fraction == 1
    assert model(pictures()).shape == (3, 17, 32)


def test_a_random_start_has_no_report():
    assert backbone().load_report is None


def test_missing_weights_are_never_replaced_by_random_ones(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    with pytest.raises(PretrainedWeightsMissing, match="pretrained=None for a random start"):
        Dinov2(pretrained="facebook/dinov2-large")
    huggingface_hub.close_session()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image_size": (32, 36)}, r"no multiple of its 8 px patches; the nearest is \(32, 32\)"),
        ({"config": None}, "needs to know its size; give config as one of small, base"),
        ({"config": "tiny"}, "needs to know its size; give config as one of small, base"),
        ({"stem": "patch"}, "stem is 'patch'; it can be 'linear' or 'conv'"),
        ({"attention": "flash"}, "attention is 'flash'; it can be 'sdpa' or 'eager'"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_way_out(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        backbone(**arguments)


def test_pretrained_weights_exclude_a_size_and_a_new_stem(folder):
    with pytest.raises(ValueError, match="leave out config='small'"):
        backbone(pretrained=str(folder), config="small")
    with pytest.raises(ValueError, match="stem='conv' has no pretrained weights"):
        backbone(pretrained=str(folder), config=None, stem="conv")


def test_a_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"crops of \(32, 32\) px \(H, W\) and got \(40, 32\)"):
        backbone()(pictures(40, 32))
