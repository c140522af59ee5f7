from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from zoo.backbones.load_report import PretrainedWeightsMissing
from zoo.backbones.vitpose import PatchEmbed, ViTPose
from zoo.contracts import Backbone

SMALL = {"image_size": (64, 64), "dim": 32, "depth": 3, "num_heads": 2, "mlp_ratio": 2}


def backbone(**changes) -> ViTPose:
    torch.manual_seed(0)
    return ViTPose(**SMALL | {"drop_path": 0.0} | changes)


def pictures(height: int = 64, width: int = 64, batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return ViTPose(**SMALL).state_dict()


@pytest.mark.parametrize("stem", ["linear", "conv"])
@pytest.mark.parametrize(
    ("size", "side_cut", "grid"),
    [((64, 64), 0.125, (4, 3)), ((96, 64), 0.0, (6, 4)), ((64, 96), 1 / 6, (4, 4))],
)
def test_it_keeps_the_contract_of_a_backbone(stem, size, side_cut, grid):
    model = backbone(stem=stem, image_size=size, side_cut=side_cut)
    assert isinstance(model, Backbone)
    assert model.token_grid == grid
    assert model(pictures(*size)).shape == (3, grid[0] * grid[1], 32)


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, 630_912_000),
        # The ViT-L/16 and ViT-B/16 of 224 px less their class token and four positions.
        ({"dim": 1024, "depth": 24}, 303_301_632 - 5 * 1024),
        ({"dim": 768, "depth": 12, "num_heads": 12}, 85_798_656 - 5 * 768),
    ],
)
def test_the_published_sizes_have_their_numbers_of_parameters(settings, parameters):
    with torch.device("meta"):
        model = ViTPose(**settings)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters
    assert model.pos_embed.shape[1] == 193
    assert model.token_grid == (16, 12)


def test_the_tiny_backbone_is_small_and_builds():
    model = ViTPose(**ViTPose.tiny)
    assert sum(p.numel() for p in model.parameters()) < 2e6
    assert model(pictures(128, 128, 1)).shape == (1, 48, 192)


def test_it_sees_the_upright_middle_of_the_crop_alone():
    model, seen = backbone(), pictures()
    changed = seen.clone()
    changed[..., :8] = changed[..., -8:] = 0.5
    torch.testing.assert_close(model(changed), model(seen), atol=0, rtol=0)
    changed[..., 8] = 0.5
    assert not torch.equal(model(changed), model(seen))


def test_a_patch_sees_two_pixels_above_and_left_of_its_square():
    """The grid has the same size without the padding; only where a patch looks tells."""
    torch.manual_seed(0)
    embed = PatchEmbed(dim=4)
    picture = torch.zeros(1, 3, 32, 32, requires_grad=True)
    embed(picture)[0, 0].square().sum().backward()
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    columns = picture.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert rows.tolist() == columns.tolist() == list(range(14))


def test_the_class_slot_of_the_positions_is_added_to_every_patch():
    model = backbone(depth=0)
    model.last_norm = torch.nn.Identity()
    before = model(pictures())
    with torch.no_grad():
        model.pos_embed[:, 0] += 2
    torch.testing.assert_close(model(pictures()), before + 2)


def test_every_norm_has_the_small_epsilon_of_the_original():
    norms = [m for m in backbone().modules() if isinstance(m, torch.nn.LayerNorm)]
    assert len(norms) == 7
    assert {norm.eps for norm in norms} == {1e-6}


def test_it_normalises_pictures_itself():
    """A picture of the mean colour is a picture of zeros to the network."""
    model = backbone()
    model.patch_embed.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    shown: list[torch.Tensor] = []
    model(model.mean.expand(1, 3, 64, 64))
    assert (shown[0] == 0).all()
    white = (1 - model.mean) / model.std
    model(torch.ones(1, 3, 64, 64))
    torch.testing.assert_close(shown[1], white.expand(1, 3, 64, 48))


def test_branches_are_dropped_more_often_deeper_and_never_in_evaluation():
    model = backbone(drop_path=0.6, depth=4)
    assert [block.drop_path for block in model.blocks] == pytest.approx([0, 0.2, 0.4, 0.6])
    model.eval()
    torch.testing.assert_close(model(pictures()), model(pictures()), atol=0, rtol=0)
    model.train()
    assert not torch.equal(model(pictures()), model(pictures()))


