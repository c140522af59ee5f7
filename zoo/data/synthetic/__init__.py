"""Rendered hands with exact labels, so that training and tests need no licensed data."""

from zoo.data.synthetic.write import GENERATOR, draw_sample, write_dataset

__all__ = ["GENERATOR", "draw_sample", "write_dataset"]
