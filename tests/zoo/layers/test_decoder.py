from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.layers.decoder import CrossAttention, SelfAttention, TransformerDecoder

SIZES = {"dim": 16, "num_heads": 2, "head_dim": 8}


def decoder(**changes) -> TransformerDecoder:
    torch.manual_seed(0)
    settings = {"token_dim": 5, "num_tokens": 3, "context_dim": 7, "depth": 2, "mlp_dim": 32}
    return TransformerDecoder(**settings | SIZES | changes)


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_queries_do_not_depend_on_the_order_of_the_context():
    model, tokens, context = decoder(), some(2, 3, 5), some(2, 9, 7, seed=1)
    torch.testing.assert_close(model(tokens, context), model(tokens, context.flip(1)))


def test_a_position_tells_equal_tokens_apart():
    out = decoder()(some(2, 1, 5).expand(2, 3, 5), some(2, 9, 7))
    assert not torch.allclose(out[:, 0], out[:, 1])


def test_every_token_sees_the_others_and_the_context():
    model = decoder().double()
    tokens, context = some(1, 3, 5).double(), some(1, 4, 7, seed=1).double().requires_grad_()
    moved = tokens.clone()
    moved[:, 2] += 1
    with_moved = model(moved, context)[:, 0]
    assert not torch.allclose(model(tokens, context)[:, 0], with_moved)
    with_moved.sum().backward()
    assert (context.grad.abs().sum(-1) > 0).all()


def test_the_context_is_not_normalised():
    model, tokens, context = decoder(), some(2, 3, 5), some(2, 9, 7, seed=1)
    assert not torch.allclose(model(tokens, context), model(tokens, 3 * context), atol=1e-3)


def test_a_prepared_context_serves_several_queries():
    model, context = decoder(), some(2, 9, 7, seed=1)
    prepared = model.prepare(context)
    for seed in (2, 3):
        tokens = some(2, 3, 5, seed=seed)
        torch.testing.assert_close(model.attend(tokens, prepared), model(tokens, context))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_of_attending_are_softmax_attention(dtype):
    attention = SelfAttention(**SIZES).to(dtype)
    x = some(2, 6, 16).to(dtype)
    got = attention(x)
    query, key, value = attention.to_qkv(x).float().chunk(3, -1)
    split = [t.reshape(2, 6, 2, 8).transpose(1, 2) for t in (query, key, value)]
    weights = (split[0] @ split[1].mT / 8**0.5).softmax(-1)
    expected = attention.to_out((weights @ split[2]).transpose(1, 2).reshape(2, 6, 16).to(dtype))
    tolerance = {torch.float32: 1e-6, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)


def test_a_context_that_must_stay_exact_is_projected_in_fp32():
    torch.manual_seed(0)
    attention = CrossAttention(context_dim=4, exact_context=True, **SIZES)
    context = some(1, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        exact = attention.project(context)
        rounded = CrossAttention(context_dim=4, **SIZES).project(context)
    assert exact[0].dtype == torch.float32
    assert rounded[0].dtype == torch.bfloat16
    torch.testing.assert_close(exact, attention.project(context), atol=0, rtol=0)


def test_tokens_that_must_stay_exact_are_embedded_in_fp32():
    exact, rounded = decoder(exact_tokens=True, depth=0), decoder(depth=0)
    tokens, context = some(2, 3, 5), some(2, 9, 7)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(rounded(tokens, context), exact(tokens, context))
    expected = exact.to_token_embedding(tokens) + exact.pos_embedding
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(exact(tokens, context), expected)


def test_dropout_reaches_the_attention_maps_and_can_be_changed():
    model, tokens, context = decoder(dropout=0.0), some(2, 3, 5), some(2, 9, 7)
    torch.testing.assert_close(model(tokens, context), model(tokens, context))
    model.set_dropout(0.5)
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.5}
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.forward = lambda x: x  # only the attention maps are left to drop
    model.train()
    assert not torch.allclose(model(tokens, context), model(tokens, context))
    model.eval()
    torch.testing.assert_close(model(tokens, context), model(tokens, context))


def test_gradients_reach_every_parameter():
    model = decoder()
    model(some(2, 3, 5), some(2, 9, 7)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_token_count_without_positions_is_refused():
    with pytest.raises(ValueError, match="positions for 3 tokens and got 4"):
        decoder()(some(2, 4, 5), some(2, 9, 7))


def test_parameters_carry_the_names_of_published_checkpoints():
    names = set(decoder(depth=1).state_dict())
    layer = "transformer.layers.0"
    norms = {f"{layer}.{i}.norm.{kind}" for i in range(3) for kind in ("weight", "bias")}
    outs = {f"{layer}.{i}.fn.to_out.0.{kind}" for i in range(2) for kind in ("weight", "bias")}
    feed = {f"{layer}.2.fn.net.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")}
    assert names == norms | outs | feed | {
        "pos_embedding",
        "to_token_embedding.weight",
        "to_token_embedding.bias",
        f"{layer}.0.fn.to_qkv.weight",
        f"{layer}.1.fn.to_q.weight",
        f"{layer}.1.fn.to_kv.weight",
    }


def test_a_lone_token_attends_to_itself_and_teaches_queries_and_keys_nothing():
    attention, x = SelfAttention(**SIZES), some(4, 1, 16)
    _, _, value = attention.to_qkv(x).chunk(3, dim=-1)
    torch.testing.assert_close(attention(x), attention.to_out(value))
    attention(x).square().sum().backward()
    queries, keys, values = attention.to_qkv.weight.grad.chunk(3)
    assert not queries.any()
    assert not keys.any()
    assert values.any(1).all()
