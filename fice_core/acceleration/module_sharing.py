"""Networks that share all but a few modules with another."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def map_modules(network: Network, exchange: Callable[[nn.Module], nn.Module | None]) -> Any:
    """`network` with some modules exchanged; it stays as it is, and the rest is shared with it.

    Args:
        exchange: gives what stands in a module's place; None for a module that stays and whose children
            are asked for.
    """
    other = exchange(network)
    if other is not None:
        return other
    found = shallow_copy(network)
    for name, child in network.named_children():
        setattr(found, name, map_modules(child, exchange))
    return found


def shallow_copy(module: Network) -> Network:
    """Another module with the same tensors and children, whose own can be exchanged."""
    found = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        found.__dict__[table] = dict(module.__dict__[table])
    return found
