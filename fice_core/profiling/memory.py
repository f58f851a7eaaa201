"""The most memory that a piece of work holds at once."""

import os
import threading
from pathlib import Path
from types import TracebackType

import torch

_EVERY = 0.005  # seconds between two looks


class PeakMemory:
    """Within the block: what the process, or on CUDA torch, holds at most.

    Attributes:
        before: bytes when the block began, None where the system does not tell (outside of Linux).
        peak: the most bytes until it ended.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before: int | None = None
        self.peak: int | None = None

    def __enter__(self) -> "PeakMemory":
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
            torch.cuda.reset_peak_memory_stats(self._cuda)
            self.before = torch.cuda.memory_allocated(self._cuda)
        else:
            self.before = self.peak = resident()
            if self.before is not None:
                self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
            self.peak = torch.cuda.max_memory_allocated(self._cuda)
        elif self._thread.is_alive():
            self._done.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            self.peak = max(self.peak or 0, resident() or 0)


def resident() -> int | None:
    """Bytes of this process that are in memory; None outside of Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
