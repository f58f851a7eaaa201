"""The record of an inversion: every loss term of every image at every step, and timing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Trace:
    """The losses of one inversion. All tensors are on the CPU.

    A value is NaN where it was not computed: after an image reached its plateau or diverged (NaN or
    infinite losses).

    Attributes:
        terms: unweighted loss by term, (steps, N) each; only the terms with a weight above 0.
        weights: weight by term, of the same terms.
        total: weighted sum, (steps, N).
        kept_step: the step whose image is returned, (N,), counted from 0; -1 if no step was good.
        learning_rate: (steps,).
        seconds: wall-clock time from the start of the loop to the end of each step, (steps,). On a GPU
            this is when the step was queued, which can be earlier than when it was done.
        search: the trace of the search for the codes of the photos; None if an encoder gave them.
        refinement: the trace of the fit of the codes to the photos; None if there was none.
        tuning: the trace of the fit of the generator to the photos; None if there was none.
    """

    terms: dict[str, torch.Tensor]
    weights: dict[str, float]
    total: torch.Tensor
    kept_step: torch.Tensor
    learning_rate: torch.Tensor
    seconds: torch.Tensor
    refinement: "Trace | None" = None
    tuning: "Trace | None" = None
    search: "Trace | None" = None

    @property
    def steps(self) -> int:
        """Number of steps that were taken."""
        return len(self.total)

    def weighted(self, term: str) -> torch.Tensor:
        """A term times its weight, (steps, N)."""
        return self.terms[term] * self.weights[term]

    def preparations(self) -> "Iterator[tuple[str, Trace]]":
        """The fits before the edit, by name, in order."""
        for name in ("search", "refinement", "tuning"):
            trace = getattr(self, name)
            if trace is not None:
                yield name, trace

    def select(self, index: torch.Tensor) -> "Trace":
        """The trace of some of the images, in any order, also repeated; `index` is (M,) int64."""
        index = index.cpu()
        return replace(
            self,
            terms={name: values[:, index] for name, values in self.terms.items()},
            total=self.total[:, index],
            kept_step=self.kept_step[index],
            refinement=self.refinement and self.refinement.select(index),
            tuning=self.tuning and self.tuning.select(index),
            search=self.search and self.search.select(index),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain lists for JSON; None where nothing was computed."""
        return {
            "steps": self.steps,
            "weights": dict(self.weights),
            "terms": {name: _plain(values) for name, values in self.terms.items()},
            "total": _plain(self.total),
            "kept_step": self.kept_step.tolist(),
            "learning_rate": self.learning_rate.tolist(),
            "seconds": self.seconds.tolist(),
            **{name: trace.as_dict() for name, trace in self.preparations()},
        }


def no_steps(count: int) -> Trace:
    """The trace of `count` images without a step."""
    nothing = torch.empty(0)
    return Trace({}, {}, torch.empty(0, count), torch.full((count,), -1), nothing, nothing)


def in_sequence(first: Trace, second: Trace) -> Trace:
    """One trace of two loops over the same images with the same terms, one after the other."""
    before = first.seconds[-1:] if first.steps else torch.zeros(1)
    return replace(
        second,
        terms={
            name: torch.cat([first.terms[name], values]) for name, values in second.terms.items()
        },
        total=torch.cat([first.total, second.total]),
        kept_step=torch.where(
            second.kept_step >= 0, second.kept_step + first.steps, first.kept_step
        ),
        learning_rate=torch.cat([first.learning_rate, second.learning_rate]),
        seconds=torch.cat([first.seconds, before + second.seconds]),
    )


def side_by_side(traces: Sequence[Trace]) -> Trace:
    """One trace of loops that ran one after the other, with their images in that order.

    Shorter traces are padded with NaN. `seconds` is the sum over the loops up to each step;
    `learning_rate` is that of the longest loop.
    """
    longest = max(traces, key=lambda trace: trace.steps)
    steps = longest.steps

    def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        long = [torch.full((steps, part.shape[1]), torch.nan) for part in parts]
        for whole, part in zip(long, parts, strict=True):
            whole[: len(part)] = part
        return torch.cat(long, dim=1)

    def elapsed(trace: Trace) -> torch.Tensor:
        if trace.steps == 0:
            return torch.zeros(steps)
        return torch.cat([trace.seconds, trace.seconds[-1:].expand(steps - trace.steps)])

    weights = {name: weight for trace in traces for name, weight in trace.weights.items()}
    before: dict[str, Trace] = {}
    for name in {name for trace in traces for name, _ in trace.preparations()}:
        found = [getattr(trace, name) or no_steps(trace.total.shape[1]) for trace in traces]
        before[name] = side_by_side(found)
    return Trace(
        terms={
            name: joined([trace.terms.get(name, trace.total[:0]) for trace in traces])
            for name in weights
        },
        weights=weights,
        total=joined([trace.total for trace in traces]),
        kept_step=torch.cat([trace.kept_step for trace in traces]),
        learning_rate=longest.learning_rate,
        seconds=torch.stack([elapsed(trace) for trace in traces]).sum(dim=0),
        **before,
    )


def _plain(values: torch.Tensor) -> list[list[float | None]]:
    finite = values.isfinite().tolist()
    return [
        [value if good else None for value, good in zip(row, flags, strict=True)]
        for row, flags in zip(values.tolist(), finite, strict=True)
    ]
