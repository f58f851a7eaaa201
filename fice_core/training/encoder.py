"""Trains an e4e encoder for a given generator, with or without photos.

The generator itself gives exact pairs of images and codes, as many as are wanted. Photos, where there are
some, are compared with their reconstructions. The losses are those of e4e (Tov et al. 2021): pixels, features
in LPIPS' place, offsets of the later styles from the first, and a discriminator of codes; and the distance
of the code where it is known. Later styles get offsets of their own one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..acceleration.bfloat16 import multiplies_bfloat16
from ..errors import FiceError
from ..latents import generator_id
from ..networks.e4e import Encoder
from ..networks.stylegan2 import Generator
from .camera import taken
from .critics import Features, feature_difference, features_of, names_of
from .dice import Dice
from .distributed import Processes, generator_of, share_batch_statistics, shuffled
from .latent_critic import CodePool, LatentCritic, critic_loss
from .loop import Average, Schedule, Stage, cosine, set_base_rate, set_rate
from .losses import differences, psnr
from .photos import Photos

#: architectures: that of e4e for published generators, and one for small generators
SIZES: dict[str, dict[str, Any]] = {
    "full": {"input_size": 256, "stages": ((64, 3), (128, 4), (256, 14), (512, 3))},
    "small": {
        "input_size": 128,
        "stages": ((16, 1), (48, 2), (96, 2), (144, 2)),
        "head_channels": 96,
    },
}
#: learning rate of each size
RATES = {"full": 1e-4, "small": 2e-3}
#: number of images that are held out, of the generator's and of the photos
HELD_OUT = 64
#: the shares of all steps before the second style gets an offset, and between two further ones
_FIRST_OFFSET, _NEXT_OFFSET = 0.1, 0.01
_SHOWN = 8  # held-out images in a grid of samples
_STATISTICS = 8192  # codes from which the statistics of W are estimated
_REAL_CODES = 4  # codes of the mapping network for each of the encoder's, for the discriminator


@dataclass(frozen=True)
class Recipe:
    """Weights of the losses and what the images of a step are.

    Attributes:
        pixels: of `losses.differences`.
        features: of the features, shared by all networks.
        code: of the squared distance from the known code, in variances of w.
        offsets: of the sizes of the styles' offsets, in deviations of w.
        adversarial: of the discriminator of codes.
        critic_rate: learning rate of the discriminator over that of the encoder.
        mixed: share of the generated images whose code changes from one w to another at some layer.
        disturbed: of the generated images, the largest deviation of every layer's w by noise.
        harmed: share of the generated images that the encoder sees as a camera would take them.
    """

    pixels: float = 2.0
    features: float = 0.8
    code: float = 0.3
    offsets: float = 2e-3
    adversarial: float = 0.1
    critic_rate: float = 0.2
    mixed: float = 0.5
    disturbed: float = 0.5
    harmed: float = 0.5


def size_for(generator: Generator) -> str:
    """The key of `SIZES` for a generator: "small" for those with few channels, below 256 pixels."""
    widest = getattr(generator.synthesis, "b4").const.shape[0]  # noqa: B009
    return "small" if generator.resolution[0] < 256 or widest < 512 else "full"


def build(generator: Generator, size: str, seed: int = 0) -> Encoder:
    """An encoder with random weights for a generator; it starts from the mean of W.

    Raises:
        FiceError: the generator's images are too small.
    """
    if generator.resolution[0] < 32:
        raise FiceError(
            f"the generator's images have {generator.resolution[0]} pixels; an encoder needs 32"
        )
    config = dict(SIZES[size])
    config["input_size"] = min(config["input_size"], generator.resolution[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Encoder(num_styles=generator.num_ws, style_dim=generator.w_dim, **config)
    mean, _ = code_statistics(generator)
    network.latent_avg.copy_(mean.cpu().expand_as(network.latent_avg))
    return network


@torch.no_grad()
def code_statistics(generator: Generator) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (w_dim,) of every component of w; none of the latter is tiny."""
    z = torch.randn(_STATISTICS, generator.z_dim, generator=generator_of(0))
    w = generator.mapping(z.to(generator.w_avg))
    return w.mean(0), w.std(0).clamp_min(0.1 * float(w.std()))


def offsets_at(step: int, steps: int, num_ws: int) -> int:
    """How many styles have offsets of their own at a step: none at first, in the end `num_ws` - 1."""
    beyond = step - _FIRST_OFFSET * steps
    if beyond < 0:
        return 0
    return min(num_ws - 1, 1 + int(beyond / max(1.0, _NEXT_OFFSET * steps)))


