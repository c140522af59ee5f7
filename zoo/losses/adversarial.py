"""A prior on poses that is learned beside the model: could a real hand look like this one?"""

from __future__ import annotations

import dataclasses
from os import PathLike

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.contracts import NUM_ROTATIONS, HandMesh, HandTarget, Prediction
from zoo.losses.real_hands import HandBatch, RealHands
from zoo.losses.reduce import in_float32

_FINGER_JOINTS, _FEATURES = NUM_ROTATIONS - 1, 32


class AdversarialPrior(nn.Module):
    """How far a prediction is from what a discriminator takes for a real hand (HMR, HaMeR).

    The discriminator never learns from this term: its weights ask for no gradient, and `learn`
    takes one step of its own optimiser on the hands of the last training forward, after the
    model's step. Both divide by the number of predicted hands, so that the real ones, of which
    there are `real_per_hand` times as many, count that much more, as in HaMeR.

    weight: of this term and of the discriminator's own loss (HaMeR: 0.0005).
    poses: npz with real poses, see `RealHands.from_file`; None takes those of clayhand.
    lr, weight_decay: of the discriminator's AdamW.

    Source: Kanazawa et al., End-to-end Recovery of Human Shape and Pose, CVPR 2018, section 3.2.
    """

    needs: frozenset[str] = frozenset()
    draws: Tensor

    def __init__(
        self,
        *,
        weight: float,
        poses: str | PathLike[str] | None = None,
        real_per_hand: int = 2,
        lr: float = 1e-5,
        weight_decay: float = 1e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if real_per_hand < 1:
            raise ValueError(
                f"AdversarialPrior.real_per_hand is {real_per_hand}; it takes one or more."
            )
        self.weight, self.real_per_hand, self.seed = weight, real_per_hand, seed
        self.lr, self.weight_decay = lr, weight_decay
        self.real = RealHands.from_prior(seed) if poses is None else RealHands.from_file(poses)
        self.discriminator = Discriminator().requires_grad_(False)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self._count: int | None = None  # `draws` on the host: reading it would wait for the GPU
        self._seen: Prediction | None = None

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        if self.training and self._seen is None:  # the last step's; earlier ones come after it
            self._seen = dataclasses.replace(prediction, aux={}, earlier=()).detach()
        return self.loss_generator(prediction)

    def loss_generator(self, prediction: Prediction) -> Tensor:
        """The sum of (verdict - 1)^2 over all 17 verdicts, a hand."""
        verdicts = self.discriminator(*_hands(prediction))
        return (verdicts - 1).square().sum() / len(verdicts)

    def loss_discriminator(self, prediction: Prediction, real: HandBatch) -> Tensor:
        """What the discriminator has to lower: predictions judged 0 and real hands 1."""
        made, true = self.discriminator(*_hands(prediction.detach())), self.discriminator(*real)
        return (made.square().sum() + (true - 1).square().sum()) / len(made)

    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser to give to `learn`."""
        return torch.optim.AdamW(
            self.discriminator.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )

    def learn(self, optimizer: torch.optim.Optimizer) -> Tensor | None:
        """One step of the discriminator; its unweighted loss, or None before any forward.

        The real hands are a function of seed, number of steps so far and rank. A step whose
        gradient is not finite changes nothing. Under DDP gradients are averaged over the ranks.
        """
        if self._seen is None:
            return None
        seen, self._seen = self._seen, None
        parameters = list(self.discriminator.requires_grad_(True).parameters())
        device = seen.betas.device
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            real = self._next_real(self.real_per_hand * len(seen), device)
            loss = self.loss_discriminator(seen, real)
            gradients = torch.autograd.grad(self.weight * loss, parameters)
        self.discriminator.requires_grad_(False)
        if dist.is_available() and dist.is_initialized():
            for gradient in gradients:
                dist.all_reduce(gradient)
                gradient /= dist.get_world_size()
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)  # the model's optimiser must not see them
        return loss.detach()

    def _next_real(self, count: int, device: torch.device) -> HandBatch:
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        if self._count is None:
            self._count = int(self.draws)
        drawn = self.real.draw(count, entropy=(self.seed, self._count, rank), device=device)
        self._count += 1
        self.draws.fill_(self._count)
        return drawn

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._count = None


class Discriminator(nn.Module):
    """17 verdicts on a hand, 1 for real: one a finger joint, one on its shape, one on all joints.

    Parameter names follow the published checkpoints.
    """

    def __init__(self) -> None:
        super().__init__()
        self.D_conv1 = nn.Conv2d(9, _FEATURES, 1)
        self.D_conv2 = nn.Conv2d(_FEATURES, _FEATURES, 1)
        self.pose_out = nn.ModuleList(nn.Linear(_FEATURES, 1) for _ in range(_FINGER_JOINTS))
        self.betas_fc1, self.betas_fc2 = nn.Linear(10, 10), nn.Linear(10, 5)
        self.betas_out = nn.Linear(5, 1)
        self.D_alljoints_fc1 = nn.Linear(_FEATURES * _FINGER_JOINTS, 1024)
        self.D_alljoints_fc2 = nn.Linear(1024, 1024)
        self.D_alljoints_out = nn.Linear(1024, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, rotmats: Tensor, betas: Tensor) -> Tensor:
        """Verdicts in the order joints, shape, all joints.

        rotmats: (B, 15, 3, 3), the finger joints' own, absolute. betas: (B, 10).
        returns: (B, 17).
        """
        numbers = rotmats.flatten(2).transpose(1, 2)[..., None]  # (B, 9, 15, 1)
        features = F.relu(self.D_conv2(F.relu(self.D_conv1(numbers))))
        joints = [out(features[:, :, j, 0]) for j, out in enumerate(self.pose_out)]
        shape = self.betas_out(F.relu(self.betas_fc2(F.relu(self.betas_fc1(betas)))))
        whole = F.relu(self.D_alljoints_fc1(features.flatten(1)))
        whole = self.D_alljoints_out(F.relu(self.D_alljoints_fc2(whole)))
        return torch.cat((*joints, shape, whole), dim=-1)


def _hands(prediction: Prediction) -> HandBatch:
    return HandBatch(prediction.rotmats[:, 1:], prediction.betas)
