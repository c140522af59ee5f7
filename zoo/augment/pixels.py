"""Changes of colour, blur and noise on crops, where keypoints stay and only pixels change.

Every augmentation applies to each crop with its own probability and its own parameters, leaves
its input as it was, and answers in [0, 1]. kornia does what it does fast enough; colour jitter,
noise and gains are a few vectorised lines because they run in every training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Generator, Tensor

from zoo.augment.draws import (
    chosen,
    global_state_from,
    on_device,
    require_fraction,
    require_range,
    uniform,
)

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class _PerCrop:
    """Applies `change` to the crops that chance picks."""

    def __init__(self, probability: float) -> None:
        self.probability = require_fraction(f"{type(self).__name__}.probability", probability)

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Crops with some of them changed.

        images: (B, 3, H, W) in [0, 1].
        returns: (B, 3, H, W) in [0, 1].
        """
        picked = chosen(rng, len(images), self.probability)
        if not len(picked):
            return images
        if len(picked) == len(images):
            return self.change(images, rng).clamp_(0, 1)
        picked = picked.to(images.device)
        changed = self.change(images[picked], rng).clamp_(0, 1)
        return images.index_copy(0, picked, changed)

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        """Every given crop changed, in new memory; it need not stay within [0, 1]."""
        raise NotImplementedError


class _Kornia(_PerCrop):
    """One kornia operation; kornia draws from torch's global state, which is lent to it."""

    operation: Callable[[Tensor], Tensor]

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        with global_state_from(rng, images.device):
            return self.operation(images)


class ColorJitter(_PerCrop):
    """Brightness, contrast and saturation, then hue, as torchvision defines them.

    The first three are one affine map of colours, so values are clipped once and not between
    them, and their order is fixed.

    Args:
        brightness, contrast, saturation: factors come from [1 - value, 1 + value].
        hue: in turns, drawn from [-hue, hue]; anything but 0 is an order slower.
        probability: share of crops.
    """

    def __init__(
        self,
        *,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.1,
        hue: float = 0.0,
        probability: float = 0.5,
    ) -> None:
        super().__init__(probability)
        self.brightness = require_fraction("color_jitter.brightness", brightness)
        self.contrast = require_fraction("color_jitter.contrast", contrast)
        self.saturation = require_fraction("color_jitter.saturation", saturation)
        if not 0 <= hue <= 0.5:
            raise ValueError(f"color_jitter.hue lies between 0 and 0.5 turns, not {hue}")
        self.hue = hue

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        def factor(spread: float) -> Tensor:
            return uniform(rng, len(images), 1 - spread, 1 + spread, images)[:, None, None, None]

        jittered = adjust_colors(
            images, factor(self.brightness), factor(self.contrast), factor(self.saturation)
        )
        if not self.hue:
            return jittered
        from kornia.enhance import adjust_hue

        turns = uniform(rng, len(images), -self.hue, self.hue, images)
        return adjust_hue(jittered.clamp_(0, 1), turns * 2 * torch.pi)


class GaussianNoise(_PerCrop):
    """Independent normal noise on every value.

    Args:
        std: standard deviation, of a range of 1.
        probability: share of crops.
    """

    each_frame: ClassVar[bool] = True  # no two frames of a film have the same noise

    def __init__(self, *, std: float = 0.03, probability: float = 0.5) -> None:
        super().__init__(probability)
        self.std = require_fraction("gaussian_noise.std", std)

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        bulk = on_device(rng, images.device)
        noise = torch.empty_like(images).normal_(0, self.std, generator=bulk)
        return noise.add_(images)


class ChannelScale(_PerCrop):
    """A gain for every colour channel of every crop (HaMeR).

    Args:
        spread: gains come from [1 - spread, 1 + spread].
        probability: share of crops.
    """

    def __init__(self, *, spread: float = 0.2, probability: float = 1.0) -> None:
        super().__init__(probability)
        self.spread = require_fraction("channel_scale.spread", spread)

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        gains = uniform(rng, 3 * len(images), 1 - self.spread, 1 + self.spread, images)
        return images * gains.view(-1, 3, 1, 1)


