"""Layers that let neighbouring vertices of a mesh tell each other what they see."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MeshGraph(nn.Module):
    """Graph convolutions over the edges of a mesh (Kipf and Welling, ICLR 2017).

    faces: (F, 3) indices of vertices; every vertex is part of one.
    widths: of the features before, between and after the layers; a ReLU follows all but the last.
    self_loops: a vertex also hears itself; without, as UTNet releases it, only its neighbours.
    """

    def __init__(self, *, faces: Tensor, widths: tuple[int, ...], self_loops: bool = False) -> None:
        super().__init__()
        num_vertices = int(faces.max()) + 1
        links = adjacency(faces, num_vertices)
        if self_loops:
            links = links + torch.eye(num_vertices, device=links.device)
        scale = links.sum(1).clamp(min=1).rsqrt()
        self.register_buffer("links", scale[:, None] * links * scale, persistent=False)
        pairs = itertools.pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, V, widths[0]); returns (B, V, widths[-1])."""
        for i, layer in enumerate(self.layers):
            features = self._heard(features, layer)
            if i < len(self.layers) - 1:
                features = F.relu(features)
        return features

    def _heard(self, features: Tensor, layer: nn.Linear) -> Tensor:
        """layer(links @ features): the two products in the order that is cheaper."""
        if layer.out_features >= layer.in_features:
            return layer(self.links @ features)
        return self.links @ F.linear(features, layer.weight) + layer.bias


def adjacency(faces: Tensor, num_vertices: int) -> Tensor:
    """Which vertices share an edge: (V, V) of 0 and 1, symmetric, nothing on the diagonal."""
    links = torch.zeros(num_vertices, num_vertices, device=faces.device)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        links[faces[:, one], faces[:, other]] = 1
        links[faces[:, other], faces[:, one]] = 1
    return links
