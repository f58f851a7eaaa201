"""Measures the peak memory of a block of code."""

import os
import threading
from pathlib import Path
from types import TracebackType

import torch

_INTERVAL = 0.005  # seconds between two samples


class PeakMemory:
    """Context that measures the peak memory of the process, or on CUDA that of torch.

    Attributes:
        before: bytes at the start of the block; None if the system does not report them (only Linux
            does).
        peak: largest number of bytes until the end of the block.
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
        while not self._done.wait(_INTERVAL):
            self.peak = max(self.peak or 0, resident() or 0)


def resident() -> int | None:
    """Resident memory of this process in bytes; None outside of Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
