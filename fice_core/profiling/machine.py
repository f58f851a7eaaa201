"""The machine: its description, a clock for its device, and its peak speed of matrix products."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch.nn import functional as F

from ..acceleration.bfloat16 import multiplies_bfloat16

# Sides of the square matrices, so large that memory bandwidth does not limit their product.
_SIDE, _SIDE_CUDA = 1536, 8192
_PRODUCTS = 5  # products per sample; the fastest counts


@dataclass(frozen=True)
class Machine:
    """The machine and the date of a measurement.

    Attributes:
        processor: name of the CPU, and of the GPU if one is used.
        cores: number of cores that this process may use.
        threads: number of threads that torch uses.
        torch: version of torch.
        date: day of the measurement, YYYY-MM-DD.
        load: mean number of runnable processes in the minute before the measurement; None if the
            system does not report it.
    """

    processor: str
    cores: int
    threads: int
    torch: str
    date: str
    load: float | None

    def __str__(self) -> str:
        load = "" if self.load is None else f", load before the run {self.load:.1f}"
        return (
            f"{self.processor}, {self.cores} cores, {self.threads} threads, torch {self.torch}, "
            f"{self.date}{load}"
        )


def describe(device: str) -> Machine:
    """The description of this machine at this moment."""
    name = _cpu_name()
    if device.startswith("cuda"):
        name = f"{torch.cuda.get_device_name(device)} ({name})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Machine(
        name, cores or 1, torch.get_num_threads(), str(torch.__version__), str(date.today()), load
    )


class Clock:
    """A clock for one device: `between` returns the seconds between two readings."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def read(self) -> "float | torch.cuda.Event":
        """A reading: now, or on CUDA the time at which the device finishes all work queued so far."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            return event
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    @staticmethod
    def between(first: "float | torch.cuda.Event", last: "float | torch.cuda.Event") -> float:
        """Seconds between two readings; waits for the device."""
        if isinstance(first, float) or isinstance(last, float):
            assert isinstance(first, float) and isinstance(last, float)
            return last - first
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3


class Peaks:
    """Peak speed of matrix products in operations per second, by number format.

    The speed of a shared machine varies, so `sample` is called several times between the measurements.
    """

    def __init__(self, device: torch.device) -> None:
        self._side = _SIDE_CUDA if device.type == "cuda" else _SIDE
        self._device = device
        self._clock = Clock(device)
        self.rates: dict[str, float] = {}
        self._sampled: dict[str, Callable[[int], float]] = {"fp32": self._float}
        if device.type == "cuda":
            self._sampled["TF32"] = self._tensor_float
        if multiplies_bfloat16(device):
            self._sampled["bf16"] = self._brain

    def sample(self) -> None:
        """Time a few products in every format and update `rates`."""
        for name, rate in self._sampled.items():
            self.rates[name] = max(self.rates.get(name, 0.0), rate(self._side))

    def _float(self, side: int) -> float:
        with tf32(False):
            return self._rate(side, torch.float32)

    def _tensor_float(self, side: int) -> float:
        with tf32(True):
            return self._rate(side, torch.float32)

    def _brain(self, side: int) -> float:
        return self._rate(side, torch.bfloat16)

    def _rate(self, side: int, dtype: torch.dtype) -> float:
        a = torch.ones(side, side, dtype=dtype, device=self._device)
        # A 1x1 convolution is a matrix product too, but may come from another library.
        pixels = a.view(1, side, side, 1).contiguous(memory_format=torch.channels_last)
        weight = a.view(side, side, 1, 1).contiguous(memory_format=torch.channels_last)
        seconds: list[float] = []
        with torch.no_grad():
            for product in (lambda: a @ a, lambda: F.conv2d(pixels, weight)):
                product()  # warm-up
                readings = [self._clock.read()]
                for _ in range(_PRODUCTS):
                    product()
                    readings.append(self._clock.read())
                seconds += map(self._clock.between, readings, readings[1:])
        return 2.0 * side**3 / min(seconds)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Context that sets whether CUDA rounds factors of float32 products and convolutions to 10 bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
