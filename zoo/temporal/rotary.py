"""Stage 2: what earlier frames tell about the last one, told apart by real time (TRoPE)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.layers.decoder import CrossAttention, FeedForward, PreNorm, SelfAttention, attend

_BASE = 10000.0  # ratio of the slowest to the fastest rotation


class RotaryTimeEncoder(nn.Module):
    """The last frame's query, refined by the frames before it (CS-ViT2, Stage 2).

    Attention turns queries and keys by angles proportional to their time, so it depends on
    differences of time alone, whatever the frame rate and however irregular. The refinement is
    added to the last frame's query through a linear layer that starts at zero: training begins
    exactly at Stage 1.

    attends: "last" refines the last frame's query with one query looking at all frames, at a cost
        linear in T (February 2026); "causal" lets every frame look at itself and earlier ones
        (April 2026). Both give the last frame.
    tau: s, the time in which the fastest pair turns by one radian.
    zero_init: False starts the output layer as any other, for tests of conditioning.
    """

    bf16_safe: ClassVar[bool] = False
    tiny: ClassVar[dict[str, Any]] = {"num_heads": 4, "head_dim": 32, "mlp_dim": 256}

    def __init__(
        self,
        *,
        query_dim: int,
        depth: int = 2,
        num_heads: int = 16,
        head_dim: int = 64,
        mlp_dim: int = 2048,
        tau: float = 0.020,
        attends: Literal["last", "causal"] = "last",
        dropout: float = 0.0,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        _check_settings(attends, head_dim, tau, depth)
        self.query_dim, self.attends, self.tau = query_dim, attends, tau
        self.half_width = head_dim // 2
        heads = {"dim": query_dim, "num_heads": num_heads, "head_dim": head_dim}
        heads["dropout"] = dropout

        def layer() -> nn.ModuleList:
            blocks: list[nn.Module] = [
                TimedSelfAttention(**heads),
                FeedForward(dim=query_dim, mlp_dim=mlp_dim, dropout=dropout),
            ]
            if attends == "last":
                across = TimedCrossAttention(**heads, context_dim=query_dim)
                blocks[:1] = [SelfAttention(**heads), across]
            return nn.ModuleList(PreNorm(query_dim, block) for block in blocks)

        self.layers = nn.ModuleList(layer() for _ in range(depth))
        self.zero_linear = nn.Linear(query_dim, query_dim)
        if zero_init:
            nn.init.zeros_(self.zero_linear.weight)
            nn.init.zeros_(self.zero_linear.bias)

    def forward(self, queries: Tensor, times: Tensor) -> Tensor:
        """The latest frame's query, refined.

        queries: (B, T, query_dim) one query a frame, in any order.
        times: (B, T) s, their times from any common origin; equal times keep their order.
        returns: (B, query_dim).
        """
        return self.refine(queries, times)[:, -1]

    def refine(self, queries: Tensor, times: Tensor) -> Tensor:
        """Every refined query in order of time, (B, T, query_dim); "last" gives the last, T = 1."""
        _check(queries, times)
        # Seconds of a clock lose whole frames in float32; differences to the latest do not.
        times = times.double() - times.double().amax(dim=1, keepdim=True)
        times, order = times.sort(dim=1, stable=True)
        queries = queries.gather(1, order[..., None].expand_as(queries))
        angles = times[..., None] / self.tau * self._frequencies(times.device)
        turns = torch.polar(torch.ones_like(angles), angles)[:, None]  # (B, 1, T, half_width)
        if self.attends == "causal":
            return queries + self.zero_linear(self._causal(queries, turns))
        last = queries[:, -1:]
        return last + self.zero_linear(self._from_last(last, queries, turns))

    def set_dropout(self, p: float) -> None:
        """Every dropout of the encoder, attention maps included, at probability p."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = p

    def _from_last(self, last: Tensor, queries: Tensor, turns: Tensor) -> Tensor:
        x = last
        for own, across, feed_forward in self.layers:
            x = x + own(x)
            x = x + across(x, (queries, turns))
            x = x + feed_forward(x)
        return x

    def _causal(self, x: Tensor, turns: Tensor) -> Tensor:
        for attention, feed_forward in self.layers:
            x = x + attention(x, turns)
            x = x + feed_forward(x)
        return x

    def _frequencies(self, device: torch.device) -> Tensor:
        powers = torch.arange(self.half_width, device=device, dtype=torch.float64)
        return _BASE ** (-powers / self.half_width)


class TimedCrossAttention(CrossAttention):
    """The latest query to the queries of all frames, each turned by its time."""

    def forward(self, x: Tensor, context: tuple[Tensor, Tensor]) -> Tensor:
        """x: (B, 1, dim); context: (B, T, dim) and turns (B, 1, T, d/2); returns (B, 1, dim)."""
        queries, turns = context
        key, value = self.project(queries)

        def turn(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
            return rotate(query, turns[:, :, -1:]), rotate(key, turns)

        return self.to_out(
            attend(self.to_q(x), key, value, self.num_heads, self._map_dropout(), turn=turn)
        )


class TimedSelfAttention(SelfAttention):
    """Every frame's query to those up to it in time, each turned by its time."""

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """x: (B, T, dim) in order of time; turns: (B, 1, T, d/2); returns (B, T, dim)."""

        def turn(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
            return rotate(query, turns), rotate(key, turns)

        query, key, value = self.to_qkv(x).chunk(3, dim=-1)
        heads, dropout = self.num_heads, self._map_dropout()
        return self.to_out(attend(query, key, value, heads, dropout, turn=turn, causal=True))


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Neighbouring pairs of x turned in their plane, in fp32.

    x: (..., d) pairs (x0, x1), (x2, x3), ...; turns: (..., d/2) complex numbers of length 1.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    turned = pairs * turns.to(torch.complex64)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def _check_settings(attends: str, head_dim: int, tau: float, depth: int) -> None:
    if attends not in ("last", "causal"):
        raise ValueError(f"attends is 'last' or 'causal', not {attends!r}")
    if head_dim % 2 or tau <= 0 or depth < 1:
        raise ValueError(
            f"head_dim must be even, tau above 0 s and depth at least 1; they are {head_dim}, "
            f"{tau} and {depth}"
        )


def _check(queries: Tensor, times: Tensor) -> None:
    if queries.ndim != 3 or times.shape != queries.shape[:2]:
        raise ValueError(
            f"RotaryTimeEncoder wants queries (B, T, D) and times (B, T); it was given "
            f"{tuple(queries.shape)} and {tuple(times.shape)}"
        )
