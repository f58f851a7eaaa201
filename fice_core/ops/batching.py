"""Batches: N samples of one kind go with one, or with N, of another kind."""

from collections.abc import Callable, Mapping

import torch

from ..errors import FiceError
from .autograd import without_grad


def broadcast_count(counts: Mapping[str, int]) -> int:
    """The number of edits for these numbers of inputs; a single input is used for all edits.

    Args:
        counts: the number of inputs, by their name in messages.

    Raises:
        FiceError: a number is 0, or two numbers differ and neither is 1.
    """
    for name, count in counts.items():
        if count == 0:
            raise FiceError(f"there are no {name}")
    several = {name: count for name, count in counts.items() if count != 1}
    if len(set(several.values())) > 1:
        numbers = " and ".join(f"{count} {name}" for name, count in several.items())
        raise FiceError(f"{numbers} do not pair up: give one for all, or as many of each")
    return max(several.values(), default=1)


def broadcast_rows(samples: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Tensors with one row per edit; a single row is repeated without a copy.

    Args:
        samples: tensors (N or 1, ...), by the name of their rows in messages.

    Raises:
        FiceError: see `broadcast_count`.
    """
    count = broadcast_count({name: len(tensor) for name, tensor in samples.items()})
    return [tensor.expand(count, *tensor.shape[1:]) for tensor in samples.values()]


MAX_BATCH = 8


def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], tensor: torch.Tensor, max_batch: int
) -> torch.Tensor:
    """`function` of the tensor, computed in batches of at most `max_batch` samples, without gradients."""
    with without_grad():
        # `clone` makes an ordinary tensor of a caller's inference tensor.
        batches = [function(batch.clone()) for batch in tensor.detach().split(max_batch)]
        return torch.cat(batches)
