"""Parts of one's own: a package to start from, and the checks that a part keeps its contract."""
