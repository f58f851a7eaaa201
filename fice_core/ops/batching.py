"""Which samples go together: N of one thing with one, or with as many, of another."""

from collections.abc import Callable, Mapping

import torch

from ..errors import FiceError
from .autograd import without_grad


def broadcast_count(counts: Mapping[str, int]) -> int:
    """How many edits these numbers of things make; a single one serves all edits.

    Args:
        counts: how many there are, by what they are called.

    Raises:
        FiceError: there is none of something, or two of them differ and neither is 1.
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
    """Tensors with one row for each edit: those of a single row are repeated, without a copy.

    Args:
        samples: tensors (N or 1, ...), by what their rows are called.

    Raises:
        FiceError: see `broadcast_count`.
    """
    count = broadcast_count({name: len(tensor) for name, tensor in samples.items()})
    return [tensor.expand(count, *tensor.shape[1:]) for tensor in samples.values()]


MAX_BATCH = 8


def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], tensor: torch.Tensor, max_batch: int
) -> torch.Tensor:
    """Apply `function` to pieces of at most `max_batch` samples, without a graph."""
    with without_grad():
        # The clone turns a caller's inference tensor into an ordinary one.
        pieces = [function(piece.clone()) for piece in tensor.detach().split(max_batch)]
        return torch.cat(pieces)
