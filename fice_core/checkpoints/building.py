"""From settings and stored tensors to a frozen network."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import FiceError
from ..ops.autograd import without_grad
from .native import network_class, weights
from .reading.records import Stored, read_tensor

_RANDOM_FILLS = frozenset({"normal_", "uniform_", "kaiming_uniform_", "kaiming_normal_"})
_FACTORIES = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye}
)


class _OversizeError(ValueError):
    """The settings ask for a network far larger than the stored tensors."""


class _Blank(TorchFunctionMode):
    """Build networks without filling their parameters, and none larger than the file justifies.

    The file's tensors replace the parameters anyway. Not filling them saves seconds on the
    full-size networks, leaves the global random state alone, and memory that is never touched is
    not counted against the process.

    Args:
        elements: how many elements may be allocated.
        tensors: in how many tensors.
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
                func = torch.empty  # whose size can also be asked without importing sympy, a second
            self.tensors -= 1
            self.elements -= func(*args, **{**kwargs, "device": "meta"}).numel()
            if self.tensors < 0 or self.elements < 0:
                raise _OversizeError(
                    "they ask for a far larger network than the file's tensors make"
                )
        return func(*args, **kwargs)


def build(
    kind: str, config: Mapping[str, Any], state: Mapping[str, Stored], source: str, device: str
) -> nn.Module:
    """The network of a kind with the given weights: frozen, in eval mode, float32.

    Args:
        kind: one of `native.NETWORKS`.
        config: its constructor arguments.
        state: tensors by the network's own keys; extra keys are ignored. They are copied.
        source: the file's name, for messages.
        device: where the network shall live.

    Raises:
        FiceError: the settings make no network, tensors are missing or of the wrong shape, or
            there is no such device.
    """
    elements = sum(math.prod(value.shape) for value in state.values())
    # Normal tensors even when the caller is in inference mode: gradients flow through them later.
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
        ) as error:  # the settings come from the file: whatever they break is the file's fault
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FiceError(f"{source}: its settings describe no {kind} ({reason})") from error
        module = weights(network)
        module.load_state_dict(_matched(module, state, kind, source), assign=True)
        try:
            network = network.to(device)
        except (RuntimeError, AssertionError) as error:  # torch's two ways to say so
            reason = str(error).splitlines()[0]
            raise FiceError(f"device {device!r} is not available: {reason}") from error
    return network.eval().requires_grad_(False)


def _matched(
    module: nn.Module, state: Mapping[str, Stored], kind: str, source: str
) -> dict[str, Tensor]:
    """Copies of the tensors that `module` needs, in its own types; checked for completeness."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("_tracked")]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FiceError(f"{source}: this {kind} lacks the tensor {missing[0]}{more}")
    matched = {}
    for key, like in wanted.items():
        stored = state.get(key, like)
        if tuple(stored.shape) != tuple(like.shape):
            raise FiceError(
                f"{source}: the tensor {key} of this {kind} is {tuple(stored.shape)}, "
                f"expected {tuple(like.shape)}"
            )
        value = read_tensor(stored, source).detach()
        matched[key] = value.to(like.dtype, copy=True).contiguous()
    return matched
