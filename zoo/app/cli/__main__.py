"""Runs the command line without an installed script: `python -m zoo.app.cli`, as torchrun does."""

from __future__ import annotations

from zoo.app.cli.main import main

if __name__ == "__main__":
    main()
