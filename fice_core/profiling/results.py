"""The results of a measurement: times and operations of loops and stages, and memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from .machine import Machine

#: the loops that are compared: ours with two presets (a step of `draft` equals one of the default), and
#: the authors' loop in plain torch
OURS, PAPER, PLAIN = "default", "paper settings", "plain"


@dataclass(frozen=True)
class Loop:
    """Time and operations of a step.

    Attributes:
        seconds: one value per repetition.
        flops: floating-point operations of a step.
        rounded_flops: those of them in bfloat16.
    """

    seconds: list[float]
    flops: float
    rounded_flops: float = 0.0

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    def floor(self, peaks: Mapping[str, float], otherwise: str = "fp32") -> float:
        """Seconds at the machine's peak speed: of bfloat16, and of `otherwise` for the rest."""
        rest = (self.flops - self.rounded_flops) / peaks[otherwise]
        return rest + self.rounded_flops / peaks.get("bf16", peaks[otherwise])


@dataclass(frozen=True)
class Timing:
    """The times of one configuration.

    Attributes:
        resolution: (H, W) of the images.
        stages: stages of our step, by the names in `stages.py` and of the loss terms.
        loops: OURS, PAPER and, if it was measured, PLAIN. Also "default, fp32" if the default's critics
            are bfloat16, and "default, compiled" if asked for. On CUDA, where the first two are graphs,
            also "default, eager", and the first three with ", TF32".
        encoder: one pass for the initial codes, which is not a part of a step.
        peaks: peak speed of matrix products in operations per second, by number format.
        machine: the machine.
        compiling: seconds that "default, compiled" took before its first step; None without it.
    """

    resolution: tuple[int, int]
    stages: dict[str, Loop]
    loops: dict[str, Loop]
    encoder: Loop
    peaks: dict[str, float]
    machine: Machine
    compiling: float | None = None

    def ratio(self, loop: str) -> float | None:
        """The ratio of a loop's median time to that of the plain loop; None if that was not measured."""
        if PLAIN not in self.loops:
            return None
        return self.loops[loop].median / self.loops[PLAIN].median

    @property
    def covered(self) -> float:
        """The sum of the stages as a share of our step; the rest is the bookkeeping of the loop."""
        return sum(stage.median for stage in self.stages.values()) / self.loops[OURS].median


@dataclass(frozen=True)
class Memory:
    """Memory of a loop; None if unknown.

    Attributes:
        before: bytes with the networks loaded.
        peak: largest number of bytes from the extraction of the targets to the last step.
    """

    before: int | None
    peak: int | None
