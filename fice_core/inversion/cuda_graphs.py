"""Steps recorded as CUDA graphs. A replayed graph computes the same bytes as the recorded step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .targets import Targets

if TYPE_CHECKING:
    from .objective import CachedTerm, Objective, ObjectiveValue

#: takes a function to record; returns a function that replays it
Capture = Callable[[Callable[[], None]], Callable[[], None]]


class GraphedObjective:
    """`Objective.evaluate` as CUDA graphs, one for each set of terms that are due at a step.

    A GPU finishes most of the thousand small operations of a step before the host has queued the next
    one. A graph queues all of them at once. The first step of each kind runs eagerly, so that everything
    that is cached exists; the second is recorded.

    Args:
        objective: its `evaluate` must neither read a number on the host nor copy one to the device, so
            it must not draw random views.
        targets: of all calls.
        record: how a step is recorded; None for CUDA graphs.
    """

    def __init__(
        self, objective: Objective, targets: Targets, record: Capture | None = None
    ) -> None:
        self._objective = objective
        self._targets = targets
        self._record = record or _cuda_recorder()
        self._known: dict[frozenset[str], ObjectiveValue | _Recording] = {}

    def evaluate(
        self, codes: torch.Tensor, step: int, cached: Mapping[str, CachedTerm]
    ) -> ObjectiveValue:
        """The value of `Objective.evaluate`. The next call may overwrite the returned tensors."""
        due = frozenset(name for name, k in self._objective.every.items() if step % k == 0)
        known = self._known.get(due)
        if known is None:
            first = self._objective.evaluate(codes, self._targets, step, cached)
            self._known[due] = first
            return first
        if not isinstance(known, _Recording):
            known = self._known[due] = self._recorded(codes, step, cached, known)
        return known.at(codes, cached)

    def _recorded(
        self, codes: torch.Tensor, step: int, cached: Mapping[str, CachedTerm], like: ObjectiveValue
    ) -> _Recording:
        # Inputs and outputs lie outside the memory pool of the graphs, so that nothing else refers to it.
        own, held, found = copy.deepcopy((codes, dict(cached), like))

        def work() -> None:
            now = self._objective.evaluate(own, self._targets, step, held)
            for into, value in zip(_tensors(found), _tensors(now), strict=True):
                into.copy_(value)

        return _Recording(own, held, found, self._record(work))


@dataclass(frozen=True)
class _Recording:
    """A recorded step: the tensors that `replay` reads and writes."""

    codes: torch.Tensor
    cached: Mapping[str, CachedTerm]
    found: ObjectiveValue
    replay: Callable[[], None]

    def at(self, codes: torch.Tensor, cached: Mapping[str, CachedTerm]) -> ObjectiveValue:
        self.codes.copy_(codes)
        for name, one in self.cached.items():
            for held, value in zip(one, cached[name], strict=True):
                held.copy_(value)
        self.replay()
        return self.found


def _tensors(one: ObjectiveValue) -> list[torch.Tensor]:
    cached = [value for each in one.cached.values() for value in each]
    return [*one.terms.values(), one.total, one.images, one.gradient, *cached]


def _cuda_recorder() -> Capture:
    pool = (
        torch.cuda.graph_pool_handle()
    )  # shared by all graphs: they are replayed one after the other

    def record(work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            work()
        return graph.replay

    return record
