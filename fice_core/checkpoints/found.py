"""What was detected in a file, and views of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .reading.records import Stored


@dataclass(frozen=True)
class Found:
    """A network detected in a file.

    Attributes:
        kind: one of `native.NETWORKS`, "other" or "unknown".
        what: the network in a few words, with its article ("an e4e encoder (14 styles, 512)").
        config: constructor arguments of the network class; empty for other kinds.
        state: tensors under the network's keys, not read yet.
        details: values that `fice inspect` prints, by name.
        notes: what the user should know when the network is used, one line each.
        problem: why it cannot be used as it is and what to do; empty if it can.
    """

    kind: str
    what: str
    config: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Stored] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""


def below(tensors: Mapping[str, Stored], prefix: str) -> dict[str, Stored]:
    """The tensors whose keys start with `prefix`, by the rest of the key."""
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def shape_only(stored: Stored) -> Tensor:
    """A tensor of the same shape and type without data."""
    return torch.empty(tuple(stored.shape), dtype=stored.dtype, device="meta")


def shapes_only(state: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The tensors without data."""
    return {key: shape_only(stored) for key, stored in state.items()}
