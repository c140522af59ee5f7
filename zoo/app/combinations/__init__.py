"""Every part with every other: which combinations train, and what the others are refused for."""
