"""Trains the StyleGAN2 generator: first to draw what its code says, then against a discriminator.

The warm start is supervised: the demonstration figures are a continuous function of a Gaussian code,
so the generator can be asked for exactly the picture that belongs to its z. A mixture's coarse layers
get the w of its geometry and its fine layers the w of its appearance. The adversarial part (non-
saturating loss, R1 penalty, moving average of the weights; Karras et al. 2020) then sharpens what a
pixel loss leaves soft, with the supervised loss still holding each code to its figure.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..demo.attributes import CODE_DIM
from ..networks.stylegan2 import Generator
from .discriminator import Discriminator
from .loop import Average, Schedule, Stage, cosine, set_rate
from .pool import Batch, Pool

#: layers from here on take the w of a mixture's appearance: those of 32 x 32 pixels and more
APPEARANCE_LAYER = 5
CONFIG = {"z_dim": CODE_DIM, "w_dim": 128, "channel_base": 3072, "channel_max": 256, "mapping_layers": 4}


def codes_to_w_plus(network: Generator, geometry: Tensor, appearance: Tensor) -> Tensor:
    """The two codes of a mixture -> w_plus (N, num_ws, w_dim)."""
    w_plus = network.map(geometry).clone()
    w_plus[:, APPEARANCE_LAYER:] = network.map(appearance)[:, APPEARANCE_LAYER:]
    return w_plus


def picture_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 over pixels, over finite differences (edges) and over two coarser scales."""
    loss = F.l1_loss(output, target)
    for dim in (2, 3):
        loss = loss + 1.5 * F.l1_loss(output.diff(dim=dim), target.diff(dim=dim))
    for factor in (4, 16):
        loss = loss + F.l1_loss(F.avg_pool2d(output, factor), F.avg_pool2d(target, factor))
    return loss


def jitter(w_plus: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """w_plus with independent noise in every layer, `amount` of w's own spread.

    Asked for the same picture, the generator learns to ignore directions that mean nothing: it is in
    those that a later optimisation would leave the space of plausible pictures.
    """
    spread = w_plus[:, 0].std(0).detach()
    noise = torch.randn(w_plus.shape, generator=generator).to(w_plus)
    return w_plus + amount * spread * noise


def _optimizer(network: Generator, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam with steps in proportion to what each kind of parameter is made of.

    Weights are stored with unit spread (those of the mapping network 100 times larger still, by its
    learning-rate multiplier of 0.01), biases act as they are.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        scale = 1.0 if name.endswith(("weight", "const")) else 0.25
        groups.setdefault(scale * (100 if name.startswith("mapping.") else 1), []).append(parameter)
    return torch.optim.Adam([{"params": p, "lr": rate * scale} for scale, p in groups.items()], betas=betas)


def _soften(network: Generator) -> None:
    """Start near one grey picture: at full strength random styles would first have to be unlearnt."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.3)
            if name.endswith("torgb.weight"):
                parameter.mul_(0.1)


def train(
    pool: Pool,
    folder: Path,
    warm: Schedule,
    adversarial: Schedule,
    batch: int = 16,
    seed: int = 0,
    device: str = "cpu",
    half: bool = True,
) -> tuple[Generator, bool]:
    """Both parts, resumable. Returns the averaged generator and whether all steps are done."""
    size = pool.data["images"].shape[-1]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Generator(resolution=(size, size), **CONFIG).to(device)
    _soften(network)
    average = Average(network, 0.999)
    batches = pool.batches(batch, generator)
    fixed = pool.batch(torch.arange(0, len(pool), max(1, len(pool) // 16))[:16])

    def samples() -> Tensor:
        with torch.no_grad():
            net = average.network
            w_plus = codes_to_w_plus(net, fixed.geometry.to(device), fixed.appearance.to(device))
            drawn = net.synthesize(w_plus)
            random = net(torch.randn(16, CODE_DIM, generator=torch.Generator().manual_seed(1)).to(device))
        return torch.cat([fixed.images[:8], drawn[:8].cpu(), fixed.images[8:], drawn[8:].cpu(), random.cpu()])

    def forward(figures: Batch, noise: float) -> Tensor:
        w_plus = codes_to_w_plus(network, figures.geometry.to(device), figures.appearance.to(device))
        # half of the batch is disturbed, half is exact
        disturbed = jitter(w_plus, noise, generator)
        w_plus = torch.cat([w_plus[::2], disturbed[1::2]])
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            return network.synthesize(w_plus).float()

    def ordered(x: Tensor) -> Tensor:
        return torch.cat([x[::2], x[1::2]]).to(device)

    def update_average(step: int, figures: Batch) -> None:
        with torch.no_grad():
            network.mapping.w_avg.lerp_(network.mapping(figures.geometry.to(device)).mean(0), 0.01)
        average.update(network, step)

    optimizer = _optimizer(network, 8e-3, (0.9, 0.99))
    state = {"network": network, "average": average.network, "optimizer": optimizer}
    stage = Stage("generator-warm", folder, dict(state), generator, samples)
    stage.resume()

    def warm_step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, warm.steps, floor=0.05))
        figures = next(batches)
        output = forward(figures, 0.1)
        loss = picture_loss(output, ordered(figures.images))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        update_average(i, figures)
        return {"loss": loss.detach()}

    if not stage.run(warm, warm_step):
        return average.network, False
    if adversarial.steps == 0:
        return average.network, True

    with torch.random.fork_rng():
        torch.manual_seed(seed + 2)
        critic = Discriminator(size).to(device)
    optimizer = _optimizer(network, 1e-3, (0.0, 0.99))
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
    state |= {"optimizer": optimizer, "critic": critic, "critic_optimizer": critic_optimizer}
    stage = Stage("generator-adversarial", folder, dict(state), generator, samples)
    stage.resume()

    def adversarial_step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, adversarial.steps, floor=0.05))
        figures = next(batches)
        real = ordered(figures.images)
        fake = forward(figures, 0.25)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            critic.requires_grad_(False)
            fooled = F.softplus(-critic(fake).float()).mean()
        loss = picture_loss(fake, real) * 4 + 0.25 * fooled
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        critic.requires_grad_(True)
        critic_loss = _critic_step(critic, critic_optimizer, real, fake.detach(), i, device, half)
        update_average(i, figures)
        return {"loss": loss.detach(), "fooled": fooled.detach(), "critic": critic_loss}

    return average.network, stage.run(adversarial, adversarial_step)


def _critic_step(
    critic: nn.Module, optimizer: torch.optim.Optimizer, real: Tensor, fake: Tensor, i: int, device: str, half: bool
) -> Tensor:
    """One step of the discriminator, with the lazy R1 penalty every 16th (gamma 1)."""
    every, gamma = 16, 1.0
    with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
        loss = F.softplus(critic(fake).float()).mean() + F.softplus(-critic(real).float()).mean()
    total = loss
    if i % every == 0:
        inputs = real.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
        total = loss + 0.5 * gamma * every * gradient.square().sum((1, 2, 3)).mean()
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return loss.detach()
