"""How a step is carried out other than operation by operation: compiled, or recorded as a CUDA graph.

The mathematics is the same. Compiled code rounds elsewhere; a replayed graph does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

import torch

from .errors import FiceError
from .initialization import Targets

if TYPE_CHECKING:
    from .objective import Evaluation, Objective, Recent

_P = ParamSpec("_P")
#: takes what shall be recorded; gives what carries it out again and returns it, in the same tensors
Recorder = Callable[[Callable[[], "Evaluation"]], Callable[[], "Evaluation"]]


def compiled(function: Callable[_P, torch.Tensor]) -> Callable[_P, torch.Tensor]:
    """The function by `torch.compile`, where a gradient is wanted: what is called without one is called
    too seldom to be worth compiling.

    The first call, and the first with another size, takes from ten seconds to a minute. Other functions
    of the same networks' shapes then take no time, and torch keeps the code on disk for other processes.

    Raises (when called):
        FiceError: this machine cannot compile.
    """
    quick = torch.compile(function)

    def chosen(*args: _P.args, **kwargs: _P.kwargs) -> torch.Tensor:
        if not any(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args):
            return function(*args, **kwargs)
        try:
            found: torch.Tensor = quick(*args, **kwargs)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).strip().splitlines()
            raise FiceError(
                f"torch cannot compile on this machine ({reason[0] if reason else 'no reason given'}): "
                "install a C++ compiler, or set execution to eager"
            ) from error
        return found

    return chosen


class Recorded:
    """`Objective.evaluate` as CUDA graphs: one for all steps at which the same terms are due.

    A GPU finishes most of a step's thousand small operations before the host has asked for the next;
    a graph asks for all of them at once. The first step of each kind is carried out as ever, so that
    whatever is made once is there; the second is recorded.

    Args:
        objective: its `evaluate` must not look at a number on the host, nor bring one to the device, so
            it draws no views.
        targets: of all calls.
        record: what records; CUDA's graphs if missing.
    """

    def __init__(
        self, objective: Objective, targets: Targets, record: Recorder | None = None
    ) -> None:
        self._objective = objective
        self._targets = targets
        self._record = record or _cuda_recorder()
        self._known: dict[frozenset[str], _Recording | None] = {}

    def evaluate(self, codes: torch.Tensor, step: int, recent: Mapping[str, Recent]) -> Evaluation:
        """As `Objective.evaluate`. The next call may overwrite what this one returned."""
        due = frozenset(name for name, k in self._objective.every.items() if step % k == 0)
        if due not in self._known:
            self._known[due] = None
            return self._objective.evaluate(codes, self._targets, step, recent)
        recording = self._known[due]
        if recording is None:
            own = codes.clone()
            held = {name: type(one)(*(v.clone() for v in one)) for name, one in recent.items()}
            replay = self._record(lambda: self._objective.evaluate(own, self._targets, step, held))
            recording = self._known[due] = _Recording(own, held, replay)
        return recording.at(codes, recent)


@dataclass(frozen=True)
class _Recording:
    """What `replay` reads, and `replay`."""

    codes: torch.Tensor
    recent: Mapping[str, Recent]
    replay: Callable[[], Evaluation]

    def at(self, codes: torch.Tensor, recent: Mapping[str, Recent]) -> Evaluation:
        self.codes.copy_(codes)
        for name, one in self.recent.items():
            for held, value in zip(one, recent[name], strict=True):
                held.copy_(value)
        return self.replay()


def _cuda_recorder() -> Recorder:
    pool = torch.cuda.graph_pool_handle()  # of all graphs: they are replayed one after the other

    def record(function: Callable[[], Evaluation]) -> Callable[[], Evaluation]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            found = function()

        def replay() -> Evaluation:
            graph.replay()
            return found

        return replay

    return record
