"""Trains the StyleGAN2 generator, supervised by the figures of its codes.

The demonstration figures are a continuous function of a Gaussian code, so every code has a target image.
For a mixture, the coarse layers get the w of its geometry and the fine layers the w of its appearance. W
is computed from the attributes (`wardrobe.py`). The mapping network is trained afterwards to predict it
from z. `adversarial.py` continues the training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..checkpoints import load_generator
from ..demo.attributes import CODE_DIM, attributes_from_code, sample_attributes, sample_codes
from ..networks.stylegan2 import Generator
from .loop import Average, Schedule, Stage, cosine, set_rate
from .pool import Batch, Pool
from .wardrobe import AttributeMapping

#: the first layer with the w of a mixture's appearance; from here on, layers have 32 x 32 pixels or more
APPEARANCE_LAYER = 5
#: error of a pixel in units of [0, 1] where the loss changes from squared to absolute
_SMALL = 0.1
#: file of the teacher's weights, from which training can be continued
WARDROBE = "wardrobe.safetensors"
CONFIG: dict[str, Any] = {
    "z_dim": CODE_DIM,
    "w_dim": 192,
    "channel_base": 3072,
    "channel_max": 256,
    "mapping_layers": 8,
    "conv_clamp": None,  # useful in half precision only; it would take a seventh of a step's time
}


def spread_over_layers(geometry: Tensor, appearance: Tensor, num_ws: int) -> Tensor:
    """The two w (N, w_dim) of a mixture -> w_plus (N, num_ws, w_dim)."""
    coarse = geometry[:, None].expand(-1, APPEARANCE_LAYER, -1)
    return torch.cat([coarse, appearance[:, None].expand(-1, num_ws - APPEARANCE_LAYER, -1)], 1)


def codes_to_w_plus(
    wardrobe: AttributeMapping, geometry: Tensor, appearance: Tensor, num_ws: int
) -> Tensor:
    """The two codes (N, CODE_DIM) of a mixture -> w_plus (N, num_ws, w_dim), by their attributes."""
    coarse, fine = (wardrobe(attributes_from_code(code)) for code in (geometry, appearance))
    return spread_over_layers(coarse, fine, num_ws)


def reconstruction_loss(output: Tensor, target: Tensor, importance: Tensor | None = None) -> Tensor:
    """Loss of pixels, of finite differences (edges) and of two coarser scales.

    Errors up to `_SMALL` are squared, larger ones count by their absolute value. With absolute values
    only, an error of half a grey level over the whole wall would weigh as much as a missing eye.

    Args:
        output, target: (N, 3, H, W).
        importance: weights of the pixels, (N, 1, H, W), about 1 on average.
    """
    error = output - target
    if importance is not None:
        error = error * importance
    loss = _robust(error, _SMALL)
    for dim in (2, 3):
        loss = loss + 1.5 * _robust(error.diff(dim=dim), _SMALL)
    for factor in (4, 16):
        loss = loss + _robust(F.avg_pool2d(error, factor), _SMALL / factor)
    return loss


def _robust(error: Tensor, small: float) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=small)


def importance(figures: Batch) -> Tensor:
    """Weights of the pixels of figures, (N, 1, S, S), about 1 on average.

    A face is a fortieth of the image, and its features are a few pixels of the face.
    """
    fine = (figures.images - F.avg_pool2d(figures.images, 7, 1, 3)).abs().mean(1, keepdim=True)
    features = (8 * fine).clamp(max=1) * (figures.head > 0.99)
    return 0.6 + 0.6 * figures.garment + 1.0 * figures.head + 5 * features


def jitter(w_plus: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """w_plus with independent noise in every layer, `amount` times the standard deviation of w.

    The target image stays the same, so the generator learns to ignore meaningless directions. In these
    directions, a later optimisation would leave the space of plausible images.
    """
    spread = w_plus[:, 0].std(0).detach()
    noise = torch.randn(w_plus.shape, generator=generator).to(w_plus)
    return w_plus + amount * spread * noise


def equalized_adam(network: nn.Module, rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam with step sizes that match the magnitude of each kind of parameter.

    Weights are stored with unit variance; those of the mapping network are 100 times larger, because of
    its learning-rate multiplier of 0.01. Biases are stored as they are used.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        scale = 1.0 if name.endswith(("weight", "const")) else 0.25
        groups.setdefault(scale * (100 if "fc" in name else 1), []).append(parameter)
    return torch.optim.Adam(
        [{"params": p, "lr": rate * scale} for scale, p in groups.items()], betas=betas
    )


def _soften(network: Generator) -> None:
    """Scale weights down so that all first images are nearly the same grey one.

    Otherwise, training would first have to remove the effect of random styles.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("affine.weight"):
                parameter.mul_(0.3)
            if name.endswith("torgb.weight"):
                parameter.mul_(0.1)


