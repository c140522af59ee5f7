"""Recipes: each file is one experiment, read by `zoo train NAME`."""
