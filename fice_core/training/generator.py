"""Trains a StyleGAN2 generator on photos, from nothing or from a given one, with adaptive augmentation.

Losses and schedule: see `adversaries.py`; augmentations: `augmentation.py`. A step trains the generator, then
the discriminator; the penalties on gradients come every few steps, with a weight that makes up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..acceleration.bfloat16 import multiplies_bfloat16
from ..errors import FiceError
from ..networks.stylegan2 import Generator
from .adversaries import (
    PATH_WEIGHT,
    Controls,
    average_decay,
    default_gamma,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    path_lengths,
    random_noise,
    synthesize,
)
from .augmentation import CLOTHES, KINDS, Augmentation
from .critics import features_of, summary
from .discriminator import Discriminator
from .distributed import Processes, generator_of, shuffled
from .frechet import Embedding, embedded, frechet_distance
from .loop import Average, Schedule, Stage
from .photos import Photos

_PATH_EVERY, _R1_EVERY = 4, 16
_W_AVERAGE = 0.995
_SHOWN = 24  # images in a grid of samples
_CHUNK = 16  # images that are measured at once
# What the random numbers of a sample are for; each use has its own generator.
_CODES, _FAKE, _PATH, _SEEN_FAKE, _SEEN_REAL, _NOISE, _PATH_NOISE, _SEEN_NOISE = range(8)


@dataclass(frozen=True)
class Recipe:
    """How the generator is trained.

    Attributes:
        rate: learning rate of both networks.
        gamma: weight of R1; None for `default_gamma`.
        mixing: share of the images whose w changes at some layer.
        augmentations: some of `augmentation.KINDS`; none for no augmentation.
        adaptive: images, in thousands, for which the probability of augmentations changes by 1.
        mirror: whether photos are flipped at random.
        freeze: layers of the discriminator that are not trained.
        measured: images of which the progress number is computed.
    """

    rate: float = 0.0025
    gamma: float | None = None
    mixing: float = 0.9
    augmentations: tuple[str, ...] = CLOTHES
    adaptive: float = 500.0
    mirror: bool = True
    freeze: int = 0
    measured: int = 2000


def build(
    resolution: tuple[int, int],
    channel_base: int | None = None,
    channel_max: int = 512,
    mapping_layers: int = 2,
    latent: int = 512,
    seed: int = 0,
) -> Generator:
    """A generator with random weights.

    Args:
        resolution: (H, W) of the images.
        channel_base: see `Generator`; None for 16384, from 512 pixels on 32768.
        channel_max, mapping_layers: see `Generator`.
        latent: size of z and w.
        seed: of the weights.

    Raises:
        FiceError: there is no such generator.
    """
    base = channel_base or (32768 if resolution[0] >= 512 else 16384)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return Generator(resolution, latent, latent, base, channel_max, mapping_layers)
        except ValueError as error:
            raise FiceError(f"there is no such generator: {error}") from error


def build_critic(network: Generator, group: int = 4, seed: int = 0) -> Discriminator:
    """A discriminator with random weights, as wide as a generator; `group` as of `Discriminator`."""
    settings: dict[str, Any] = network.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        return Discriminator(
            network.resolution,
            settings["channel_base"],
            settings["channel_max"],
            settings["conv_clamp"],
            group,
        )


@dataclass
class GeneratorTraining:
    """The networks and steps of the training of a generator. `train` runs it.

    Attributes:
        network: the generator, trained in place.
        critic: the discriminator, likewise.
        photos: to learn from.
        recipe: of the training.
        batch: images of a step, over all processes.
        seed: of everything random.
        processes: that train together.
        half: whether the highest resolutions multiply in bfloat16; None where a GPU does so in hardware.
    """

    network: Generator
    critic: Discriminator
    photos: Photos
    recipe: Recipe = field(default_factory=Recipe)
    batch: int = 32
    seed: int = 0
    processes: Processes = field(default_factory=Processes)
    half: bool | None = None

    def __post_init__(self) -> None:
        device = self.processes.device
        self.own = self.processes.share(self.batch)
        group = self.critic.group
        if len(self.own) % group:
            raise FiceError(
                f"each process has {len(self.own)} images of a step, but the discriminator compares "
                f"groups of {group}: give a larger --batch, or a smaller --group"
            )
        self.network.to(device).train().requires_grad_(True)
        self.critic.to(device).train().requires_grad_(True)
        self.critic.freeze(self.recipe.freeze)
        self._trained = [p for p in self.critic.parameters() if p.requires_grad]
        self.processes.copy_first(self.network, self.critic)
        self.average = Average(self.network, 0.999)
        self.controls = Controls()
        self.augment = Augmentation(self.recipe.augmentations)
        self.optimizer = _adam(self.network.parameters(), self.recipe.rate, _PATH_EVERY)
        self.critic_optimizer = _adam(self._trained, self.recipe.rate, _R1_EVERY)
        gamma = self.recipe.gamma
        self.gamma = default_gamma(self.network.resolution, self.batch) if gamma is None else gamma
        if self.half is None:
            self.half = device.type == "cuda" and multiplies_bfloat16(device)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of both networks, which a checkpoint brings along."""
        for optimizer, every in ((self.optimizer, _PATH_EVERY), (self.critic_optimizer, _R1_EVERY)):
            for group in optimizer.param_groups:
                group["lr"] = rate * _moves(every)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of both networks; returns figures to display."""
        self.critic.requires_grad_(False)
        figures = {"generator": self._train_generator(step)}
        if step % _PATH_EVERY == 0:
            self._straighten(step)
        for parameter in self._trained:
            parameter.requires_grad_(True)
        found, sign = self._train_critic(step)
        figures |= {"critic": found, "real_sign": sign}
        adaptive = self.recipe.adaptive if self.recipe.augmentations else 0.0
        self.controls.judge(float(sign), step, self.batch, 1000 * adaptive)
        self.average.follow(self.network, average_decay(step, self.batch))
        # On the CPU until here; a figure of every step has the device of the others.
        probability = self.controls.probability.to(found)
        return figures | {"augmented": probability, "path": self.controls.path.to(found)}

    def codes(self, step: int, phase: int) -> tuple[Tensor, Tensor]:
        """Codes of this process's samples, (n, num_ws, w_dim), some mixed of two; and one w of each."""
        network = self.network
        draws = self._generators(step, phase)
        z = torch.stack([torch.randn(2, network.z_dim, generator=g) for g in draws])
        w = network.mapping(z.flatten(0, 1).to(network.w_avg)).unflatten(0, (-1, 2))
        change = []
        for generator in draws:
            mixes, where = torch.rand(2, generator=generator).tolist()
            mixed = mixes < self.recipe.mixing
            change.append(1 + int(where * (network.num_ws - 1)) if mixed else network.num_ws)
        layers = torch.arange(network.num_ws, device=w.device)
        first = (layers < torch.tensor(change, device=w.device)[:, None])[:, :, None]
        return torch.where(first, w[:, :1], w[:, 1:]), w[:, 0].detach()

    def real(self, step: int) -> Tensor:
        """This process's photos of a step, (n, 3, H, W) in [-1, 1]."""
        draws = self._generators(step, _SEEN_REAL)
        flips = [float(torch.rand((), generator=g)) < 0.5 and self.recipe.mirror for g in draws]
        images = self.photos.images(self._photos_of(step), flips)
        self.photos.expect(self._photos_of(step + 1))
        return images.to(self.network.w_avg) * 2 - 1

    def _train_generator(self, step: int) -> Tensor:
        codes, w = self.codes(step, _CODES)
        noise = random_noise(self.network, self.seed, step, _NOISE, self.own)
        images = synthesize(self.network, codes, noise, bool(self.half))
        loss = generator_loss(self._judged(images, step, _FAKE))
        self.optimizer.zero_grad()
        loss.backward()
        self._move(self.optimizer, self.network.parameters())
        with torch.no_grad():
            mean = self.processes.mean(w.mean(0))
            self.network.w_avg.copy_(mean.lerp(self.network.w_avg, _W_AVERAGE))
        return loss.detach()

    def _straighten(self, step: int) -> None:
        """The path length regularisation, on half of the samples."""
        codes, _ = self.codes(step, _PATH)
        half = slice(None, None, 2 if len(self.own) % 2 == 0 else 1)
        codes, samples = codes[half], list(self.own)[half]
        noise = random_noise(self.network, self.seed, step, _PATH_NOISE, samples)
        images = synthesize(self.network, codes, noise, bool(self.half))
        directions = [
            torch.randn(images.shape[1:], generator=generator_of(self.seed, step, k, _PATH, 1))
            for k in samples
        ]
        lengths = path_lengths(images, codes, torch.stack(directions).to(images))
        mean = self.controls.lengthen(float(self.processes.mean(lengths.mean())))
        loss = (lengths - mean).square().mean()
        self.optimizer.zero_grad()
        (PATH_WEIGHT * _PATH_EVERY * loss).backward()
        self._move(self.optimizer, self.network.parameters())

    def _train_critic(self, step: int) -> tuple[Tensor, Tensor]:
        """Loss, and the mean sign on real images over all processes."""
        with torch.no_grad():
            codes, _ = self.codes(step, _SEEN_FAKE)
            noise = random_noise(self.network, self.seed, step, _SEEN_NOISE, self.own)
            fake = synthesize(self.network, codes, noise, bool(self.half))
        fake_logits = self._judged(fake, step, _SEEN_FAKE)
        photos = self.real(step)
        real = self.augment(photos, self._probability, self._generators(step, _SEEN_REAL, 1))
        real_logits = self.critic(real, bool(self.half))
        loss = discriminator_loss(real_logits, fake_logits)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self._move(self.critic_optimizer, self._trained)
        if step % _R1_EVERY == 0:
            # By the images that the discriminator sees: torch resamples without second gradients.
            seen = real.detach().requires_grad_(True)
            penalty = gradient_penalty(self.critic(seen, bool(self.half)), seen)
            self.critic_optimizer.zero_grad()
            (0.5 * self.gamma * _R1_EVERY * penalty).backward()
            self._move(self.critic_optimizer, self._trained)
        return loss.detach(), self.processes.mean(real_logits.sign().mean())

    def _judged(self, images: Tensor, step: int, phase: int) -> Tensor:
        draws = self._generators(step, phase, 1)
        logits: Tensor = self.critic(
            self.augment(images, self._probability, draws), bool(self.half)
        )
        return logits

    def _move(self, optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
        """A step along the mean gradient of all processes, whatever is not finite in it left out."""
        found = [p for p in parameters if p.grad is not None]
        self.processes.average_gradients(found)
        for parameter in found:
            assert parameter.grad is not None
            torch.nan_to_num(parameter.grad, 0.0, 1e5, -1e5, out=parameter.grad)
        optimizer.step()

    @property
    def _probability(self) -> float:
        return float(self.controls.probability)

    def _generators(self, step: int, *use: int) -> list[torch.Generator]:
        return [generator_of(self.seed, step, k, *use) for k in self.own]

    def _photos_of(self, step: int) -> list[int]:
        order = shuffled(len(self.photos), self.batch, self.seed, step)
        return order[self.own.start : self.own.stop]


def train(
    training: GeneratorTraining,
    folder: Path,
    schedule: Schedule,
    embedding: Embedding | None = None,
    number: str = "distance",
    log_every: int = 25,
    start: str = "nothing",
) -> tuple[Generator, bool]:
    """Train, or resume training; returns the averaged generator, and whether all steps are done.

    Args:
        training: networks, photos and recipe.
        folder: of checkpoint, log and samples.
        schedule: length of the training.
        embedding: features of the progress number, the Frechet distance; None for no number.
        number: its name in the log.
        log_every: steps between two lines of the log.
        start: what training started from, kept in the checkpoint.

    Raises:
        FiceError: the checkpoint in `folder` is one of other options, or the training diverged.
    """
    sight = _Progress(training, embedding, number)
    recipe = training.recipe
    stage = Stage(
        "generator",
        folder,
        {
            "network": training.network,
            "average": training.average.network,
            "optimizer": training.optimizer,
            "critic": training.critic,
            "critic_optimizer": training.critic_optimizer,
            "controls": training.controls,
        },
        None,
        sight.samples,
        sight.measure if embedding is not None else None,
        training.processes,
        log_every,
        {
            "generator": str(training.network.config),
            "discriminator": str(training.critic.config),
            "start": start,
            "batch": str(training.batch),
            "seed": str(training.seed),
            "photos": str(len(training.photos)),
            "gamma": str(training.gamma),
            "augmentations": ",".join(recipe.augmentations) or "none",
            "frozen layers": str(recipe.freeze),
            "mirror": str(recipe.mirror),
        },
    )
    stage.resume()
    training.set_rate(recipe.rate)
    finished = stage.run(schedule, training.step)
    return training.average.network, finished


class _Progress:
    """Samples of the averaged generator, and how far they are from the photos."""

    def __init__(
        self, training: GeneratorTraining, embedding: Embedding | None, number: str
    ) -> None:
        self.training, self.embedding, self.number = training, embedding, number
        self._real: Tensor | None = None

    def samples(self) -> Tensor:
        """Generated images in [0, 1], always of the same z."""
        return torch.cat(list(self._generated(_SHOWN)))

    def measure(self) -> dict[str, float]:
        """The Frechet distance of generated images from photos, as many of either."""
        assert self.embedding is not None
        count = self.training.recipe.measured
        if self._real is None:
            self._real = embedded(self.embedding, self._photos(count))
        device = self.training.processes.device
        batches = (images.to(device) for images in self._generated(count))
        return {self.number: frechet_distance(self._real, embedded(self.embedding, batches))}

    @torch.no_grad()
    def _generated(self, count: int) -> Iterator[Tensor]:
        network = self.training.average.network
        for first in range(0, count, _CHUNK):
            z = [
                torch.randn(network.z_dim, generator=generator_of(self.training.seed, -1, k))
                for k in range(first, min(first + _CHUNK, count))
            ]
            yield network(torch.stack(z).to(network.w_avg)).float().clamp(0, 1).cpu()

    def _photos(self, count: int) -> Iterator[Tensor]:
        training = self.training
        order = shuffled(len(training.photos), min(count, len(training.photos)), training.seed, 0)
        for first in range(0, len(order), _CHUNK):
            images = training.photos.images(order[first : first + _CHUNK])
            yield images.to(training.processes.device)


def _adam(parameters: Iterable[nn.Parameter], rate: float, every: int) -> torch.optim.Adam:
    """Adam for a network with a penalty every few steps, for which it moves once more."""
    share = _moves(every)
    return torch.optim.Adam(parameters, lr=rate * share, betas=(0.0, 0.99**share), eps=1e-8)


def _moves(every: int) -> float:
    """The share of moves by the loss alone, if every few steps a penalty moves the network once more."""
    return every / (every + 1)


def embedding_of(network: nn.Module, device: torch.device) -> Embedding:
    """The features of a network at hand for the progress number.

    Raises:
        FiceError: the network has no features for it.
    """
    try:
        features = features_of(network.to(device).eval().requires_grad_(False))
    except TypeError as error:
        raise FiceError(f"{error}: give a segmenter, a DensePose or a CLIP with --judge") from error
    return lambda images: summary(features, images)


def kinds_of(text: str) -> tuple[str, ...]:
    """The augmentations in a list with commas; "clothes" stands for `CLOTHES`, "none" for none.

    Raises:
        FiceError: one is unknown.
    """
    found: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word == "clothes":
            found += CLOTHES
        elif word in KINDS:
            found.append(word)
        elif word != "none":
            raise FiceError(
                f"there is no augmentation {word!r}: choose from clothes, none, {', '.join(KINDS)}"
            )
    return tuple(kind for kind in KINDS if kind in found)
