"""A training run: what builds it, what happens between its steps, and what it leaves behind."""
