"""What NVIDIA's files say of a generator beside its weights: the constructor's arguments and the filters.

The modules of stylegan2-ada-pytorch, of the stylegan3 repository and of StyleGAN-Human have
different class names and the same tensors. In stylegan2-ada-pytorch the arguments of the synthesis
network are nested in `synthesis_kwargs`, in the stylegan3 repository they are among the others; those
of the mapping network are nested in `mapping_kwargs` in both.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ...errors import FiceError
from ...networks.stylegan2_layers import MAPPING_LR_MULTIPLIER
from ..reading.records import DerivedRecord, Stored, look_up, tensor_of

_DEFAULT_CLAMP = 256.0
_FILTER = (1, 3, 3, 1)
_ACTIVATION, _ARCHITECTURE, _CHANNELS = "lrelu", "skip", 3


def find_clamp(prefix: str, tree: Any) -> float | None:
    """The bound of a generator's activations; None for no bound.

    In stylegan2-ada-pytorch the clamp is off if it is not given, in the stylegan3 repository it is 256
    then. Without any arguments it is 256, the value of the published training configurations.

    Args:
        prefix: of the generator's tensors, such as "G_ema."
        tree: the contents of the file.
    """
    arguments = _arguments(prefix, tree)
    clamp = arguments.get("conv_clamp", _DEFAULT_CLAMP)
    if isinstance(synthesis := arguments.get("synthesis_kwargs"), Mapping):
        clamp = synthesis.get("conv_clamp")
    return float(clamp) if isinstance(clamp, int | float) else None


def adapt(state: Mapping[str, Stored], prefix: str, tree: Any) -> dict[str, Stored]:
    """The generator's tensors, changed so that `networks.stylegan2` computes what the arguments say.

    A learning-rate multiplier of the mapping network other than 0.01 is multiplied into its weights.
    Without noise (`use_noise`), its strengths are 0.

    Args:
        state: the generator's tensors.
        prefix: their prefix in the file.
        tree: the contents of the file.

    Raises:
        FiceError: the filter, an activation, the architecture or the number of channels is another than
            that of `networks.stylegan2`.
    """
    arguments = _arguments(prefix, tree)
    mapping = _part(arguments, "mapping", prefix, tree)
    synthesis = {**arguments, **_part(arguments, "synthesis", prefix, tree)}
    for name, given, expected in (
        ("activation", synthesis.get("activation", _ACTIVATION), _ACTIVATION),
        ("activation", mapping.get("activation", _ACTIVATION), _ACTIVATION),
        ("architecture", synthesis.get("architecture") or _shown(state), _ARCHITECTURE),
        ("img_channels", synthesis.get("img_channels") or _channels(state), _CHANNELS),
    ):
        if given != expected:
            raise FiceError(
                f"its {name} is {given!r}; only generators with {expected!r} can be read"
            )
    _check_filters(state, synthesis.get("resample_filter"))
    ours = dict(state)
    multiplier = mapping.get("lr_multiplier", MAPPING_LR_MULTIPLIER)
    if not isinstance(multiplier, int | float) or multiplier <= 0:
        raise FiceError(f"its lr_multiplier is {multiplier!r}; a positive number was expected")
    if multiplier != MAPPING_LR_MULTIPLIER:
        for key, stored in state.items():
            if re.fullmatch(r"mapping\.fc\d+\.(weight|bias)", key):
                ours[key] = _scaled(stored, multiplier / MAPPING_LR_MULTIPLIER)
    if synthesis.get("use_noise") is False:
        ours |= dict(_silence(state))
    return ours


def _arguments(prefix: str, tree: Any) -> Mapping[str, Any]:
    """The constructor's arguments of a generator.

    They are stored beside the weights (`{"G": state, "G_kwargs": arguments}`, the authors' file) or in
    the recorded state of the pickled module.
    """
    name = prefix.rstrip(".")
    paths = ((f"{name}_kwargs",), ("G_kwargs",), (*name.split("."), "_init_kwargs"))
    values = (look_up(tree, path) for path in paths)
    return next((value for value in values if isinstance(value, Mapping)), {})


def _part(arguments: Mapping[str, Any], part: str, prefix: str, tree: Any) -> Mapping[str, Any]:
    """The arguments of the mapping or synthesis network: the nested ones, and those of its own record."""
    path = (*prefix.rstrip(".").split("."), "_modules", part, "_init_kwargs")
    recorded, nested = look_up(tree, path), arguments.get(f"{part}_kwargs")
    return {
        **(recorded if isinstance(recorded, Mapping) else {}),
        **(nested if isinstance(nested, Mapping) else {}),
    }


def _shown(state: Mapping[str, Stored]) -> str:
    """The architecture that the tensors show: where images are made, and shortcuts around blocks."""
    if any(re.fullmatch(r"synthesis\.b\d+\.skip\.weight", key) for key in state):
        return "resnet"
    torgbs = sum(key.endswith(".torgb.weight") for key in state)
    blocks = sum(bool(re.fullmatch(r"synthesis\.b\d+\.conv1\.weight", key)) for key in state)
    return "orig" if torgbs == 1 < blocks else _ARCHITECTURE


def _channels(state: Mapping[str, Stored]) -> int:
    """The number of channels of the images."""
    sizes = [stored.shape[0] for key, stored in state.items() if key.endswith(".torgb.bias")]
    return sizes[0] if sizes else _CHANNELS


def _check_filters(state: Mapping[str, Stored], recorded: Any) -> None:
    """Raise FiceError if the generator has another low-pass filter than [1, 3, 3, 1]."""
    taps = torch.tensor([float(tap) for tap in _FILTER])
    expected = torch.outer(taps, taps) / 64  # sums to 1; the gain is applied at run time
    complaint = FiceError(
        f"its low-pass filter (resample_filter) is not {list(_FILTER)}; only generators with this filter, "
        "the default, can be read"
    )
    if recorded is not None and (
        not isinstance(recorded, list | tuple) or tuple(recorded) != _FILTER
    ):
        raise complaint
    for key, stored in state.items():
        if not key.endswith(".resample_filter"):
            continue
        same = tuple(stored.shape) == (4, 4)
        if not (same and torch.allclose(tensor_of(stored).float(), expected, atol=1e-3)):
            raise complaint


def _scaled(stored: Stored, gain: float) -> DerivedRecord:
    return DerivedRecord(
        tuple(stored.shape), torch.float32, lambda: tensor_of(stored).float() * gain
    )


def _silence(state: Mapping[str, Stored]) -> Iterator[tuple[str, Stored]]:
    """Noise of strength 0 for every styled convolution, which have none of their own."""
    height, width = state["synthesis.b4.const"].shape[1:]
    for key in state:
        if match := re.fullmatch(r"(synthesis\.b(\d+)\.conv[01])\.weight", key):
            size = int(match[2]), int(match[2]) * width // height
            yield f"{match[1]}.noise_strength", _zeros(())
            yield f"{match[1]}.noise_const", _zeros(size)


def _zeros(shape: tuple[int, ...]) -> DerivedRecord:
    return DerivedRecord(shape, torch.float32, lambda: torch.zeros(shape))
