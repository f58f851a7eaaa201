"""The record of an inversion: every loss term of every picture at every step, and timing."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Trace:
    """What the loop measured. All tensors are on the CPU.

    A value is NaN where it was not computed: after a picture was finished (plateau) or had gone bad
    (NaN or infinite losses).

    Attributes:
        terms: unweighted loss by term, (steps, N) each; only the terms with a weight above 0.
        weights: weight by term, of the same terms.
        total: weighted sum, (steps, N).
        kept_step: step whose picture is returned, (N,), counted from 0; -1 when none was good.
        learning_rate: (steps,).
        seconds: time of day passed since the loop began, at the end of each step, (steps,). On a GPU
            this is when the step was queued, which can be earlier than when it was done.
    """

    terms: dict[str, torch.Tensor]
    weights: dict[str, float]
    total: torch.Tensor
    kept_step: torch.Tensor
    learning_rate: torch.Tensor
    seconds: torch.Tensor

    @property
    def steps(self) -> int:
        """Number of steps that were taken."""
        return len(self.total)

    def weighted(self, term: str) -> torch.Tensor:
        """A term times its weight, (steps, N)."""
        return self.terms[term] * self.weights[term]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON; what was not computed is None."""
        return {
            "steps": self.steps,
            "weights": dict(self.weights),
            "terms": {name: _plain(values) for name, values in self.terms.items()},
            "total": _plain(self.total),
            "kept_step": self.kept_step.tolist(),
            "learning_rate": self.learning_rate.tolist(),
            "seconds": self.seconds.tolist(),
        }


def _plain(values: torch.Tensor) -> list[list[float | None]]:
    finite = values.isfinite().tolist()
    return [
        [value if good else None for value, good in zip(row, flags, strict=True)]
        for row, flags in zip(values.tolist(), finite, strict=True)
    ]
