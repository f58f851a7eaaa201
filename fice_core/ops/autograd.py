"""Contexts that compute with or without gradients, and deterministically."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_grad() -> Iterator[None]:
    """Context without gradients whose tensors can be used with gradients later.

    Tensors of `torch.inference_mode` cannot. cuDNN is deterministic inside.
    """
    with torch.inference_mode(False), torch.no_grad(), _repeatable():
        yield


@contextmanager
def with_grad() -> Iterator[None]:
    """Context with gradients, even if the caller has disabled them. cuDNN is deterministic inside."""
    with torch.inference_mode(False), torch.enable_grad(), _repeatable():
        yield


@contextmanager
def _repeatable() -> Iterator[None]:
    """Context in which cuDNN uses deterministic algorithms and does not choose them by their speed."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
