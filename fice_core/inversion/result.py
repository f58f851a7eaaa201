"""The result of an inversion, and a step as its callback sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from .trace import Trace

Phase = Literal["search", "refine", "tune", "start", "edit"]
StopReason = Literal["steps", "plateau", "diverged", "request", "interrupt"]


@dataclass(frozen=True)
class InversionResult:
    """The result of an inversion.

    Attributes:
        w_plus: codes, (N, num_ws, w_dim).
        images: images of the codes, (N, 3, H, W); in [0, 1] if the settings clamp.
        initial: images of the given codes, before random codes are tried, (N, 3, H, W).
        trace: every loss at every step.
        stopped: why the loop ended: all "steps" are done, every image is on a "plateau" or has
            "diverged", the callback made a "request", or the keyboard an "interrupt".
        warnings: one line each.
    """

    w_plus: torch.Tensor
    images: torch.Tensor
    initial: torch.Tensor
    trace: Trace
    stopped: StopReason
    warnings: tuple[str, ...]


class InversionInterrupted(KeyboardInterrupt):
    """Ctrl-C in the loop. `result` is the best so far. If not caught, it acts like any KeyboardInterrupt."""

    def __init__(self, result: InversionResult) -> None:
        super().__init__("interrupted")
        self.result = result


class Step:
    """One step, as the callback sees it. Properties that are not read cost nothing.

    Attributes:
        index: number of the step, from 0.
        steps: number of steps of the phase.
        values: unweighted loss by term, (N,) on the device; NaN for finished images.
        total: weighted sum, (N,) on the device.
        images: images of this step, (N, 3, H, W) on the device; the best one of each finished image.
        phase: "search" finds the code of the photo without an encoder, "refine" fits it to the photo,
            "tune" fits the generator, "start" tries the clothes of random codes on, "edit" is the inversion.
    """

    def __init__(
        self,
        index: int,
        steps: int,
        values: dict[str, torch.Tensor],
        total: torch.Tensor,
        images: torch.Tensor,
        phase: Phase = "edit",
    ) -> None:
        self.index = index
        self.steps = steps
        self.values = values
        self.total = total
        self.stop_requested = False
        self.images = images
        self.phase = phase

    @cached_property
    def losses(self) -> dict[str, float]:
        """Unweighted terms and the weighted "total", averaged over the images still optimised.

        Reading it makes the host wait for the device.
        """
        names = [*self.values, "total"]
        means = torch.stack([*self.values.values(), self.total]).nanmean(dim=1)
        return dict(zip(names, means.tolist(), strict=True))

    @cached_property
    def preview(self) -> torch.Tensor:
        """`images` clamped to [0, 1], on the CPU."""
        return self.images.clamp(0, 1).cpu()

    def stop(self) -> None:
        """End the phase after this step, with the result so far."""
        self.stop_requested = True


OnStep = Callable[[Step], None]