def rehearse(
    network: Generator,
    w_plus: Tensor,
    figures: Batch,
    noise: float,
    generator: torch.Generator,
    half: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Generated images, target images, and the loss; codes with odd indices get noise."""
    noisy = torch.arange(len(w_plus), device=w_plus.device)[:, None, None] % 2 == 1
    w_plus = torch.where(noisy, jitter(w_plus, noise, generator), w_plus)
    with torch.autocast(w_plus.device.type, dtype=torch.bfloat16, enabled=half):
        output = network.synthesize(w_plus).float()
    target = figures.images.to(output)
    return output, target, reconstruction_loss(output, target, importance(figures).to(output))


def taught(wardrobe: AttributeMapping, figures: Batch, network: Generator) -> Tensor:
    """The codes (N, num_ws, w_dim) of these figures by the teacher."""
    device = network.w_avg.device
    codes = (figures.geometry.to(device), figures.appearance.to(device))
    return codes_to_w_plus(wardrobe, *codes, network.num_ws)


def sample_sheet(network: Generator, wardrobe: AttributeMapping, pool: Pool) -> Tensor:
    """Sample images: figures of the pool, the generated image below each, and images of random z."""
    figures = pool.batch(torch.arange(0, len(pool), max(1, len(pool) // 16))[:16])
    z = torch.randn(16, CODE_DIM, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        drawn = network.synthesize(taught(wardrobe, figures, network)).cpu()
        random = network(z.to(network.w_avg.device)).cpu()
    return torch.cat([figures.images[:8], drawn[:8], figures.images[8:], drawn[8:], random])


def train(
    pool: Pool,
    folder: Path,
    warm: Schedule,
    batch: int = 16,
    seed: int = 0,
    device: str = "cpu",
    half: bool = True,
    start: Path | None = None,
) -> tuple[Generator, AttributeMapping, bool]:
    """Train the synthesis network and then the mapping network, or resume training.

    Args:
        start: folder with `generator.safetensors` and `wardrobe.safetensors` of an earlier run, whose
            weights are trained further with smaller steps; None starts from random weights.

    Returns:
        The averaged generator, its teacher, and whether all steps are done.
    """
    size = pool.data["images"].shape[-1]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Generator(resolution=(size, size), **CONFIG).to(device)
        wardrobe = AttributeMapping(network.w_dim).to(device)
    _soften(network)
    if start is not None:
        network.load_state_dict(load_generator(start / "generator.safetensors").state_dict())
        wardrobe.load_state_dict(load_file(start / WARDROBE))
    average, teacher = Average(network, 0.999), Average(wardrobe, 0.999)
    batches = pool.batches(batch, generator)

    def samples() -> Tensor:
        return sample_sheet(average.network, teacher.network, pool)

    optimizer = equalized_adam(network, 8e-3 if start is None else 6e-3, (0.9, 0.99))
    teacher_optimizer = torch.optim.Adam(wardrobe.parameters(), lr=1e-3, betas=(0.9, 0.99))
    state: dict[str, object] = {
        "network": network,
        "average": average.network,
        "wardrobe": wardrobe,
        "teacher": teacher.network,
        "optimizer": optimizer,
        "teacher_optimizer": teacher_optimizer,
    }
    stage = Stage("generator-warm", folder, dict(state), generator, samples)
    stage.resume()

    def learn(loss: Tensor, i: int) -> None:
        optimizer.zero_grad()
        teacher_optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        teacher_optimizer.step()
        average.update(network, i)
        teacher.update(wardrobe, i)

    def warm_step(i: int) -> dict[str, Tensor]:
        for group in (optimizer, teacher_optimizer):
            set_rate(group, cosine(i, warm.steps, floor=0.03))
        figures = next(batches)
        w_plus = taught(wardrobe, figures, network)
        *_, loss = rehearse(network, w_plus, figures, 0.08, generator, half)
        learn(loss, i)
        return {"loss": loss.detach()}

    if not stage.run(warm, warm_step):
        return average.network, teacher.network, False

    teach_mapping(average.network, teacher.network, folder, seed)
    save_file(teacher.network.state_dict(), folder / WARDROBE)
    return average.network, teacher.network, True


def teach_mapping(
    network: Generator, wardrobe: AttributeMapping, folder: Path, seed: int, steps: int = 15_000
) -> None:
    """Train the mapping network to predict the teacher's w, and set w_avg; resumable as any stage."""
    generator = torch.Generator().manual_seed(seed + 3)
    device = network.w_avg.device
    mapping = network.mapping.requires_grad_(True)
    optimizer = equalized_adam(network.mapping, 2e-3, (0.9, 0.99))
    with torch.no_grad():
        typical = wardrobe(sample_attributes(4096, generator)).to(device)
        variance = typical.var(0).mean()
        mapping.w_avg.copy_(typical.mean(0))
    stage = Stage(
        "generator-mapping", folder, {"mapping": mapping, "optimizer": optimizer}, generator
    )
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, steps, floor=0.01))
        code = sample_codes(512, generator).to(device)
        with torch.no_grad():
            target = wardrobe(attributes_from_code(code))
        loss = (mapping(code) - target).square().mean() / variance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"unexplained": loss.detach()}

    stage.run(Schedule(steps, save_every=2500), step)
    mapping.requires_grad_(False)
