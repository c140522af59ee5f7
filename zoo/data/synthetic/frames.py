"""A few rendered hands in memory, for everyone who wants known truth without writing shards."""

from __future__ import annotations

from zoo.contracts import FrameBatch
from zoo.data.schema import decode, encode
from zoo.data.synthetic.write import Depth, Recipe, draw_sample


class RenderedFrames:
    """`count` rendered hands with every label, the first of the data set that `seed` draws.

    Left and right hands, labels in the pixels and the camera of their picture. The same arguments
    draw the same hands on every machine.

    count: pictures, one hand each. image_size: px of a side.
    depth: None, or depth maps too: "exact", or as a "sensor" sees them.
    """

    def __init__(
        self, *, count: int, seed: int = 0, image_size: int = 128, depth: Depth | None = None
    ) -> None:
        self.recipe = Recipe(count, image_size, seed, (1.0, 0.0), 0.0, 8, depth=depth)

    def __call__(self) -> FrameBatch:
        """The hands as a loader yields them."""
        frames = []
        for index in range(self.recipe.count):
            sample = draw_sample(self.recipe, split=0, shard=0, index=index, frames=1)
            members = encode(sample)
            bare = {name.removeprefix(f"{sample.key}."): data for name, data in members.items()}
            frames += decode({"__key__": sample.key, **bare}, shard="rendered in memory")
        return FrameBatch(tuple(frames))
