"""What was detected in a file, and views of its tensors."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import printable
from .reading.records import Stored

_LONGEST_WORD = 40  # characters


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


def word(setting: object) -> str:
    """A setting as a word of a sentence; "?" where a file holds no number or name, or a long one."""
    if not isinstance(setting, str | int | float) or (
        isinstance(setting, int) and abs(setting) >= 1 << 64
    ):
        return "?"
    text = printable(str(setting))
    return text if len(text) <= _LONGEST_WORD else "?"


def is_average(prefix: str) -> bool:
    """Whether a prefix is that of a moving average of the weights ("ema"), as in "G_ema."."""
    return "ema" in re.split(r"[._]", prefix.lower())


def note_of_choice(prefixes: Iterable[str], chosen: str) -> tuple[str, ...]:
    """A note that a file holds several networks of one kind, unless an average says which is meant."""
    others = [prefix for prefix in dict.fromkeys(prefixes) if prefix != chosen]
    if not others or is_average(chosen):
        return ()
    names = ", ".join(repr(printable(prefix, 40)) for prefix in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return (
        f"holds several networks of this kind; the one under {printable(chosen, 40)!r} is used, not "
        f"{names}{more}",
    )


def shape_only(stored: Stored) -> Tensor:
    """A tensor of the same shape and type without data."""
    return torch.empty(tuple(stored.shape), dtype=stored.dtype, device="meta")


def shapes_only(state: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The tensors without data."""
    return {key: shape_only(stored) for key, stored in state.items()}
