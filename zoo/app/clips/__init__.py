"""Models of clips: Stage 2 on its frozen Stage 1, the films it sees, what their length is worth."""
