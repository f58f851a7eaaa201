"""Builds a frozen network from its settings and stored tensors."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import FiceError, printable
from ..networks.segformer import SegFormer
from ..ops.autograd import without_grad
from .native import expected_tensors, network_class, weights
from .reading.records import Stored, read_tensor

_RANDOM_FILLS = frozenset(  # `erfinv_` is the slow part of truncated normal numbers
    {"normal_", "uniform_", "kaiming_uniform_", "kaiming_normal_", "erfinv_"}
)
_FACTORIES = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye}
)


class _OversizeError(ValueError):
    """The settings ask for a network far larger than the stored tensors."""


class _Blank(TorchFunctionMode):
    """Mode in which networks are built without initial values and within a limit of size.

    The file's tensors replace the parameters anyway. Skipping the initialisation saves seconds for
    full-size networks and leaves the global random state unchanged. Memory that is never written
    does not count towards the process. The limit stops settings that describe a network far larger
    than the file.

    Args:
        elements: number of elements that may be allocated.
        tensors: number of tensors that may be allocated.
    """

    def __init__(self, elements: int, tensors: int) -> None:
        super().__init__()
        self.elements = elements
        self.tensors = tensors

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        if func in _FACTORIES:
            if func is torch.randn or func is torch.rand:
                func = (
                    torch.empty
                )  # the same size, without the import of sympy, which takes a second
            self.tensors -= 1
            self.elements -= func(*args, **{**kwargs, "device": "meta"}).numel()
            if self.tensors < 0 or self.elements < 0:
                raise _OversizeError("they describe a network far larger than the file's tensors")
        return func(*args, **kwargs)


def build(
    kind: str, config: Mapping[str, Any], state: Mapping[str, Stored], source: str, device: str
) -> nn.Module:
    """The network of a kind with the given weights: frozen, in eval mode, float32.

    Args:
        kind: one of `native.NETWORKS`.
        config: its constructor arguments.
        state: tensors under the network's keys; they are copied, and extra keys are ignored.
        source: the file's name, for messages.
        device: device of the network.

    Raises:
        FiceError: the settings do not describe a network, tensors are missing or have the wrong
            shape, or the device is not available.
    """
    elements = sum(math.prod(value.shape) for value in state.values())
    # Not inference tensors, even if the caller is in inference mode: gradients flow through them later.
    with without_grad():
        try:
            with _Blank(2 * elements + (1 << 22), 4 * len(state) + 256):
                network = network_class(kind)(**config)
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # the settings come from the file, so the file is at fault
            reason = printable(str(error).partition("\n")[0], 200) or type(error).__name__
            raise FiceError(
                f"{source}: its settings do not describe a valid {kind} ({reason})"
            ) from error
        tensors = _matched(expected_tensors(network), state, kind, source)
        if isinstance(network, SegFormer):
            network.load_published(tensors)
        else:
            weights(network).load_state_dict(tensors, assign=True)
        try:
            network = network.to(device)
        except Exception as error:  # torch, or the package of the device, may raise anything
            reason = printable(str(error).partition("\n")[0], 200) or type(error).__name__
            raise FiceError(f"device {device!r} is not available: {reason}") from error
    return network.eval().requires_grad_(False)


def _matched(
    needed: Mapping[str, Tensor], state: Mapping[str, Stored], kind: str, source: str
) -> dict[str, Tensor]:
    """Copies of the tensors that a network needs, in the types of `needed`.

    Raises:
        FiceError: a tensor is missing or has the wrong shape, or memory is too small.
    """
    missing = [key for key in needed if key not in state and not key.endswith("_tracked")]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FiceError(f"{source}: this {kind} lacks the tensor {missing[0]}{more}")
    matched = {}
    for key, like in needed.items():
        stored = state.get(key, like)
        if tuple(stored.shape) != tuple(like.shape):
            raise FiceError(
                f"{source}: the tensor {key} of this {kind} is {tuple(stored.shape)}, "
                f"expected {tuple(like.shape)}"
            )
        value = read_tensor(stored, source).detach()
        try:
            matched[key] = value.to(like.dtype, copy=True).contiguous()
        except (MemoryError, RuntimeError) as error:  # torch raises either one
            reason = printable(str(error).partition("\n")[0], 200)
            raise FiceError(f"{source} does not fit into memory: {reason}") from error
    return matched
