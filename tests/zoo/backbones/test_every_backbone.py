"""Laws every transformer backbone keeps, whatever its architecture."""

from __future__ import annotations

import pytest
import torch

from zoo.backbones.dinov2 import Dinov2
from zoo.backbones.dinov3 import Dinov3
from zoo.backbones.pretrained import PretrainedWeightsMissing
from zoo.backbones.swinv2 import Swinv2
from zoo.backbones.timm_any import TimmViT
from zoo.backbones.vit_mae import ViTMAE
from zoo.contracts import Backbone

PLAIN = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8}
WIDE = PLAIN | {"intermediate_size": 64}
EVERY = {
    "dinov2": lambda **kw: Dinov2(pretrained=None, config=PLAIN, **kw),
    "dinov3": lambda **kw: Dinov3(pretrained=None, config=WIDE, **kw),
    "vit_mae": lambda **kw: ViTMAE(pretrained=None, config=WIDE, **kw),
    "swinv2": lambda **kw: Swinv2(
        pretrained=None,
        config={"embed_dim": 16, "depths": (1, 2), "num_heads": (2, 4), "window_size": 4},
        **kw,
    ),
    "timm_any": lambda **kw: TimmViT(
        name="vit_tiny_patch16_224",
        config={"depth": 3, "embed_dim": 32, "num_heads": 2, "patch_size": 8},
        **kw,
    ),
}
LAYERED = [name for name in EVERY if name != "swinv2"]
TINY = {
    "dinov3": Dinov3,
    "vit_mae": ViTMAE,
    "swinv2": Swinv2,
    "timm_any": TimmViT,
}


def build(name: str, size=(32, 32), **changes):
    torch.manual_seed(0)
    return EVERY[name](image_size=size, **changes)


def pictures(size=(32, 32), batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
@pytest.mark.parametrize("name", EVERY)
def test_its_tokens_are_those_it_announces(name, size):
    model = build(name, size)
    assert isinstance(model, Backbone)
    rows, columns = model.token_grid
    assert size[0] / rows == size[1] / columns
    tokens = model(pictures(size))
    assert tokens.shape == (3, model.num_prefix_tokens + rows * columns, model.token_dim)


@pytest.mark.parametrize("name", EVERY)
def test_one_picture_does_not_depend_on_the_others_nor_on_chance(name):
    for model in (build(name).train(), build(name).eval()):
        among = model(pictures())
        torch.testing.assert_close(model(pictures()[1:2]), among[1:2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_a_patch_keeps_its_place(name):
    model, dark = build(name).eval(), torch.zeros(1, 3, 32, 32)
    lit = dark.clone()
    lit[..., 24:, 24:] = 1  # the last patch, whatever the patch's size
    change = (model(lit) - model(dark))[0, model.num_prefix_tokens :].norm(dim=-1)
    assert change.argmax() == len(change) - 1


@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}])
@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_every_trainable_parameter(name, changes):
    model = build(name, **changes).train()
    model(pictures()).pow(3).sum().backward()
    silent = {
        n
        for n, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    }
    # A constant added to every key leaves the softmax, and so the output, as it is.
    assert {n for n in silent if "k_proj.bias" not in n and "key.bias" not in n} == set()


@pytest.mark.parametrize("name", EVERY)
def test_checkpointing_runs_blocks_twice_and_changes_no_gradient(name):
    gradients, calls = [], []
    for saving in (False, True):
        model = build(name, gradient_checkpointing=saving).train()
        linear = [m for m in model.modules() if isinstance(m, torch.nn.GELU | torch.nn.LayerNorm)]
        count = [0]
        for module in linear:
            module.register_forward_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        model(pictures()).pow(3).sum().backward()
        calls.append(count[0])
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert calls[1] > calls[0], "nothing was computed again"
    for plain, saved in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, saved, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_frozen_means_no_graph_no_gradient_and_evaluation(name):
    model = build(name, frozen=True).train()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert not model(pictures().requires_grad_()).requires_grad


@pytest.mark.parametrize("name", LAYERED)
def test_levels_follow_one_another_and_leave_no_idle_layer(name):
    model = build(name, levels=(1, 2)).train()
    tokens = model(pictures())
    rows, columns = model.token_grid
    per_level = model.num_prefix_tokens + rows * columns
    assert model.num_levels == 2
    assert tokens.shape == (3, 2 * per_level, 32)
    first = build(name, levels=(1,))(pictures())
    torch.testing.assert_close(tokens[:, :per_level], first, atol=1e-5, rtol=1e-4)
    tokens.pow(3).sum().backward()
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("levels", [(), (2, 1), (1, 9), (-1,)])
@pytest.mark.parametrize("name", LAYERED)
def test_levels_that_are_not_there_are_refused_in_one_sentence(name, levels):
    with pytest.raises(ValueError, match=r"levels are .* growing numbers from"):
        build(name, levels=levels)


