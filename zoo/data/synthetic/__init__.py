"""Rendered hands with exact labels, so that training and tests need no licensed data."""

from zoo.data.synthetic.write import draw_sample, generator, write_dataset

__all__ = ["draw_sample", "generator", "write_dataset"]