def test_a_dropped_branch_leaves_a_picture_as_it_was_and_keeps_the_mean():
    block = backbone(drop_path=0.5).blocks[-1].train()
    branch = torch.ones(4000, 2, 3)
    kept = block._kept(branch)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert (kept == kept[:, :1, :1]).all()
    assert kept.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_one_picture_does_not_depend_on_the_others(stem):
    # A stem with batch norm promises it only once it is evaluated.
    model = backbone(stem=stem).train(stem == "linear")
    torch.testing.assert_close(model(pictures()[:1]), model(pictures())[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("stem", ["linear", "conv"])
@pytest.mark.parametrize("gradient_checkpointing", [True, False])
def test_gradients_reach_every_parameter(stem, gradient_checkpointing):
    model = backbone(stem=stem, gradient_checkpointing=gradient_checkpointing).train()
    model(pictures()).pow(3).sum().backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == set()


def test_checkpointing_changes_memory_alone():
    gradients = []
    for saving in (False, True):
        model = backbone(gradient_checkpointing=saving, drop_path=0.5).train()
        torch.manual_seed(3)
        model(pictures()).pow(3).sum().backward()
        gradients.append(model.patch_embed.proj.weight.grad)
    torch.testing.assert_close(*gradients)


def test_a_frozen_backbone_learns_nothing_and_stays_in_evaluation_mode():
    model = backbone(frozen=True, drop_path=0.5).train()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    tokens = model(pictures().requires_grad_())
    assert not tokens.requires_grad
    torch.testing.assert_close(tokens, model(pictures()))


def test_fused_attention_agrees_with_plain_products_and_both_with_bf16():
    reference = backbone(attention="eager")
    tokens = reference(pictures())
    assert (backbone(attention="sdpa")(pictures()) - tokens).abs().max() < 3e-6
    for attention in ("eager", "sdpa"):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = backbone(attention=attention)(pictures())
        assert (rounded.float() - tokens).norm() < 0.02 * tokens.norm()


@pytest.mark.parametrize("form", ["state_dict", "bare", "body_model", "safetensors"])
def test_published_weights_are_loaded_whatever_surrounds_them(form, weights, tmp_path):
    file = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    prefixed = {f"backbone.{key}": value for key, value in weights.items()}
    if form == "safetensors":
        save_file(weights, file)
    elif form == "bare":
        torch.save(weights, file)
    else:
        whole = {**prefixed, "keypoint_head.final_layer.bias": torch.zeros(17)}
        state = weights if form == "state_dict" else whole
        torch.save({"meta": {"epoch": 210}, "state_dict": state}, file)
    said = []
    model = backbone(pretrained=str(file), report=said.append)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert said == [model.load_report]
    assert model.load_report.fraction == 1


def test_a_random_start_has_no_report():
    assert backbone().load_report is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("last_norm.bias"), "last_norm 1 of 2.: last_norm.bias is absent"),
        (
            lambda w: w.update({"pos_embed": torch.zeros(1, 13, 64)}),
            r"pos_embed is \(1, 13, 64\) and not \(1, 13, 32\); its width is 64",
        ),
        (
            lambda w: [
                w.pop("blocks.0.mlp.fc2.bias"),
                w.update({"blocks.0.mlp.experts.0.bias": torch.zeros(8)}),
            ],
            "blocks 35 of 36.*whole-body ViTPose",
        ),
        (
            lambda w: [
                w.pop("last_norm.weight"),
                w.update({"cls_token": torch.zeros(1, 1, 32)}),
            ],
            "classification or MAE model",
        ),
    ],
)
def test_weights_of_another_model_are_refused_module_by_module(change, sentence, weights, tmp_path):
    changed = dict(weights)
    change(changed)
    torch.save({"state_dict": changed}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=sentence):
        backbone(pretrained=str(tmp_path / "weights.pth"))


def test_missing_and_damaged_weights_are_never_replaced_by_random_ones(weights, tmp_path):
    file = tmp_path / "weights.pth"
    with pytest.raises(PretrainedWeightsMissing, match="pretrained=None for a random start"):
        backbone(pretrained=str(file))
    torch.save({"state_dict": weights}, file)
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(PretrainedWeightsMissing, match="cut short"):
        backbone(pretrained=str(file))


def test_weights_that_would_run_code_are_refused_and_run_nothing(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": {}, "evil": Payload()}, tmp_path / "weights.pth")
    with pytest.raises(PretrainedWeightsMissing, match="loads safely"):
        backbone(pretrained=str(tmp_path / "weights.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image_size": (64, 72)}, r"sees \(64, 54\) px .* no multiple of its 16 px patches"),
        ({"side_cut": 0.5}, "side_cut=0 keeps the whole crop"),
        ({"num_heads": 3}, "dim 32 does not divide into num_heads 3"),
        ({"drop_path": 1.0}, r"drop_path is 1.0; it lies in \[0, 1\)"),
        ({"stem": "patch"}, "stem is 'patch'; it can be 'linear' or 'conv'"),
        ({"attention": "flash"}, "attention is 'flash'; it can be 'sdpa' or 'eager'"),
        ({"stem": "conv", "pretrained": "x.pth"}, "stem='conv' has no pretrained weights"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_way_out(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        backbone(**arguments)


def test_a_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"crops of \(64, 64\) px \(H, W\) and got \(80, 64\)"):
        backbone()(pictures(80, 64))
