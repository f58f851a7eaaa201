"""How torch computes within a block: with a graph or without, and the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_grad() -> Iterator[None]:
    """Compute without a graph, yet yield tensors that later may enter one."""
    with torch.inference_mode(False), torch.no_grad(), _repeatable():
        yield


@contextmanager
def with_grad() -> Iterator[None]:
    """Compute with a graph of what asks for a gradient, whatever the caller's mode is."""
    with torch.inference_mode(False), torch.enable_grad(), _repeatable():
        yield


@contextmanager
def _repeatable() -> Iterator[None]:
    """cuDNN must not add up in whatever order its threads arrive, nor choose what is fastest today."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
