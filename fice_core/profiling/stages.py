"""Where a step of the real loop is: the same marks tell seconds and floating-point operations."""

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
    """What a meter read whenever a stage began or ended.

    Args:
        read: the meter: a clock, a counter of operations.
    """

    def __init__(self, read: Callable[[], _T]) -> None:
        self._read = read
        self._marks: list[tuple[str | None, _T]] = []

    def mark(self, stage: str | None) -> None:
        """A stage begins, and the one before it ends; None begins none."""
        self._marks.append((stage, self._read()))

    def between(self, difference: Callable[[_T, _T], float]) -> dict[str, float]:
        """What the meter moved on in every stage, in the order of their first beginnings."""
        found: dict[str, float] = {}
        for (stage, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            if stage is not None:
                found[stage] = found.get(stage, 0.0) + difference(begin, end)
        return found


class RealLoop:
    """The loop that edits run, as `invert` has it.

    Args:
        models: all five.
        targets: with everything that the settings' terms need.
        settings: how edits are computed. Nothing stops the loop early and no random codes are
            tried on, whatever they say.
        statistics: of W; needed as in `invert`.
        steps: how many `lap` takes. Raised to a multiple of the period after which terms that are not
            computed at every step come round.
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
        # A graph's first steps are carried out and recorded; replaying it is what an edit does.
        graph = settings.uses_graphs_on(targets.images.device.type)
        self.first = 2 * self.period if graph else 0
        last = self.first + self.steps
        self.settings = replace(settings, steps=last + 1, plateau_patience=None, start_candidates=0)

    def lap(self, read: Callable[[], _T]) -> tuple[_T, _T]:
        """Take `steps` steps; what `read` says before and after them.

        A step reaches from the end of one evaluation to that of the next, with Adam's update between.

        Raises:
            FiceError: the networks make no numbers.
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
                "a step cannot be measured: these networks' losses are not finite, as in broken files"
            )
        return readings[0], readings[1]

    def stages(
        self, read: Callable[[], _T], difference: Callable[[_T, _T], float]
    ) -> dict[str, float]:
        """What `read` moves on in every stage of a step, the mean over a period; without Adam."""
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
                piece = self.targets.select(slice(first, first + at_once))
                cached: dict[str, CachedTerm] | None = None
                for step in range(self.period):
                    cached = objective.evaluate(piece.w_plus, piece, step, cached).cached
        return {name: v / self.period for name, v in laps.between(difference).items()}


@contextmanager
def optimiser_marked(mark: Callable[[str | None], None]) -> Iterator[None]:
    """Say when an optimiser, any, takes a step."""
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
    """Within the block: counts floating-point operations, by torch's own formulas.

    Those of convolutions and matrix products, forward and backward, a multiplication and an addition
    being two; element-wise work is not counted. Torch's `FlopCounterMode` counts the same, but also
    keeps track of modules, which `autograd.grad` at a leaf, as at a picture, does not allow.

    Args:
        of: count only those whose first factor is of this format; None for all.
    """

    def __init__(self, of: torch.dtype | None = None) -> None:
        super().__init__()
        self._of = of
        self._total = 0

    def read(self) -> float:
        """Operations so far."""
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
    gradient, x, weight, bias_sizes, stride, padding, dilation, transposed, extra, groups, wanted
) -> int:
    """The gradients of the input and of the weight each cost what the forward pass does.

    Torch's own formula takes the weight's gradient for one of a convolution without groups.
    """
    forward = flop_registry[torch.ops.aten.convolution](
        x, weight, None, stride, padding, dilation, transposed, out_val=gradient
    )
    return int(forward) * sum(map(bool, wanted[:2]))


def difference(first: float, last: float) -> float:
    """Between two readings of a meter that counts."""
    return last - first