class Pairs:
    """Images of the generator with their codes.

    Args:
        network: the generator.
        recipe: how codes are drawn.
        spread: standard deviation of w, (w_dim,).
    """

    def __init__(self, network: Generator, recipe: Recipe, spread: Tensor) -> None:
        self.network, self.recipe, self.spread = network, recipe, spread

    @torch.no_grad()
    def codes(self, generators: Sequence[torch.Generator]) -> Tensor:
        """A code for each random generator, (n, num_ws, w_dim)."""
        network, recipe = self.network, self.recipe
        z = torch.stack([torch.randn(2, network.z_dim, generator=g) for g in generators])
        w = network.mapping(z.flatten(0, 1).to(self.spread)).unflatten(0, (-1, 2))
        rows = []
        for k, generator in enumerate(generators):
            mixes, where, noisy = torch.rand(3, generator=generator).tolist()
            change = network.num_ws
            if mixes < recipe.mixed:
                change = 1 + int(where * (network.num_ws - 1))
            layers = torch.arange(network.num_ws, device=w.device)[:, None]
            code = torch.where(layers < change, w[k, :1], w[k, 1:])
            noise = torch.randn(code.shape, generator=generator).to(code)
            rows.append(code + recipe.disturbed * noisy**2 * noise * self.spread)
        return torch.stack(rows)

    @torch.no_grad()
    def real_codes(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Codes of the mapping network alone, (n * `_REAL_CODES`, w_dim)."""
        z = [torch.randn(_REAL_CODES, self.network.z_dim, generator=g) for g in generators]
        w: Tensor = self.network.mapping(torch.cat(z).to(self.spread))
        return w


@dataclass
class _Batch:
    """Some images of a step.

    `inputs` (n, 3, H, W) are what the encoder sees, `targets` what it shall reproduce. `codes` are theirs
    where `known` (n,) is 1.
    """

    inputs: Tensor
    targets: Tensor
    codes: Tensor
    known: Tensor


class EncoderTraining:
    """The networks and losses of the training of an encoder. `train` runs it.

    Args:
        network: the encoder, trained in place.
        generator: frozen.
        recipe: of the losses.
        critics: networks whose features are compared.
        photos: without those held out; None for generated images alone.
        batch: images of a step, over all processes.
        seed: of everything random.
        processes: that train together.
        half: whether networks multiply in bfloat16; None where the device does so in hardware.
    """

    def __init__(
        self,
        network: Encoder,
        generator: Generator,
        recipe: Recipe,
        critics: Sequence[nn.Module] = (),
        photos: Photos | None = None,
        batch: int = 8,
        seed: int = 0,
        processes: Processes | None = None,
        half: bool | None = None,
    ) -> None:
        self.processes = processes or Processes()
        device = self.processes.device
        self.generator = generator.to(device).eval().requires_grad_(False)
        self.features: list[Features] = [
            features_of(critic.to(device).eval().requires_grad_(False)) for critic in critics
        ]
        self.recipe, self.photos, self.batch, self.seed = recipe, photos, batch, seed
        self.own = self.processes.share(batch)
        self.mean, self.spread = code_statistics(self.generator)
        self.pairs = Pairs(self.generator, recipe, self.spread)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.critic = LatentCritic(generator.w_dim).to(self.spread)
        self.pool = CodePool((generator.num_ws, generator.w_dim)).to(self.spread)
        self.network = network.to(device)
        self.processes.copy_first(self.network, self.critic)
        self.average = Average(self.network, 0.999)
        share_batch_statistics(self.network, self.processes)
        self.half = multiplies_bfloat16(device) if half is None else half

    def draw(self, step: int) -> tuple[_Batch, list[torch.Generator]]:
        """This process's images of a step, and the random generators of its samples."""
        generators = [generator_of(self.seed, step, k) for k in self.own]
        # Where there are photos, every second sample is one.
        known = [self.photos is None or k % 2 == 0 for k in self.own]
        codes = self.pairs.codes(generators)
        targets = codes.new_empty(len(known), 3, *self.generator.resolution)
        pairs = [i for i, each in enumerate(known) if each]
        if pairs:
            with torch.no_grad(), self._mixed():
                drawn = self.generator.synthesize(codes[pairs])
            targets[pairs] = drawn.to(targets).clamp(0, 1)
        inputs = targets.clone()
        for i in pairs:
            harmed, harm = torch.rand(2, generator=generators[i]).tolist()
            if harmed < self.recipe.harmed:
                dice = Dice(generators[i], 1)
                inputs[i] = taken(targets[i : i + 1].float().cpu(), dice, harm)[0].to(targets)
        if self.photos is not None:
            rows = [i for i, each in enumerate(known) if not each]
            mirrored = [float(torch.rand((), generator=generators[i])) < 0.5 for i in rows]
            shown = self.photos.images(self._photos_of(step), mirrored)
            inputs[rows] = targets[rows] = shown.to(targets)
            self.photos.expect(self._photos_of(step + 1))
        return _Batch(inputs, targets, codes, torch.tensor(known).to(codes)), generators

    def losses(self, images: _Batch, offsets: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The value to minimise, the codes, and figures to display."""
        recipe = self.recipe
        with self._mixed():
            codes = self.network(images.inputs, offsets).to(images.codes)
            output = self.generator.synthesize(codes).to(codes)
        parts = {"pixels": recipe.pixels * differences(output, images.targets)}
        if self.features:
            with self._mixed():
                found = [feature_difference(f, output, images.targets) for f in self.features]
            parts["features"] = recipe.features * torch.stack(found).mean(0)
        error = ((codes - images.codes) / self.spread).square().mean((1, 2))
        parts["code"] = recipe.code * images.known * error
        if offsets:
            moved = (codes[:, 1 : 1 + offsets] - codes[:, :1]) / self.spread
            sizes = (moved.square().mean(2) + 1e-8).sqrt().sum(1)
            parts["offsets"] = recipe.offsets * sizes
        judged = self.critic(self._normalised(codes[:, : 1 + offsets]))
        parts["adversarial"] = recipe.adversarial * F.softplus(-judged).mean(1)
        total = torch.stack(list(parts.values())).sum(0).mean()
        figures = {"loss": total.detach()}
        figures |= {name: part.detach().mean() for name, part in parts.items()}
        return total, codes.detach(), figures

    def judge(
        self, codes: Tensor, offsets: int, step: int, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Loss of the discriminator, alone and with its penalty."""
        gathered = self.processes.gather(codes)
        shown = self.pool.exchange(gathered, generator_of(self.seed, step, -1))
        shown = shown[self.own.start : self.own.stop, : 1 + offsets]
        real = self._normalised(self.pairs.real_codes(generators))
        return critic_loss(self.critic, real, self._normalised(shown).flatten(0, 1), step)

    def _photos_of(self, step: int) -> list[int]:
        assert self.photos is not None
        # Sample k is a photo if k is odd: the one of number k // 2 among those of the step.
        order = shuffled(len(self.photos), self.batch // 2, self.seed, step)
        return [order[k // 2] for k in self.own if k % 2]

    def _normalised(self, codes: Tensor) -> Tensor:
        return (codes - self.mean) / self.spread

    def _mixed(self) -> torch.autocast:
        return torch.autocast(self.spread.device.type, dtype=torch.bfloat16, enabled=self.half)


def train(
    network: Encoder,
    generator: Generator,
    folder: Path,
    schedule: Schedule,
    *,
    critics: Sequence[nn.Module] = (),
    photos: Photos | None = None,
    batch: int = 8,
    rate: float = RATES["small"],
    seed: int = 0,
    recipe: Recipe | None = None,
    processes: Processes | None = None,
    half: bool | None = None,
    log_every: int = 25,
) -> tuple[Encoder, bool]:
    """Train, or resume training; returns the averaged encoder, and whether all steps are done.

    Args:
        network: the encoder, see `build`.
        generator: whose codes it shall find.
        folder: of checkpoint, log and samples.
        schedule: length of the training.
        critics: a segmenter, DensePose or CLIP whose features are compared in LPIPS' place; may be none.
        photos: mixed 1:1 with generated images; some are held out. None for none.
        batch: images of a step, over all processes.
        rate: the largest learning rate.
        seed: of everything random.
        recipe: of the losses.
        processes: that train together, see `distributed.together`.
        half: whether networks multiply in bfloat16; None where the device does so in hardware.
        log_every: steps between two lines of the log.

    Raises:
        FiceError: there are too few photos, the batch cannot be shared out, the checkpoint in `folder` is
            one of other options, or the training diverged.
    """
    processes = processes or Processes()
    check_batch(batch, photos, processes)
    kept, shown = _held_out(photos, seed)
    training = EncoderTraining(
        network, generator, recipe or Recipe(), critics, kept, batch, seed, processes, half
    )
    average = training.average
    optimizer = torch.optim.AdamW(
        training.network.parameters(), lr=rate, weight_decay=1e-4, betas=(0.9, 0.98)
    )
    critic_rate = training.recipe.critic_rate * rate
    critic_optimizer = torch.optim.Adam(
        training.critic.parameters(), lr=critic_rate, betas=(0.0, 0.99)
    )
    sight = _HeldOut(training, shown)
    stage = Stage(
        "encoder",
        folder,
        {
            "network": training.network,
            "average": average.network,
            "optimizer": optimizer,
            "critic": training.critic,
            "critic_optimizer": critic_optimizer,
            "pool": training.pool,
        },
        None,
        sight.samples,
        sight.measure,
        processes,
        log_every,
        {
            "generator": generator_id(generator),
            "encoder": str(network.config),
            "batch": str(batch),
            "seed": str(seed),
            "photos": str(0 if photos is None else len(photos)),
            "features": names_of(critics),
        },
    )
    stage.resume()
    set_base_rate(optimizer, rate)
    set_base_rate(critic_optimizer, critic_rate)
    training.network.train()

    def step(i: int) -> dict[str, Tensor]:
        factor = cosine(i, schedule.steps, min(500, max(1, schedule.steps // 10)))
        set_rate(optimizer, factor)
        set_rate(critic_optimizer, 1.0)
        offsets = offsets_at(i, schedule.steps, generator.num_ws)
        images, generators = training.draw(i)
        training.critic.requires_grad_(False)
        loss, codes, figures = training.losses(images, offsets)
        optimizer.zero_grad()
        loss.backward()
        processes.average_gradients(training.network.parameters())
        optimizer.step()
        average.update(training.network, i)
        training.critic.requires_grad_(True)
        judged, penalised = training.judge(codes, offsets, i, generators)
        critic_optimizer.zero_grad()
        penalised.backward()
        processes.average_gradients(training.critic.parameters())
        critic_optimizer.step()
        return {**figures, "critic": judged.detach()}

    finished = stage.run(schedule, step)
    return average.network, finished


def check_batch(batch: int, photos: Photos | None, processes: Processes) -> None:
    """Raise FiceError if a batch cannot be shared out, or photos cannot be half of it."""
    processes.share(batch)
    if photos is not None and batch % 2:
        raise FiceError(f"a batch of {batch} is not half photos: give an even number with --batch")
    if photos is not None and len(photos) < 2:
        raise FiceError("there is one photo: give two at least, of which one is held out")


class _HeldOut:
    """Images that are never trained on, and what the averaged encoder makes of them."""

    def __init__(self, training: EncoderTraining, photos: Callable[[], Tensor] | None) -> None:
        self.training, self.photos = training, photos
        self._known: tuple[Tensor, Tensor] | None = None

    def measure(self) -> dict[str, float]:
        """PSNR in dB of generated images and of photos, and the error of codes in deviations of w."""
        codes, images = self._generated()
        output, found = self._reconstructed(images)
        error = ((found - codes.cpu()) / self.training.spread.cpu()).square().mean().sqrt()
        figures = {"psnr": float(psnr(output, images.cpu()).mean()), "code_error": float(error)}
        if self.photos is not None:
            photos = self.photos()
            figures["photo_psnr"] = float(
                psnr(self._reconstructed(photos)[0].to(photos), photos).mean()
            )
        return figures

    def samples(self) -> Tensor:
        """Held-out images, each row above its reconstructions."""
        images = self._generated()[1][:_SHOWN].cpu()
        rows = [images, self._reconstructed(images)[0]]
        if self.photos is not None:
            photos = self.photos()[:_SHOWN]
            if len(photos) == _SHOWN:
                rows += [photos, self._reconstructed(photos)[0]]
        return torch.cat(rows)

    @torch.no_grad()
    def _generated(self) -> tuple[Tensor, Tensor]:
        if self._known is None:
            # Numbers of steps that no training has.
            generators = [generator_of(self.training.seed, -1, k) for k in range(HELD_OUT)]
            codes = self.training.pairs.codes(generators)
            network = self.training.generator
            images = [network.synthesize(few).clamp(0, 1) for few in codes.split(_SHOWN)]
            self._known = codes, torch.cat(images)
        return self._known

    @torch.no_grad()
    def _reconstructed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions of images, and their codes, on the CPU."""
        training = self.training
        outputs, codes = [], []
        for few in images.split(_SHOWN):
            found = training.average.network(few.to(training.spread))
            outputs.append(training.generator.synthesize(found).cpu())
            codes.append(found.cpu())
        return torch.cat(outputs), torch.cat(codes)


def _held_out(
    photos: Photos | None, seed: int
) -> tuple[Photos | None, Callable[[], Tensor] | None]:
    """The photos to train on, and a function that returns those held out."""
    if photos is None:
        return None, None
    count = min(HELD_OUT, len(photos) // 20 or 1)
    order = torch.randperm(len(photos), generator=generator_of(seed, -2)).tolist()
    held, rest = order[:count], sorted(order[count:])
    kept = Photos([photos.sources[k] for k in rest], photos.size)
    shown = Photos([photos.sources[k] for k in held], photos.size)
    return kept, lambda: shown.images(range(len(shown)))
