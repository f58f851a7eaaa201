"""From a config and a state dict to a frozen network."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import FiceError
from .native import network_class, weights

_RANDOM_FILLS = frozenset({"normal_", "uniform_", "kaiming_uniform_", "kaiming_normal_"})


class _NoRandomFill(TorchFunctionMode):
    """Leave new parameters unfilled: they are about to be replaced by the file's.

    Saves seconds on the full-size networks, leaves the global random state alone, and memory that
    is never touched is not counted against the process.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        if func is torch.randn or func is torch.rand:
            func = torch.empty
        return func(*args, **kwargs)


def build(
    kind: str, config: Mapping[str, Any], state: Mapping[str, Tensor], source: str, device: str
) -> nn.Module:
    """The network of a kind with the given weights: frozen, in eval mode, float32.

    Args:
        kind: one of `native.NETWORKS`.
        config: its constructor arguments.
        state: tensors by the network's own keys; extra keys are ignored. They are copied.
        source: the file's name, for messages.
        device: where the network shall live.

    Raises:
        FiceError: the settings make no network, or tensors are missing or of the wrong shape.
    """
    # Normal tensors even when the caller is in inference mode: gradients flow through them later.
    with torch.inference_mode(False), torch.no_grad():
        try:
            with _NoRandomFill():
                network = network_class(kind)(**config)
        except (TypeError, ValueError, KeyError, RuntimeError, ArithmeticError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FiceError(
                f"{source}: its settings do not describe a {kind} this version can build ({reason})"
            ) from error
        module = weights(network)
        module.load_state_dict(_matched(module, state, kind, source), assign=True)
        network = network.to(device)
    return network.eval().requires_grad_(False)


def _matched(
    module: nn.Module, state: Mapping[str, Tensor], kind: str, source: str
) -> dict[str, Tensor]:
    """Copies of the tensors that `module` needs, in its own types; checked for completeness."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("_tracked")]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FiceError(f"{source}: this {kind} lacks the tensor {missing[0]}{more}")
    matched = {}
    for key, like in wanted.items():
        value = state.get(key, like)
        if value.shape != like.shape:
            raise FiceError(
                f"{source}: the tensor {key} of this {kind} is {tuple(value.shape)}, "
                f"expected {tuple(like.shape)}"
            )
        matched[key] = value.detach().to(like.dtype, copy=True).contiguous()
    return matched
