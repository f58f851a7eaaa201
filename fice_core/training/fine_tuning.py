"""Fine-tunes one network by one loss, on one process or on many."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from ..acceleration.bfloat16 import multiplies_bfloat16
from .distributed import Processes, share_batch_statistics
from .loop import Average, Schedule, Stage, cosine, set_base_rate, set_rate

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True)
class Outcome(Generic[_Network]):
    """The result of a run.

    Attributes:
        network: with averaged weights, frozen.
        finished: whether all steps are done.
        before: figures of the held-out photos before the first step.
        after: those at the end.
    """

    network: _Network
    finished: bool
    before: dict[str, float]
    after: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How a network is fine-tuned.

    Attributes:
        batch: examples of a step, over all processes.
        rate: the largest learning rate.
        weight_decay: of matrices and filters.
        decay: of the moving average of the weights.
        seed: of everything random.
        half: whether networks multiply in bfloat16; None where the hardware does it.
        log_every: steps between two lines of the log.
    """

    batch: int
    rate: float
    weight_decay: float = 0.01
    decay: float = 0.998
    seed: int = 0
    half: bool | None = None
    log_every: int = 25


def fine_tune(
    name: str,
    folder: Path,
    network: _Network,
    loss: Callable[[int], tuple[Tensor, dict[str, Tensor]]],
    schedule: Schedule,
    tuning: Tuning,
    processes: Processes,
    measure: Callable[[_Network], dict[str, float]],
    options: Mapping[str, object],
    still: Sequence[nn.Module | nn.Parameter] = (),
) -> Outcome[_Network]:
    """Train, or resume training.

    Args:
        name: of the run's files.
        folder: of checkpoint and log.
        network: on the processes' device; it is trained in place.
        loss: returns the mean loss of this process's share of a step, and figures to display.
        schedule: length of the training.
        tuning: see there.
        processes: that train together.
        measure: returns figures of held-out photos for a network.
        options: what a checkpoint must have been made with to be continued.
        still: parts of the network that keep their weights and their statistics.

    Raises:
        FiceError: the checkpoint in `folder` is one of other options, or the training diverged.
    """
    for part in still:
        part.requires_grad_(False)
    average = Average(network, tuning.decay)
    processes.copy_first(network, average.network)
    share_batch_statistics(network, processes)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": tuning.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=tuning.rate,
        betas=(0.9, 0.98),
    )
    stage = Stage(
        name,
        folder,
        {"network": network, "average": average.network, "optimizer": optimizer},
        None,
        None,
        lambda: measure(average.network),
        processes,
        tuning.log_every,
        {key: str(value) for key, value in options.items()}
        | {"batch": str(tuning.batch), "seed": str(tuning.seed)},
    )
    if stage.resume() == 0:
        stage.take_measure()
    set_base_rate(optimizer, tuning.rate)
    before = _before(stage.log_path)
    network.train()
    for part in still:
        if isinstance(part, nn.Module):
            part.eval()

    def step(i: int) -> dict[str, Tensor]:
        set_rate(optimizer, cosine(i, schedule.steps, min(100, max(1, schedule.steps // 10))))
        value, figures = loss(i)
        optimizer.zero_grad()
        value.backward()
        processes.average_gradients(trained)
        optimizer.step()
        average.update(network, i)
        return {"loss": value.detach(), **figures}

    finished = stage.run(schedule, step)
    return Outcome(average.network, finished, before, stage.measured)


def _before(path: Path) -> dict[str, float]:
    """The figures before the first step, in a log; none if there is no log."""
    if not path.exists():
        return {}
    with open(path, encoding="utf-8") as file:
        first = json.loads(file.readline() or "{}")
    return (
        {key: value for key, value in first.items() if key != "step"}
        if first.get("step") == 0
        else {}
    )


def uses_half(tuning: Tuning, device: torch.device) -> bool:
    """Whether a training multiplies in bfloat16 on a device."""
    return multiplies_bfloat16(device) if tuning.half is None else tuning.half
