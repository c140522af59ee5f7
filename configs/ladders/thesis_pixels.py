"""The CS-ViT2 thesis, pixel augmentation: none, colours, colours and noise, everything.

zoo ladder thesis_pixels
"""

base = "csvit2"
variants = dict(
    none=["augmentation.pixels.color=none", "augmentation.pixels.noise=none"],
    color=["augmentation.pixels.noise=none"],
    color_noise=[],
    color_noise_blur=[
        "augmentation.pixels.blur={'type': 'blur', 'kernel_size': 3, 'sigma': (0.1, 2.0),"
        " 'probability': 0.2}",
    ],
    everything=[
        "augmentation.pixels.blur={'type': 'blur', 'kernel_size': 3, 'sigma': (0.1, 2.0),"
        " 'probability': 0.2}",
        "augmentation.pixels.sharpness={'type': 'sharpness', 'strength': 0.5, 'probability': 0.3}",
        "augmentation.pixels.gray={'type': 'grayscale', 'probability': 0.2}",
        "augmentation.pixels.equalize={'type': 'equalize', 'probability': 0.1}",
        "augmentation.pixels.erasing={'type': 'erasing', 'area': (0.02, 0.1),"
        " 'aspect': (0.3, 3.3), 'probability': 0.3}",
    ],
)
claims = dict()
