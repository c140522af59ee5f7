"""Models across the border: files for other programs, and published checkpoints in and back."""
