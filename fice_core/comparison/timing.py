"""The clock by which edits are timed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def clock(device: str) -> Callable[[], float]:
    """A function that returns seconds.

    With one thread on a CPU it is processor time, so that what else the machine does is not counted. With
    more threads it is wall-clock time, and on a GPU that once all queued work is done.
    """
    if torch.device(device).type == "cpu":
        return time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def waited() -> float:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return waited
