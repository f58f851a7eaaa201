"""Measures all configurations and writes the results as a table or as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..inversion.objective import AGAIN, BACKWARD, FORWARD
from .measuring import RANDOM, Configuration, measure_memory, measure_time
from .processes import OutOfMemoryError, in_fresh_process
from .results import OURS, PAPER, PLAIN, Loop, Memory, Timing
from .stages import OPTIMISER

LABELS = {
    FORWARD: "generator, forward",
    AGAIN: "generator, forward again to save memory",
    BACKWARD: "generator, backward",
    OPTIMISER: "optimiser",
    "clip": "CLIP, forward and backward",
    "pose": "DensePose, forward and backward",
    "head": "segmenter, forward and backward",
    "image": "image term",
    "latent": "latent term",
    "latent_prior": "latent prior",
    OURS: "**a step, default settings, on average**",
    PAPER: "**a step, the paper's settings**",
    PLAIN: "**a step of the plain loop**",
}
_MEMORY_LOOPS = (OURS, PLAIN)  # loops whose memory is measured


@dataclass(frozen=True)
class Measured:
    """The measurements of one configuration; `timing` is None, or a memory missing, if memory ran out."""

    configuration: Configuration
    timing: Timing | None
    memory: dict[str, Memory]

    @property
    def title(self) -> str:
        """The networks, the size of the images and the batch, for headings."""
        size = "" if self.timing is None else " x ".join(map(str, self.timing.resolution[::-1]))
        name = (
            "full-size random networks" if self.configuration.source == RANDOM else "networks of "
        )
        name += "" if self.configuration.source == RANDOM else f"`{self.configuration.source}`"
        return f"{name}, {size or self.configuration.size} pixels, batch {self.configuration.batch}"


def count(configurations: Sequence[Configuration]) -> int:
    """Number of times that `measure` calls `progress`."""
    return sum(one.repeat + 1 + len(_MEMORY_LOOPS) for one in configurations)


def measure(
    configurations: Sequence[Configuration],
    progress: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """The measurements of every configuration, each in new processes.

    If memory runs out with the plain loop, it is left out.

    Raises:
        FiceError: models cannot be loaded.
    """

    def attempt(*work: Any) -> Any:
        try:
            return in_fresh_process(*work, progress=progress)
        except OutOfMemoryError:
            return None

    measured = []
    for one in configurations:
        results = {loop: attempt(measure_memory, one, loop) for loop in _MEMORY_LOOPS}
        memory = {loop: value for loop, value in results.items() if value is not None}
        timing = attempt(measure_time, one) if PLAIN in memory else None
        # The plain loop needs the most memory. Without it, the memory may be sufficient.
        if timing is None and OURS in memory:
            timing = attempt(measure_time, replace(one, plain=False))
        measured.append(Measured(one, timing, memory))
    return measured


def table(found: Sequence[Measured]) -> str:
    """All figures in Markdown: the stages of every configuration, then a summary of all."""
    lines: list[str] = []
    for one in found:
        if one.timing is None:
            lines += [f"{one.title}: memory ran out", ""]
            continue
        lines += [f"{_capital(one.title)}; {_peaks(one.timing)}:", "", *_stages(one.timing), ""]
    lines += _summary(found)
    machines = [one.timing.machine for one in found if one.timing is not None]
    if machines:
        lines += ["", f"{machines[0]}. Seconds are medians of {found[0].configuration.repeat}."]
    return "\n".join(lines)


def to_dict(found: Sequence[Measured]) -> dict[str, Any]:
    """All figures as plain values, for JSON."""
    entries = []
    for one in found:
        entry = asdict(one)
        if one.timing is not None:
            timing = one.timing
            entry["timing"]["ratio_to_plain"] = {
                name: timing.ratio(name) for name in timing.loops if name != PLAIN
            }
            entry["timing"]["stages_of_step"] = timing.covered
        entries.append(entry)
    return {"configurations": entries}


def _stages(timing: Timing) -> list[str]:
    whole = timing.loops[OURS].median
    lines = ["| | s | of the step | GFLOP | GFLOP/s | of the peak | s at the peak |"]
    lines += ["|---|" + "---:|" * 6]
    lines += [_line(name, stage, whole, timing.peaks) for name, stage in timing.stages.items()]
    lines += [_line(name, loop, None, timing.peaks) for name, loop in timing.loops.items()]
    if timing.compiling is not None:
        lines.append(f"| compiling, once per process | {timing.compiling:.1f} | | | | | |")
    lines.append(_line("encoder, once per edit", timing.encoder, None, timing.peaks))
    return [
        *lines,
        "",
        f"The stages sum to {100 * timing.covered:.0f} % of the step. " + _ratios(timing),
    ]


def _ratios(timing: Timing) -> str:
    if PLAIN not in timing.loops:
        return "Memory ran out with the plain loop."
    ratios = {name: timing.ratio(name) for name in timing.loops if name != PLAIN}
    parts = (f"{name}: {ratio:.2f} of the plain loop" for name, ratio in ratios.items())
    return ", ".join(parts) + "."


def _line(name: str, loop: Loop, whole: float | None, peaks: dict[str, float]) -> str:
    plain_name, comma, variant = name.partition(", ")
    label = LABELS.get(plain_name, plain_name) + comma + variant
    rounded = variant.rpartition(", ")[2]
    seconds = loop.median
    share = "" if whole is None else f"{100 * seconds / whole:.0f} %"
    if not loop.flops:
        return f"| {label} | {seconds:.4f} | {share} | | | | |"
    rate = loop.flops / seconds
    floor = loop.floor(peaks, rounded if rounded in peaks else "fp32")
    return (
        f"| {label} | {seconds:.4f} | {share} | {loop.flops / 1e9:.2f} | {rate / 1e9:.0f} | "
        f"{100 * floor / seconds:.0f} % | {floor:.4f} |"
    )


def _summary(measured: Sequence[Measured]) -> list[str]:
    names = ["batch", "pixels", "default, s per step", "s per image", "paper's settings", "plain"]
    names += [
        "default / plain",
        "paper's / plain",
        "memory, loaded",
        "default, peak",
        "plain, peak",
    ]
    lines = ["| " + " | ".join(names) + " |", "|" + "---:|" * len(names)]
    for one in measured:
        batch, timing = one.configuration.batch, one.timing
        cells = [str(batch), *["–"] * 7]
        if timing is not None:
            ours, paper = (timing.loops[name].median for name in (OURS, PAPER))
            plain = timing.loops[PLAIN].median if PLAIN in timing.loops else None
            cells = [
                str(batch),
                " x ".join(map(str, timing.resolution[::-1])),
                *(_number(value, 3) for value in (ours, ours / batch, paper, plain)),
                *(_number(timing.ratio(name), 2) for name in (OURS, PAPER)),
            ]
        unknown = Memory(None, None)
        ours_memory, plain_memory = (one.memory.get(loop, unknown) for loop in _MEMORY_LOOPS)
        cells += map(_gigabytes, (ours_memory.before, ours_memory.peak, plain_memory.peak))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _gigabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e9:.2f} GB"


def _peaks(timing: Timing) -> str:
    rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in timing.peaks.items())
    return f"fastest matrix product {rates} GFLOP/s"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
