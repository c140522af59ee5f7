"""A model that trains in milliseconds a step, and hands to train it on; all real parts."""

from __future__ import annotations

from pathlib import Path

from zoo.data.synthetic.write import write_dataset

CHANGES = (
    "model.backbone.config={'hidden_size': 48, 'num_hidden_layers': 1, 'num_attention_heads': 2,"
    " 'patch_size': 16}",
    "model.backbone.image_size=64",
    "augmentation.crop.size=(64, 64)",
    "model.head.dim=32",
    "model.head.depth=1",
    "model.head.num_heads=2",
    "model.head.head_dim=16",
    "model.head.mlp_dim=64",
    "model.head.camera.bins=(32, 32, 32)",
    "model.neck.num_heads=2",
    "model.neck.head_dim=16",
    "data.train.batch_size=4",
    "data.train.shuffle=16",
    "data.val.batch_size=8",
)


def render_hands(folder: Path, *, train: int = 40, val: int = 8) -> Path:
    """A folder with train/ and val/ shards of rendered hands of 64 px."""
    total = train + val
    write_dataset(folder, count=total, image_size=64, seed=3, split=(train / total, val / total))
    return folder
