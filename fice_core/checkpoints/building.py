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
from .arguments import check_arguments
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
        FiceError: what `blank` raises, or the device is not available.
    """
    # Not inference tensors, even if the caller is in inference mode: gradients flow through them later.
    with without_grad():
        network = blank(kind, config, state, source)
        tensors = _copies(expected_tensors(network), state, source)
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


def blank(
    kind: str, config: Mapping[str, Any], state: Mapping[str, Stored], source: str
) -> nn.Module:
    """The network of a kind without values, which the tensors of a file fit; none of them is read.

    Args:
        kind, config, state, source: as for `build`.

    Raises:
        FiceError: the settings do not describe a network, or tensors are missing or have the wrong
            shape.
    """
    elements = sum(math.prod(value.shape) for value in state.values())
    try:
        with _Blank(2 * elements + (1 << 22), 4 * len(state) + 256):
            check_arguments(network_class(kind), config)
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
    _check_fit(expected_tensors(network), state, kind, source)
    return network


def _check_fit(
    needed: Mapping[str, Tensor], state: Mapping[str, Stored], kind: str, source: str
) -> None:
    """Check that a network finds the tensors that it needs.

    Raises:
        FiceError: a tensor is missing, has the wrong shape, or is quantised.
    """
    missing = [key for key in needed if key not in state and not key.endswith("_tracked")]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FiceError(f"{source}: this {kind} lacks the tensor {missing[0]}{more}")
    for key, like in needed.items():
        shape = tuple(state.get(key, like).shape)
        if shape != tuple(like.shape):
            raise FiceError(
                f"{source}: the tensor {key} of this {kind} is {shape}, "
                f"expected {tuple(like.shape)}"
            )
        dtype = state[key].dtype if key in state else like.dtype
        if like.is_floating_point() and not (dtype and dtype.is_floating_point):
            raise FiceError(
                f"{source}: the tensor {key} of this {kind} is stored as "
                f"{str(dtype).removeprefix('torch.')}, not as floating-point numbers: use a file that "
                "is not quantised"
            )


def _copies(
    needed: Mapping[str, Tensor], state: Mapping[str, Stored], source: str
) -> dict[str, Tensor]:
    """Copies of the tensors that a network needs, in the types of `needed`.

    Raises:
        FiceError: memory is too small, or an element is NaN or infinite.
    """
    copies = {}
    for key, like in needed.items():
        value = read_tensor(state.get(key, like), source).detach()
        try:
            copy = value.to(like.dtype, copy=True).contiguous()
            # The sum alone takes no further memory, and is finite unless an element is not.
            sound = bool(copy.sum().isfinite()) or bool(copy.isfinite().all())
        except (MemoryError, RuntimeError) as error:  # torch raises either one
            reason = printable(str(error).partition("\n")[0], 200)
            raise FiceError(f"{source} does not fit into memory: {reason}") from error
        if not sound:
            raise FiceError(
                f"{source}: the tensor {key} has elements that are NaN or infinite, with which every "
                "result would be NaN: the file is damaged, or was stored with too few bits"
            )
        copies[key] = copy
    return copies