class Grayscale(_PerCrop):
    """Crops without colour.

    Args:
        probability: share of crops.
    """

    def __init__(self, *, probability: float = 0.2) -> None:
        super().__init__(probability)

    def change(self, images: Tensor, rng: Generator) -> Tensor:
        return _gray(images).repeat(1, 3, 1, 1)


class GaussianBlur(_Kornia):
    """Out of focus.

    Args:
        kernel_size: odd px.
        sigma: (low, high) px.
        probability: share of crops.
    """

    def __init__(
        self,
        *,
        kernel_size: int = 5,
        sigma: tuple[float, float] = (0.3, 1.0),
        probability: float = 0.15,
    ) -> None:
        super().__init__(probability)
        from kornia.augmentation import RandomGaussianBlur

        sigma = require_range("gaussian_blur.sigma", sigma, least=0)
        self.operation = RandomGaussianBlur((kernel_size, kernel_size), sigma, p=1.0)


class MotionBlur(_Kornia):
    """Moved while the shutter was open.

    Args:
        kernel_size: odd px.
        angle: degrees to either side.
        direction: largest lead of one end of the path, 0 to 1.
        probability: share of crops.
    """

    def __init__(
        self,
        *,
        kernel_size: int = 5,
        angle: float = 45.0,
        direction: float = 0.5,
        probability: float = 0.3,
    ) -> None:
        super().__init__(probability)
        from kornia.augmentation import RandomMotionBlur

        self.operation = RandomMotionBlur(kernel_size, angle, direction, p=1.0)


class Sharpness(_Kornia):
    """Sharpened edges.

    Args:
        strength: the largest factor.
        probability: share of crops.
    """

    def __init__(self, *, strength: float = 0.5, probability: float = 0.3) -> None:
        super().__init__(probability)
        from kornia.augmentation import RandomSharpness

        self.operation = RandomSharpness(strength, p=1.0)


class Equalize(_Kornia):
    """Histogram equalisation of every channel.

    Args:
        probability: share of crops.
    """

    def __init__(self, *, probability: float = 0.3) -> None:
        super().__init__(probability)
        from kornia.augmentation import RandomEqualize

        self.operation = RandomEqualize(p=1.0)


class Posterize(_Kornia):
    """Few levels a channel.

    Args:
        bits: (fewest, most) that are kept of 8; each crop draws its own.
        probability: share of crops.
    """

    def __init__(self, *, bits: tuple[int, int] = (3, 7), probability: float = 0.2) -> None:
        super().__init__(probability)
        low, high = require_range("posterize.bits", bits, least=0)
        if high > 8:
            raise ValueError(f"posterize.bits lie between 1 and 8, not {bits}")
        from kornia.augmentation import RandomPosterize

        self.operation = RandomPosterize((low, high), p=1.0)


class Erasing(_Kornia):
    """A black rectangle, as an occluder.

    Args:
        area: (low, high) share of the crop.
        aspect: (low, high) of height over width.
        probability: share of crops.
    """

    each_frame: ClassVar[bool] = True  # what hides a hand comes and goes within a film

    def __init__(
        self,
        *,
        area: tuple[float, float] = (0.02, 0.1),
        aspect: tuple[float, float] = (0.3, 3.3),
        probability: float = 0.3,
    ) -> None:
        super().__init__(probability)
        from kornia.augmentation import RandomErasing

        area = require_range("erasing.area", area, least=0)
        aspect = require_range("erasing.aspect", aspect, least=0)
        self.operation = RandomErasing(scale=area, ratio=aspect, value=0.0, p=1.0)


def adjust_colors(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor
) -> Tensor:
    """Colours times brightness, then spread about the mean grey, then about each pixel's grey.

    images: (B, 3, H, W).
    brightness, contrast, saturation: (B, 1, 1, 1) factors.
    returns: (B, 3, H, W), not clipped.
    """
    gray = _gray(images)
    mean = gray.mean((-2, -1), keepdim=True)
    spread = brightness * contrast
    toward_gray = gray.mul_(spread * (1 - saturation)).add_(brightness * (1 - contrast) * mean)
    return torch.addcmul(toward_gray, images, spread * saturation)


def _gray(images: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
