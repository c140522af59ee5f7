from __future__ import annotations

import pytest
import torch

from zoo.temporal.rotary import RotaryTimeEncoder

KINDS = ["last", "causal"]


def encoder(attends: str, **changes) -> RotaryTimeEncoder:
    torch.manual_seed(0)
    sizes = {"query_dim": 24, "num_heads": 2, "head_dim": 8, "mlp_dim": 32, "zero_init": False}
    return RotaryTimeEncoder(attends=attends, **sizes | changes).eval()


def clip(batch: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(batch * 31 + frames)
    steps = 0.01 + 0.1 * torch.rand(batch, frames, generator=rng, dtype=torch.float64)
    times = steps.cumsum(1)
    return torch.randn(batch, frames, 24, generator=rng), times - times[:, -1:]


@pytest.mark.parametrize("attends", KINDS)
@pytest.mark.parametrize("frames", [1, 2, 7, 16])
def test_a_clip_of_any_length_gives_one_query(attends, frames):
    assert encoder(attends)(*clip(3, frames)).shape == (3, 24)


@pytest.mark.parametrize("attends", KINDS)
def test_training_starts_exactly_at_the_last_frames_own_query(attends):
    queries, times = clip(5, 7)
    assert torch.equal(encoder(attends, zero_init=True)(queries, times), queries[:, -1])


@pytest.mark.parametrize("attends", KINDS)
def test_the_origin_of_time_does_not_matter(attends):
    queries, times = clip(5, 7)
    part = encoder(attends)
    later = part(queries, times + 1.7e9)  # a clock of today, in s
    torch.testing.assert_close(later, part(queries, times), atol=1e-6, rtol=0)


@pytest.mark.parametrize("attends", KINDS)
def test_frames_may_come_in_any_order_with_their_times(attends):
    queries, times = clip(5, 7)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    part = encoder(attends)
    torch.testing.assert_close(
        part(queries[:, order], times[:, order]), part(queries, times), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("attends", KINDS)
def test_each_clip_is_refined_by_itself(attends):
    queries, times = clip(7, 5)  # primes, so that no reshape can pair them up
    part = encoder(attends)
    alone = torch.cat([part(queries[i : i + 1], times[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(part(queries, times), alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("attends", KINDS)
def test_earlier_frames_and_their_times_change_the_answer(attends):
    queries, times = clip(3, 7)
    part = encoder(attends)
    before = part(queries, times)
    other = torch.cat([queries[:, :1].flip(-1), queries[:, 1:]], dim=1)
    assert (part(other, times) - before).abs().amax(1).gt(1e-4).all()
    assert (part(queries, times * 2) - before).abs().amax(1).gt(1e-4).all()


def test_a_causal_query_does_not_see_later_frames():
    queries, times = clip(3, 7)
    part = encoder("causal")
    other = torch.cat([queries[:, :-1], queries[:, -1:].flip(-1)], dim=1)
    before, after = part.refine(queries, times), part.refine(other, times)
    torch.testing.assert_close(after[:, :-1], before[:, :-1])


@pytest.mark.parametrize("attends", KINDS)
def test_what_it_is_given_stays_as_it_was(attends):
    queries, times = clip(3, 7)
    kept = queries.clone(), times.clone()
    encoder(attends)(queries, times)
    assert torch.equal(queries, kept[0])
    assert torch.equal(times, kept[1])


@pytest.mark.parametrize("attends", KINDS)
def test_every_parameter_learns(attends):
    part = encoder(attends)
    part(*clip(4, 5)).square().sum().backward()
    still = [name for name, p in part.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_shapes_that_do_not_belong_together_are_refused():
    queries, _ = clip(3, 7)
    with pytest.raises(ValueError, match=r"queries \(B, T, D\) and times \(B, T\)"):
        encoder("last")(queries, torch.zeros(3, 1, dtype=torch.float64))


def test_an_unknown_way_to_attend_is_refused():
    with pytest.raises(ValueError, match="'last' or 'causal', not 'all'"):
        encoder("all")