@pytest.mark.parametrize("name", EVERY)
def test_a_picture_of_another_size_is_refused_in_one_sentence(name):
    with pytest.raises(ValueError, match=r"was built for crops of \(32, 32\) px"):
        build(name)(pictures((48, 48)))
    with pytest.raises(ValueError, match=r"no multiple of its|does not build"):
        build(name, (36, 33))


@pytest.mark.parametrize("name", [n for n in EVERY if n != "swinv2"])
def test_without_its_cls_token_the_patches_are_the_same(name):
    whole, cut = build(name).eval(), build(name, drop_cls=True).eval()
    assert (whole.num_prefix_tokens, cut.num_prefix_tokens) == (1, 0)
    torch.testing.assert_close(cut(pictures()), whole(pictures())[:, 1:])


@pytest.mark.parametrize("name", TINY)
def test_the_tiny_size_needs_no_download(name):
    part = TINY[name]
    model = part(**part.tiny)
    assert model.load_report is None
    assert sum(p.numel() for p in model.parameters()) < 2e6
    assert model.token_grid == (8, 8)


def test_registers_serve_and_leave_unless_they_are_kept():
    config = WIDE | {"num_register_tokens": 2}
    settings = {"pretrained": None, "config": config, "image_size": 32}
    torch.manual_seed(0)
    kept = Dinov3(**settings, drop_registers=False).eval()
    torch.manual_seed(0)
    left = Dinov3(**settings).eval()
    assert (kept.num_prefix_tokens, left.num_prefix_tokens) == (3, 1)
    tokens = kept(pictures())
    expected = torch.cat((tokens[:, :1], tokens[:, 3:]), dim=1)
    torch.testing.assert_close(left(pictures()), expected)


def test_mae_refuses_a_mask_and_overrules_one_that_was_published(tmp_path):
    with pytest.raises(ValueError, match="leave mask_ratio out"):
        ViTMAE(pretrained=None, config=WIDE | {"mask_ratio": 0.75}, image_size=32)
    published = build("vit_mae").vit
    published.config.mask_ratio = 0.75
    published.save_pretrained(tmp_path)
    model = ViTMAE(pretrained=str(tmp_path), image_size=32)
    assert model.vit.config.mask_ratio == 0
    assert model.load_report.fraction == 1
    assert model(pictures()).shape == (3, 17, 32)


def test_swin_counts_tokens_by_its_stride_and_not_by_its_patches():
    with torch.device("meta"):
        large = Swinv2(pretrained=None, config="large", image_size=192)
    assert large.token_grid == (6, 6)
    assert (large.token_dim, large.num_prefix_tokens) == (1536, 0)


def test_weights_that_are_nowhere_are_said_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda *_, **__: (_ for _ in ()).throw(OSError())
    )
    for part in (Dinov3, ViTMAE, Swinv2):
        with pytest.raises(PretrainedWeightsMissing, match="pretrained=None for a random start"):
            part()
    with pytest.raises(PretrainedWeightsMissing, match="pretrained=None for a random start"):
        TimmViT(name="vit_tiny_patch16_224", pretrained="timm/vit_tiny_patch16_224.none")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "vit_tiny_patch16_22"}, "timm has no model"),
        ({"name": "swinv2_tiny_window8_256"}, "is no plain vision transformer"),
        ({"name": "vit_tiny_patch16_224", "config": {"depht": 2}}, "arguments it has"),
    ],
)
def test_a_timm_model_that_does_not_fit_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TimmViT(**changes)


def test_timm_weights_are_resized_and_accounted_for(tmp_path):
    from safetensors.torch import save_file

    settings = {"name": "vit_tiny_patch16_224", "config": {"depth": 1}}
    source = TimmViT(**settings, image_size=64)
    state = {k: v.contiguous() for k, v in source.vit.state_dict().items()}
    save_file(state | {"head.weight": torch.zeros(3, 192)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    model = TimmViT(**settings, image_size=96, pretrained=str(tmp_path))
    assert model.load_report.fraction == 1
    assert model.load_report.unexpected == ("head.weight",)
    with pytest.raises(ValueError, match="fills only"):
        TimmViT(name="vit_tiny_patch16_224", config={"depth": 2}, pretrained=str(tmp_path))
