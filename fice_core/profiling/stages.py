"""Stages of a step of our loop, measured in seconds or floating-point operations."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ..errors import FiceError
from ..inversion.loop import invert
from ..inversion.objective import CachedTerm, Objective
from ..inversion.result import Step
from ..inversion.targets import Targets
from ..latents import LatentStatistics
from ..models import Models
from ..ops.autograd import with_grad
from ..settings import EditSettings

_T = TypeVar("_T")

OPTIMISER = "optimiser"


class Laps(Generic[_T]):
    """Readings of a meter at the start and end of every stage.

    Args:
        read: the meter: a clock or a counter of operations.
    """

    def __init__(self, read: Callable[[], _T]) -> None:
        self._read = read
        self._marks: list[tuple[str | None, _T]] = []

    def mark(self, stage: str | None) -> None:
        """Start a stage and end the one before it; None only ends it."""
        self._marks.append((stage, self._read()))

    def between(self, difference: Callable[[_T, _T], float]) -> dict[str, float]:
        """The total difference of the readings of every stage, in the order of their first start."""
        totals: dict[str, float] = {}
        for (stage, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            if stage is not None:
                totals[stage] = totals.get(stage, 0.0) + difference(begin, end)
        return totals


class RealLoop:
    """The optimisation loop of edits, `invert`.

    Args:
        models: the five networks.
        targets: with everything that the terms of the settings need.
        settings: of the edit. Early stopping and the search for a start are disabled.
        statistics: of W; needed as in `invert`.
        steps: number of steps of one `lap`, rounded up to a multiple of the period of the terms that
            are not computed at every step.
    """

    def __init__(
        self,
        models: Models,
        targets: Targets,
        settings: EditSettings,
        statistics: LatentStatistics | None,
        steps: int = 1,
    ) -> None:
        self.models, self.targets, self.statistics = models, targets, statistics
        self.period = math.lcm(settings.head_every, settings.pose_every)
        self.steps = -(-steps // self.period) * self.period
        # The first steps are run eagerly and recorded as CUDA graphs. The steps of an edit replay them.
        graph = settings.uses_graphs_on(targets.images.device.type)
        self.first = 2 * self.period if graph else 0
        last = self.first + self.steps
        self.settings = replace(settings, steps=last + 1, plateau_patience=None, start_candidates=0)

    def lap(self, read: Callable[[], _T]) -> tuple[_T, _T]:
        """Run `steps` steps; returns the values of `read` before and after them.

        A step lasts from the end of one evaluation to the end of the next, including Adam's update.

        Raises:
            FiceError: the losses are not finite.
        """
        readings: list[_T] = []

        def on_step(step: Step) -> None:
            if step.index in (self.first, self.first + self.steps):
                readings.append(read())

        models = self.models
        invert(
            models.generator,
            self.targets,
            self.settings,
            clip=models.clip,
            densepose=models.densepose,
            segmenter=models.segmenter,
            statistics=self.statistics,
            on_step=on_step,
        )
        if len(readings) < 2:
            raise FiceError(
                "a step cannot be measured: the losses of these networks are not finite, as with broken files"
            )
        return readings[0], readings[1]

    def stages(
        self, read: Callable[[], _T], difference: Callable[[_T, _T], float]
    ) -> dict[str, float]:
        """The difference of `read` over every stage of a step, the mean over a period; without Adam."""
        laps = Laps(read)
        objective = Objective(
            self.models.generator,
            self.settings,
            self.models.clip,
            self.models.densepose,
            self.models.segmenter,
            self.statistics,
            laps.mark,
        )
        count = len(self.targets)
        at_once = objective.at_once(self.settings.max_batch)
        with with_grad():
            for first in range(0, count, at_once):
                batch = self.targets.select(slice(first, first + at_once))
                cached: dict[str, CachedTerm] | None = None
                for step in range(self.period):
                    cached = objective.evaluate(batch.w_plus, batch, step, cached).cached
        return {name: v / self.period for name, v in laps.between(difference).items()}


@contextmanager
def optimiser_marked(mark: Callable[[str | None], None]) -> Iterator[None]:
    """Context that marks the steps of every optimiser as a stage."""
    hooks = (
        register_optimizer_step_pre_hook(lambda *_: mark(OPTIMISER)),
        register_optimizer_step_post_hook(lambda *_: mark(None)),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Operations(TorchDispatchMode):
    """Context that counts floating-point operations by torch's formulas.

    It counts convolutions and matrix products, forward and backward; a multiplication and an addition
    are two operations. Element-wise operations are not counted. Torch's `FlopCounterMode` counts the
    same, but also tracks modules, which fails with `autograd.grad` at a leaf such as an image.

    Args:
        of: count only operations whose first factor has this type; None for all.
    """

    def __init__(self, of: torch.dtype | None = None) -> None:
        super().__init__()
        self._of = of
        self._total = 0

    def read(self) -> float:
        """The number of operations so far."""
        return float(self._total)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if self._of is not None and getattr((*args, None)[0], "dtype", None) != self._of:
            return result
        if func is torch.ops.aten.convolution_backward.default:
            self._total += _convolution_backward(*args)
        elif formula := flop_registry.get(func._overloadpacket):
            self._total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _convolution_backward(  # type: ignore[no-untyped-def]
    gradient, x, weight, bias_sizes, stride, padding, dilation, transposed, extra, groups, mask
) -> int:
    """Operations of the backward pass: each gradient, of input and weight, costs as much as the forward pass.

    Torch's formula computes the weight's gradient as if the convolution had no groups.
    """
    forward = flop_registry[torch.ops.aten.convolution](
        x, weight, None, stride, padding, dilation, transposed, out_val=gradient
    )
    return int(forward) * sum(map(bool, mask[:2]))


def difference(first: float, last: float) -> float:
    """The difference of two readings of a counter."""
    return last - first
