"""CS-ViT2 of January with one suggestion of its analysis each: `zoo train residual`."""
