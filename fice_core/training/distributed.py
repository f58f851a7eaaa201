"""One training run on one process or on many, with torch.distributed alone.

A trainer is written for the global batch. Every sample of a step has its own random generator, which follows
from the seed, the step and the sample's number (`generator_of`). Each process computes its share of the
samples, and gradients are averaged over all processes. So a run gives the same losses on any number of
processes, but for the order of sums, and goes on after a stop without any stored random state.

The same code runs on its own, under `torchrun`, and in a function that Ray Train calls: `together` joins
the processes that the launcher has prepared. Gradients are averaged here and not by DistributedDataParallel,
which reduces them inside of `backward`: penalties on gradients call it several times for one step.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import FiceError
from ..models import resolve_device

_BUCKET = 2**24  # numbers that are sent at once
#: How long a process waits for the others; they wait while the first one measures and saves.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: number of this process; the first one, 0, writes all files.
        count: number of processes.
        device: of this process.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """The samples of a global batch that this process computes.

        Raises:
            FiceError: the batch cannot be shared out evenly.
        """
        if batch % self.count:
            raise FiceError(
                f"a batch of {batch} cannot be shared out evenly to {self.count} processes: give a "
                f"multiple of {self.count} with --batch"
            )
        own = batch // self.count
        return range(self.rank * own, (self.rank + 1) * own)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of each value over all processes, without a gradient."""
        if self.count == 1:
            return values.detach()
        total = values.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes in the order of the global batch, without a gradient."""
        if self.count == 1:
            return rows.detach()
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(parts, rows.detach().contiguous())
        return torch.cat(parts)

    def first_says(self, number: float) -> float:
        """The number of the first process, on all of them."""
        if self.count == 1:
            return number
        value = torch.tensor(number, dtype=torch.float64, device=self._meeting)
        dist.broadcast(value, 0)
        return float(value)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients of parameters by their means over all processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            dist.all_reduce(flat)
            flat /= self.count
            parts = flat.split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def copy_first(self, *networks: nn.Module) -> None:
        """Give networks the parameters and buffers of the first process."""
        if self.count == 1:
            return
        with torch.no_grad():
            for network in networks:
                for tensor in (*network.parameters(), *network.buffers()):
                    dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.first_says(0.0)

    @property
    def _meeting(self) -> torch.device:
        """The device of tensors that the backend can send."""
        return self.device if dist.get_backend() == "nccl" else torch.device("cpu")


@contextmanager
def together(device: str = "auto") -> Iterator[Processes]:
    """Join the processes of this run; those that this call has connected are parted at the end.

    Args:
        device: "auto" or the name of a device. Of several processes on a machine with GPUs, each takes the
            GPU of its local rank for "auto" and "cuda".

    Raises:
        FiceError: the device is not usable, or there are more processes than GPUs.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if dist.is_available() and dist.is_initialized():  # by Ray Train, or by the caller
        yield Processes(dist.get_rank(), dist.get_world_size(), _own_device(device))
    elif not launched:
        yield Processes(device=torch.device(resolve_device(device)))
    else:
        own = _own_device(device)
        dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
        try:
            yield Processes(dist.get_rank(), dist.get_world_size(), own)
        finally:
            dist.destroy_process_group()


def _own_device(name: str) -> torch.device:
    """The device of this process among others on the machine."""
    device = torch.device(resolve_device(name))
    if device.type != "cuda" or device.index is not None:
        return device
    local = int(os.environ.get("LOCAL_RANK", torch.cuda.current_device()))
    if local >= torch.cuda.device_count():
        raise FiceError(
            f"there are {torch.cuda.device_count()} GPUs, too few for this process's number {local}: "
            "start fewer processes, or give --device cpu"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def generator_of(seed: int, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator on a device that follows from these numbers alone."""
    digest = hashlib.blake2b(struct.pack(f"{1 + len(numbers)}q", seed, *numbers), digest_size=8)
    state = int.from_bytes(digest.digest(), "big") >> 1
    return torch.Generator(device).manual_seed(state)


def shuffled(count: int, batch: int, seed: int, step: int) -> list[int]:
    """The items of a global batch; every item comes once before any comes again.

    Args:
        count: number of items.
        batch: items of a step.
        seed, step: the order follows from them.
    """
    positions = range(step * batch, (step + 1) * batch)
    return [_order(count, seed, position // count)[position % count] for position in positions]


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    order: list[int] = torch.randperm(count, generator=generator_of(seed, epoch)).tolist()
    return order


def share_batch_statistics(network: nn.Module, processes: Processes) -> None:
    """Let the batch normalisations of a network see the samples of all processes, in place.

    Each stays the object that it is, so whoever holds one, as to freeze it, holds the one that computes.
    """
    if processes.count == 1:
        return
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SharedBatchNorm


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the samples of all processes. torch's own needs a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        n, _, height, width = x.shape
        count = n * height * width * dist.get_world_size()
        mean = _sum_over_processes(x.sum((0, 2, 3))) / count
        x = x - mean[:, None, None]
        variance = _sum_over_processes(x.square().sum((0, 2, 3))) / count
        scale = (variance + self.eps).rsqrt() * self.weight
        with torch.no_grad():
            momentum = self.momentum or 0.1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
            self.num_batches_tracked += 1
        y = torch.addcmul(self.bias[:, None, None], x, scale[:, None, None])
        return y.to(input.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of the gradients, as every process uses it."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override,unused-ignore]
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in groups of one type, of about `_BUCKET` numbers at most."""
    group: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if group and (size + tensor.numel() > _BUCKET or tensor.dtype != group[0].dtype):
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor.numel()
    if group:
        yield group
