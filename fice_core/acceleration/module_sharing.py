"""Copies of networks that replace some modules and share all others."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def map_modules(network: Network, exchange: Callable[[nn.Module], nn.Module | None]) -> Any:
    """A copy of `network` with some modules replaced; all others are shared with it.

    Args:
        network: it does not change.
        exchange: returns the replacement of a module; None for a module that stays. Its children are
            then passed to `exchange`.
    """
    replacement = exchange(network)
    if replacement is not None:
        return replacement
    copied = shallow_copy(network)
    for name, child in network.named_children():
        setattr(copied, name, map_modules(child, exchange))
    return copied


def shallow_copy(module: Network) -> Network:
    """A module with the same tensors and children; replacing one of them does not change `module`."""
    copied = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        copied.__dict__[table] = dict(module.__dict__[table])
    return copied
