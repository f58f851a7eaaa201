"""Adversarial training of the generator, which sharpens details that a pixel loss leaves blurred.

Non-saturating loss, R1 penalty and a moving average of the weights (Karras et al. 2020). The supervised
loss still ties each code to its person, and the mapping network does not change. So codes keep their
meaning, and an encoder that was trained before stays valid.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.stylegan2 import Generator
from ..loop import Average, Schedule, Stage, cosine, set_rate
from .dataset import People
from .discriminator import Discriminator
from .generator import equalized_adam, rehearse, sample_sheet, taught
from .wardrobe import AttributeMapping

SUPERVISED, FOOLED = 15.0, 0.25  # weights of the supervised and the adversarial loss
# gamma of Karras et al. for 256 pixels and batches of 8, with pixels in [0, 1] instead of [-1, 1]
R1_EVERY, R1_GAMMA = 16, 0.4


def train(
    network: Generator,
    wardrobe: AttributeMapping,
    people: People,
    folder: Path,
    schedule: Schedule,
    batch: int = 8,
    seed: int = 0,
    device: str = "cpu",
    half: bool = True,
) -> tuple[Generator, bool]:
    """Train, or resume training; returns the averaged generator, and whether all steps are done."""
    generator = torch.Generator().manual_seed(seed + 2)
    network, wardrobe = network.to(device), wardrobe.to(device)
    network.synthesis.requires_grad_(True)
    with torch.random.fork_rng():
        torch.manual_seed(seed + 2)
        critic = Discriminator(people.size).to(device)
    average = Average(network, 0.999)
    optimizer = equalized_adam(network.synthesis, 1e-3, (0.0, 0.99))
    # Without momentum, the first steps move every weight by the learning rate: a larger one is unstable.
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.0, 0.99))
    state: dict[str, object] = {
        "network": network,
        "average": average.network,
        "optimizer": optimizer,
        "critic": critic,
        "critic_optimizer": critic_optimizer,
    }
    stage = Stage(
        "adversarial",
        folder,
        state,
        generator,
        lambda: sample_sheet(average.network, wardrobe, people),
    )
    stage.resume()
    batches = people.batches(batch, generator)

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, schedule.steps, floor=0.05))
        shown = next(batches)
        with torch.no_grad():
            w_plus = taught(wardrobe, shown, network.num_ws)
        fake, real, loss = rehearse(network, w_plus, shown, 0.15, generator, half)
        critic.requires_grad_(False)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            fooled = F.softplus(-critic(fake).float()).mean()
        optimizer.zero_grad()
        (SUPERVISED * loss + FOOLED * fooled).backward()
        optimizer.step()
        average.update(network, 1000 + i)
        critic.requires_grad_(True)
        critic_loss = _critic_step(critic, critic_optimizer, real, fake.detach(), i, half)
        return {"loss": loss.detach(), "fooled": fooled.detach(), "critic": critic_loss}

    finished = stage.run(schedule, step)
    return average.network, finished


def _critic_step(
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    i: int,
    half: bool,
) -> Tensor:
    """Loss of one step of the discriminator, with the lazy R1 penalty at every `R1_EVERY`-th step."""
    with torch.autocast(real.device.type, dtype=torch.bfloat16, enabled=half):
        loss = F.softplus(critic(fake).float()).mean() + F.softplus(-critic(real).float()).mean()
    total = loss
    if i % R1_EVERY == 0:
        inputs = real.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
        total = loss + 0.5 * R1_GAMMA * R1_EVERY * gradient.square().sum((1, 2, 3)).mean()
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return loss.detach()
