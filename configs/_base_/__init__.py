"""Settings every recipe shares."""
