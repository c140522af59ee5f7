"""One transformer decoder for necks and heads, so that neither has to import the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]


class TransformerDecoder(nn.Module):
    """Queries that look at each other, then at a context, `depth` times (HaMeR, CVPR 2024).

    Every layer is pre-norm with a residual: self-attention, cross-attention, feed-forward. Only
    the queries are normalised, never the context, and there is no final norm. Parameter names
    follow the published checkpoints.

    embed_tokens: False lets the tokens in as they are; they have to be `dim` wide.
    exact_tokens, exact_context: what enters is projected in fp32 even under autocast, for numbers
        whose last digits matter (an estimate to correct, ray directions); bf16 keeps only three.
    """

    def __init__(
        self,
        *,
        token_dim: int,
        num_tokens: int,
        context_dim: int,
        dim: int,
        depth: int,
        num_heads: int,
        head_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        embed_tokens: bool = True,
        exact_tokens: bool = False,
        exact_context: bool = False,
    ) -> None:
        super().__init__()
        if not embed_tokens and token_dim != dim:
            raise ValueError(
                f"TransformerDecoder without an embedding got tokens {token_dim} wide and is {dim} "
                f"wide itself; set dim={token_dim}, or let it embed them."
            )
        self.exact_tokens = exact_tokens
        self.to_token_embedding = nn.Linear(token_dim, dim) if embed_tokens else nn.Identity()
        self.pos_embedding = nn.Parameter(torch.randn(1, num_tokens, dim))
        heads = {"dim": dim, "num_heads": num_heads, "head_dim": head_dim, "dropout": dropout}
        across = {"context_dim": context_dim, "exact_context": exact_context}

        def layer() -> nn.ModuleList:
            blocks = (
                SelfAttention(**heads),
                CrossAttention(**heads, **across),
                FeedForward(dim=dim, mlp_dim=mlp_dim, dropout=dropout),
            )
            return nn.ModuleList(PreNorm(dim, block) for block in blocks)

        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(layer() for _ in range(depth))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """The queries after every layer.

        tokens: (B, n, token_dim), n the `num_tokens` of the position table.
        context: (B, N, context_dim).
        returns: (B, n, dim).
        """
        return self.attend(tokens, self.prepare(context))

    def prepare(self, context: Tensor) -> list[KeysValues]:
        """What every layer will look at; made once, it serves any number of queries.

        context: (B, N, context_dim).
        returns: for each layer keys and values, (B, N, num_heads * head_dim) each.
        """
        return [layer[1].fn.project(context) for layer in self.transformer.layers]

    def attend(self, tokens: Tensor, prepared: list[KeysValues]) -> Tensor:
        """The queries after every layer, from a prepared context; see `forward`."""
        if tokens.shape[1] != self.pos_embedding.shape[1]:
            raise ValueError(
                f"TransformerDecoder has positions for {self.pos_embedding.shape[1]} tokens and "
                f"got {tokens.shape[1]}; build it with num_tokens={tokens.shape[1]}."
            )
        x = _project(self.to_token_embedding, tokens, self.exact_tokens) + self.pos_embedding
        for layer, context in zip(self.transformer.layers, prepared, strict=True):
            self_attention, cross_attention, feed_forward = layer
            x = x + self_attention(x)
            x = x + cross_attention(x, context)
            x = x + feed_forward(x)
        return x

    def set_dropout(self, p: float) -> None:
        """Every dropout of the decoder, attention maps included, at probability p."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = p


class PreNorm(nn.Module):
    """A block that reads its first input through a LayerNorm."""

    def __init__(self, dim: int, block: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = block

    def forward(self, x: Tensor, *context: KeysValues) -> Tensor:
        return self.fn(self.norm(x), *context)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other; the projection to q, k, v has no bias."""

    def __init__(self, *, dim: int, num_heads: int, head_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        inner = num_heads * head_dim
        self.num_heads = num_heads
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, n, dim); returns the same shape."""
        if x.shape[1] == 1 and not self._map_dropout():
            # One token can look at itself alone. Queries and keys then have no gradient but
            # rounding, which Adam would turn into steps of full size.
            values = self.to_qkv.weight.chunk(3)[2]
            return self.to_out(F.linear(x, values))
        query, key, value = self.to_qkv(x).chunk(3, dim=-1)
        return self.to_out(attend(query, key, value, self.num_heads, self._map_dropout()))

    def _map_dropout(self) -> float:
        return self.to_out[1].p if self.training else 0.0


class CrossAttention(nn.Module):
    """Multi-head attention of tokens to a context of another width; projections have no bias."""

    def __init__(
        self,
        *,
        dim: int,
        context_dim: int,
        num_heads: int,
        head_dim: int,
        dropout: float = 0.0,
        exact_context: bool = False,
    ) -> None:
        super().__init__()
        inner = num_heads * head_dim
        self.num_heads, self.exact_context = num_heads, exact_context
        self.to_kv = nn.Linear(context_dim, 2 * inner, bias=False)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))

    def project(self, context: Tensor) -> KeysValues:
        """Keys and values of a context (B, N, context_dim)."""
        return _project(self.to_kv, context, self.exact_context).chunk(2, dim=-1)

    def forward(self, x: Tensor, context: KeysValues) -> Tensor:
        """x: (B, n, dim), context: from `project`; returns (B, n, dim)."""
        query = self.to_q(x)
        key, value = (side.to(query.dtype) for side in context)
        return self.to_out(attend(query, key, value, self.num_heads, self._map_dropout()))

    def _map_dropout(self) -> float:
        return self.to_out[1].p if self.training else 0.0


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, *, dim: int, mlp_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, n, dim); returns the same shape."""
        return self.net(x)


def _project(linear: nn.Module, x: Tensor, exact: bool) -> Tensor:
    if not exact:
        return linear(x)
    with torch.autocast(x.device.type, enabled=False):
        return linear(x.float())


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    dropout: float = 0.0,
    *,
    turn: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    causal: bool = False,
) -> Tensor:
    """Softmax attention of `num_heads` heads.

    query: (B, n, num_heads * d); key, value: (B, N, num_heads * d).
    turn: changes queries and keys, (B, num_heads, n or N, d), before they meet.
    causal: query i sees keys up to i alone.
    returns: (B, n, num_heads * d).
    """
    query, key, value = (
        rearrange(x, "b n (head d) -> b head n d", head=num_heads) for x in (query, key, value)
    )
    if turn is not None:
        query, key = turn(query, key)
    if query.device.type == "cpu" and query.dtype != torch.float32:
        # There the fused kernel's backward pass is four times slower than two matrix products.
        logits = query @ key.mT * query.shape[-1] ** -0.5
        if causal:
            hidden = torch.ones_like(logits, dtype=torch.bool).triu(1)
            logits = logits.masked_fill(hidden, -torch.inf)
        attended = F.dropout(logits.softmax(dim=-1), dropout).to(value.dtype) @ value
    else:
        attended = F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=causal
        )
    return rearrange(attended, "b head n d -> b n (head d)")
