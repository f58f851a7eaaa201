"""The loop of every training stage: resuming, time limits, moving averages, grids of samples."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from ..files import replacing

log = logging.getLogger(__name__)

_Network = TypeVar("_Network", bound=nn.Module)
#: a state dict from which training continues, or None for random weights
Weights = dict[str, Tensor] | None


@dataclass
class Schedule:
    """The length of a stage.

    Attributes:
        steps: total number of steps.
        minutes: time limit of one run, which can be resumed later; None for no limit.
        save_every: number of steps between two checkpoints.
    """

    steps: int
    minutes: float | None = None
    save_every: int = 500


@dataclass
class Stage:
    """A resumable loop around one function `step(i)`, which returns figures to display.

    A checkpoint is written atomically at every `save_every`-th step and at the end, so a run that is
    killed loses little.

    Attributes:
        name: of the stage.
        folder: of its checkpoint and samples.
        state: networks and optimisers, everything whose state dict the checkpoint must contain.
        generator: its state is a part of the checkpoint too.
        samples: returns images (N, 3, H, W) to save with every checkpoint; None for none.
        done: number of steps that are done.
    """

    name: str
    folder: Path
    state: dict[str, object]
    generator: torch.Generator
    samples: Callable[[], Tensor] | None = None
    done: int = field(default=0, init=False)

    @property
    def path(self) -> Path:
        """The stage's checkpoint."""
        return self.folder / f"{self.name}.ckpt"

    def resume(self) -> int:
        """Load the checkpoint, if there is one; returns the number of steps that are done."""
        if self.path.exists():
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            for key, owner in self.state.items():
                owner.load_state_dict(saved[key])  # type: ignore[attr-defined]
            self.generator.set_state(saved["generator"])
            self.done = int(saved["done"])
        return self.done

    def save(self) -> None:
        """Write the checkpoint and, if the stage has samples, a grid of them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {key: owner.state_dict() for key, owner in self.state.items()}  # type: ignore[attr-defined]
        content |= {"generator": self.generator.get_state(), "done": self.done}
        with replacing(self.path) as temporary:
            torch.save(content, temporary)
        if self.samples is not None:
            save_grid(self.samples(), self.folder / f"{self.name}-{self.done:06d}.png")

    def run(self, schedule: Schedule, step: Callable[[int], dict[str, Tensor]]) -> bool:
        """Train; returns True if all steps are done, False if the time ran out before.

        Raises:
            RuntimeError: the training diverged.
        """
        if self.done >= schedule.steps:
            return True
        started = time.monotonic()
        averages: dict[str, float] = {}
        # Redirected to a file, frequent updates of the progress bar would fill it.
        with tqdm(total=schedule.steps, initial=self.done, desc=self.name, mininterval=2) as bar:
            while self.done < schedule.steps:
                figures = step(self.done)
                self.done += 1
                bar.update()
                if self.done % 25 == 0:
                    for key, value in figures.items():
                        averages[key] = (
                            float(value)
                            if key not in averages
                            else 0.9 * averages[key] + 0.1 * float(value)
                        )
                    bar.set_postfix({k: f"{v:.4f}" for k, v in averages.items()}, refresh=False)
                    if not all(math.isfinite(v) for v in averages.values()):
                        raise RuntimeError(
                            f"{self.name}: the training diverged at step {self.done}: {averages}"
                        )
                if self.done % schedule.save_every == 0:
                    self.save()
                if (
                    schedule.minutes is not None
                    and time.monotonic() - started > 60 * schedule.minutes
                ):
                    break
        self.save()
        log.info("%s: %d steps, %s", self.name, self.done, averages)
        return self.done >= schedule.steps


def fast_bf16() -> bool:
    """Whether bfloat16 may be faster than float32 on this CPU; older CPUs only emulate it."""
    return torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "AVX2")


def cosine(step: int, steps: int, warmup: int = 100, floor: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    t = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every group to its `base_lr` times the factor."""
    for group in optimizer.param_groups:
        group.setdefault("base_lr", group["lr"])
        group["lr"] = group["base_lr"] * factor


class Average(Generic[_Network]):
    """Exponential moving average of a network's weights; buffers are copied."""

    def __init__(self, network: _Network, decay: float) -> None:
        self.network: _Network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards `network`; early steps have a larger weight."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, current in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for buffer, source in zip(self.network.buffers(), network.buffers(), strict=True):
            buffer.copy_(source)


def fit(
    name: str,
    folder: Path,
    network: _Network,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    schedule: Schedule,
    loss: Callable[[], tuple[Tensor, dict[str, Tensor]]],
    decay: float,
    warmup: int = 100,
) -> tuple[_Network, bool]:
    """Train one network to minimise `loss`, or resume training.

    Args:
        name, folder: of the stage.
        network, optimizer: what is trained, and by what.
        generator: of everything random in `loss`.
        schedule: length of the stage.
        loss: returns the value to minimise, and figures to display.
        decay: of the moving average of the weights.
        warmup: steps of the warm-up of the learning rate.

    Returns:
        The averaged network, and whether all steps are done.
    """
    average = Average(network, decay)
    state = {"network": network, "average": average.network, "optimizer": optimizer}
    stage = Stage(name, folder, dict(state), generator)
    stage.resume()
    network.train()

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, schedule.steps, warmup))
        value, figures = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        average.update(network, i)
        return figures

    finished = stage.run(schedule, step)
    return average.network, finished


def save_grid(images: Tensor, path: Path, columns: int = 8) -> None:
    """Write images (N, 3, H, W) in [0, 1] as a grid in one image file."""
    n, _, height, width = images.shape
    rows = (n + columns - 1) // columns
    sheet = torch.ones(3, rows * height, columns * width)
    for i, image in enumerate(images.float().clamp(0, 1).cpu()):
        y, x = i // columns * height, i % columns * width
        sheet[:, y : y + height, x : x + width] = image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((sheet.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy()).save(path)
