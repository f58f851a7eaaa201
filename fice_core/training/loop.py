"""The loop of every training stage: resuming, time limits, moving averages, grids of samples."""

from __future__ import annotations

import copy
import json
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

from ..errors import FiceError
from ..files import alone_in, make_folder, read_bytes, replacing, write_bytes
from .distributed import Processes

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
    killed loses little. Of several processes all run the loop, and the first one writes the files.

    Attributes:
        name: of the stage.
        folder: of its checkpoint, log and samples.
        state: networks and optimisers, everything whose state dict the checkpoint must contain.
        generator: its state is a part of the checkpoint too; None if steps draw by `generator_of`.
        samples: returns images (N, 3, H, W) to save with every checkpoint; None for none.
        measure: returns figures that are costly, such as those of held-out images; called before every
            checkpoint, on the first process; None for none.
        processes: that train together.
        log_every: steps between two lines of the log, `name`.jsonl; 0 for no log.
        options: what the run was started with; a checkpoint of others is not continued.
        done: number of steps that are done.
        measured: the last figures of `measure`.
    """

    name: str
    folder: Path
    state: dict[str, object]
    generator: torch.Generator | None
    samples: Callable[[], Tensor] | None = None
    measure: Callable[[], dict[str, float]] | None = None
    processes: Processes = field(default_factory=Processes)
    log_every: int = 0
    options: dict[str, str] = field(default_factory=dict)
    done: int = field(default=0, init=False)
    measured: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def path(self) -> Path:
        """The stage's checkpoint."""
        return self.folder / f"{self.name}.ckpt"

    @property
    def log_path(self) -> Path:
        """The stage's log: a JSON object a line."""
        return self.folder / f"{self.name}.jsonl"

    def resume(self) -> int:
        """Load the checkpoint, if there is one; returns the number of steps that are done.

        Raises:
            FiceError: the checkpoint is damaged or one of other options, or not all processes see it.
        """
        if self.path.exists():
            try:
                saved = torch.load(self.path, map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises anything for a damaged file
                raise FiceError(
                    f"the checkpoint {self.path} is damaged: delete it to start again"
                ) from error
            if not _is_whole(saved):
                raise FiceError(f"the checkpoint {self.path} is damaged: delete it to start again")
            self._check_options(saved.get("options", {}))
            try:
                for key, owner in self.state.items():
                    owner.load_state_dict(saved[key])  # type: ignore[attr-defined]
                if self.generator is not None:
                    self.generator.set_state(saved["generator"])
            except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise FiceError(
                    f"the checkpoint {self.path} has other networks: it is of another version or of other "
                    "options; give another folder"
                ) from error
            self.done = saved["done"]
        if int(self.processes.first_says(self.done)) != self.done:
            raise FiceError(
                f"not all processes see the same checkpoint in {self.folder}: give a folder that all "
                "machines share"
            )
        return self.done

    def save(self) -> None:
        """Write the checkpoint and, if the stage has samples, a grid of them.

        Raises:
            FiceError: the networks have numbers that are not finite, or a file cannot be written. The
                last checkpoint stays.
        """
        self._check_networks()
        if self.processes.is_first:
            make_folder(self.folder)
            content = {key: owner.state_dict() for key, owner in self.state.items()}  # type: ignore[attr-defined]
            content |= {"done": self.done, "options": self.options}
            if self.generator is not None:
                content["generator"] = self.generator.get_state()
            self.take_measure()
            with replacing(self.path) as temporary:
                try:
                    torch.save(content, temporary)
                except RuntimeError as error:  # torch's own word for a full disk
                    raise OSError(str(error).splitlines()[0]) from error
            if self.samples is not None:
                save_grid(self.samples(), self.folder / f"{self.name}-{self.done:06d}.png")
        self.processes.wait()

    def take_measure(self) -> None:
        """Measure, if the stage has a measure, and write the figures into the log."""
        if self.measure is not None and self.processes.is_first:
            self.measured = self.measure()
            self._log({"step": self.done} | self.measured)
            log.info("%s: %d steps, %s", self.name, self.done, _listed(self.measured))

    def run(self, schedule: Schedule, step: Callable[[int], dict[str, Tensor]]) -> bool:
        """Train; returns True if all steps are done, False if the time ran out before.

        Raises:
            FiceError: the training diverged, and the checkpoint is one from before; or another process
                trains in the folder.
        """
        if self.done >= schedule.steps:
            return True
        if not self.processes.is_first:
            return self._run(schedule, step)
        with alone_in(make_folder(self.folder)):
            if self.log_every and self.log_path.exists():
                self._cut_log()
            return self._run(schedule, step)

    def _run(self, schedule: Schedule, step: Callable[[int], dict[str, Tensor]]) -> bool:
        started = time.monotonic()
        averages: dict[str, float] = {}
        every = self.log_every or 25
        over = False
        # Redirected to a file, frequent updates of the progress bar would fill it.
        with tqdm(
            total=schedule.steps,
            initial=self.done,
            desc=self.name,
            mininterval=2,
            disable=not self.processes.is_first,
        ) as bar:
            while not over:
                figures = step(self.done)
                self.done += 1
                bar.update()
                over = self._is_over(schedule, started)
                due = over or self.done % schedule.save_every == 0
                if self.done % every == 0 or due:
                    means = self.processes.mean(torch.stack([v.float() for v in figures.values()]))
                    values = dict(zip(figures, means.tolist(), strict=True))
                    for key, value in values.items():
                        averages[key] = (
                            value if key not in averages else 0.9 * averages[key] + 0.1 * value
                        )
                    bar.set_postfix({k: f"{v:.4f}" for k, v in averages.items()}, refresh=False)
                    if not all(math.isfinite(v) for v in averages.values()):
                        raise self._diverged(f" ({_listed(averages)})")
                    if self.done % every == 0:
                        seconds = round(time.monotonic() - started, 3)
                        self._log({"step": self.done, "seconds": seconds} | values)
                if due:
                    self.save()
        log.info("%s: %d steps, %s", self.name, self.done, averages)
        return self.done >= schedule.steps

    def _diverged(self, how: str = "") -> FiceError:
        return FiceError(
            f"{self.name}: the training diverged at step {self.done}{how}: continue from the last "
            f"checkpoint in {self.folder} with a lower learning rate"
        )

    def _check_networks(self) -> None:
        """Raise FiceError if a network has a number that is not finite; all processes have the same."""
        for owner in self.state.values():
            if isinstance(owner, nn.Module) and not all(
                bool(values.isfinite().all()) for values in owner.state_dict().values()
            ):
                raise self._diverged()

    def _is_over(self, schedule: Schedule, started: float) -> bool:
        """Whether a run that began at `started` ends here; all processes agree."""
        if self.done >= schedule.steps or schedule.minutes is None:
            return self.done >= schedule.steps
        return bool(self.processes.first_says(time.monotonic() - started > 60 * schedule.minutes))

    def _check_options(self, before: dict[str, str]) -> None:
        """Raise FiceError if a checkpoint was made with other options than those of the stage."""
        for key in {**before, **self.options}:
            old, new = before.get(key, "none"), self.options.get(key, "none")
            if old != new:
                raise FiceError(
                    f"the checkpoint {self.path} was made with {key} {old}, not {new}: give the same "
                    "options, or another folder with --run"
                )

    def _log(self, line: dict[str, float]) -> None:
        if not self.log_every or not self.processes.is_first:
            return
        make_folder(self.folder)
        try:
            with open(self.log_path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise FiceError(f"cannot write {self.log_path}: {error.strerror or error}") from error

    def _cut_log(self) -> None:
        """Leave out the lines of steps that the last run did after its last checkpoint."""
        kept = []
        for line in read_bytes(self.log_path, "a log").splitlines():
            try:
                if int(json.loads(line)["step"]) <= self.done:
                    kept.append(line + b"\n")
            except (ValueError, KeyError, TypeError, OverflowError):  # it was cut off in the middle
                continue
        write_bytes(self.log_path, b"".join(kept))


def _is_whole(saved: object) -> bool:
    """Whether the content of a checkpoint has what those of this project have."""
    return (
        isinstance(saved, dict)
        and isinstance(saved.get("options", {}), dict)
        and type(saved.get("done")) is int
        and saved["done"] >= 0
    )


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


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


def set_base_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate that `set_rate` scales; a checkpoint brings along the one that it was made with."""
    for group in optimizer.param_groups:
        group["base_lr"] = rate


class Average(Generic[_Network]):
    """Exponential moving average of a network's weights; buffers are copied."""

    def __init__(self, network: _Network, decay: float) -> None:
        self.network: _Network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards `network`; early steps have a larger weight."""
        self.follow(network, min(self.decay, (1 + step) / (10 + step)))

    @torch.no_grad()
    def follow(self, network: nn.Module, decay: float) -> None:
        """Keep the share `decay` of the average, and take the rest from `network`."""
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
    helper: nn.Module | None = None,
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
        helper: what `optimizer` trains besides for the sake of `loss`; kept in checkpoints alone.

    Returns:
        The averaged network, and whether all steps are done.
    """
    average = Average(network, decay)
    state = {"network": network, "average": average.network, "optimizer": optimizer}
    if helper is not None:
        state["helper"] = helper
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
    make_folder(path.parent)
    image = Image.fromarray((sheet.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy())
    with replacing(path) as temporary:
        image.save(temporary, "PNG")
