"""Shards from the roof: found or rendered, converted, checked, shown and measured."""
