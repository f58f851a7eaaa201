"""Translates generators in the layout of rosinality's stylegan2-pytorch to this project's keys.

Its training files contain `g_ema`, `g`, `d`; converters add `latent_avg`, the mean of w. The encoders
pSp and e4e store their generator in the same layout. That of StyleGAN-Human is half as wide as high.

The layers are those of NVIDIA under other names, in the same order: convolution, noise, bias, leaky
ReLU, and one w for a block's torgb and the next block's first convolution. Neither layout flips the
kernel of the transposed convolution. Four things differ:

- Kernels have a leading axis of 1.
- 3x3 kernels are multiplied by 1 / sqrt(9 fan_in) at run time, before demodulation. This gain is
  multiplied into the weights here, so the epsilon of the demodulation keeps its meaning.
- Activations are never clamped.
- The mean of w may be missing.
"""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import FiceError
from ...networks.stylegan2_layers import EPSILON, GAIN, LEAKY_SLOPE, MAPPING_LR_MULTIPLIER
from ..reading.records import DerivedRecord, Stored, tensor_of

MARKS = ("to_rgb1.conv.weight", "conv1.conv.weight")
SAMPLES = 4096  # fixed random z, to compute the mean of w if the file does not have it

_BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0])


def is_rosinality(state: Mapping[str, Stored]) -> bool:
    """Whether the tensors have the keys of this layout."""
    return all(mark in state for mark in MARKS)


def translate(state: Mapping[str, Stored], average: Stored | None) -> dict[str, Stored]:
    """The tensors under the keys and in the units of `networks.stylegan2`, not read yet.

    Tensors that this layout does not have keep their keys.

    Args:
        state: a generator's tensors under the keys of this layout.
        average: the mean of w, (w_dim,) or (1, w_dim), or once for every style, as encoders store it.
            If None, or if the styles differ, it is computed from `SAMPLES` random z when it is read.

    Raises:
        KeyError: a tensor is missing; the message is its key.
        ValueError: a tensor has a shape that this layout never has.
        FiceError: the low-pass filter is not [1, 3, 3, 1].
    """
    _check_filters(state)
    state = _Watched(state)
    ours: dict[str, Stored] = {"synthesis.b4.const": _reshaped(state, "input.input", 1)}
    mapping = _mapping_layers(state)
    for i, layer in enumerate(mapping):
        ours[f"mapping.fc{i}.weight"] = state[f"{layer}.weight"]
        ours[f"mapping.fc{i}.bias"] = state[f"{layer}.bias"]
    ours["mapping.w_avg"] = _average(state, mapping, average)
    for name, theirs, noise in _convolutions(state):
        fan_in = math.prod(state[f"{theirs}.conv.weight"].shape[2:])
        ours |= _affine(state, name, theirs)
        ours[f"{name}.weight"] = _reshaped(state, f"{theirs}.conv.weight", 1, fan_in**-0.5)
        ours[f"{name}.bias"] = state[f"{theirs}.activate.bias"]
        ours[f"{name}.noise_strength"] = _reshaped(state, f"{theirs}.noise.weight", 1)
        ours[f"{name}.noise_const"] = _reshaped(state, f"noises.noise_{noise}", 2)
    for k, theirs in enumerate(_colour_layers(state)):
        name = f"synthesis.b{4 << k}.torgb"
        ours |= _affine(state, name, theirs)
        ours[f"{name}.weight"] = _reshaped(state, f"{theirs}.conv.weight", 1)
        ours[f"{name}.bias"] = _reshaped(state, f"{theirs}.bias", 1, trailing=2)
    return ours | {key: stored for key, stored in state.items() if key not in state.read}


class _Watched(dict[str, Stored]):
    """A dictionary that notes which of its values were read by key."""

    def __init__(self, values: Mapping[str, Stored]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Stored:
        self.read.add(key)
        return super().__getitem__(key)


def _mapping_layers(state: Mapping[str, Stored]) -> list[str]:
    """The fully connected layers in order; `style.0` normalises z and has no tensors."""
    count = len({key.split(".")[1] for key in state if key.startswith("style.")})
    if count == 0:
        raise KeyError("style.1.weight")
    layers = [f"style.{i}" for i in range(1, count + 1)]
    (dim,) = _one_axis(state, f"{layers[0]}.bias")
    for layer in layers:
        for key, shape in ((f"{layer}.weight", (dim, dim)), (f"{layer}.bias", (dim,))):
            if tuple(state[key].shape) != shape:
                raise ValueError(f"{key} is {tuple(state[key].shape)}, expected {shape}")
    return layers


def _colour_layers(state: Mapping[str, Stored]) -> list[str]:
    """The torgb layer of every block, from 4 pixels up."""
    count = len({key.split(".")[1] for key in state if key.startswith("to_rgbs.")})
    return ["to_rgb1", *(f"to_rgbs.{i}" for i in range(count))]


def _convolutions(state: Mapping[str, Stored]) -> Iterator[tuple[str, str, int]]:
    """Yield our name, their name and the number of the noise of every 3x3 convolution."""
    yield "synthesis.b4.conv1", "conv1", 0
    for i in range(2 * (len(_colour_layers(state)) - 1)):
        yield f"synthesis.b{8 << i // 2}.conv{i % 2}", f"convs.{i}", i + 1


def _affine(state: Mapping[str, Stored], name: str, theirs: str) -> dict[str, Stored]:
    """The layer from w to the style; the bias is about 1 in both layouts."""
    return {
        f"{name}.affine.{leaf}": state[f"{theirs}.conv.modulation.{leaf}"]
        for leaf in ("weight", "bias")
    }


def _reshaped(
    state: Mapping[str, Stored], key: str, leading: int, gain: float = 1.0, trailing: int = 0
) -> DerivedRecord:
    """A tensor without its `leading` first and `trailing` last axes of size 1, times `gain`."""
    stored = state[key]
    shape = tuple(stored.shape)
    kept = shape[leading : len(shape) - trailing]
    if len(shape) < leading + trailing or math.prod(kept) != math.prod(shape):
        raise ValueError(f"{key} is {shape}")

    def compute() -> Tensor:
        value = tensor_of(stored).reshape(kept)
        return value if gain == 1.0 else value.float() * gain

    return DerivedRecord(kept, torch.float32 if gain != 1.0 else stored.dtype, compute)


def _average(
    state: Mapping[str, Stored], layers: list[str], average: Stored | None
) -> DerivedRecord:
    """The mean of w, (w_dim,), from the file or computed."""
    (dim,) = _one_axis(state, f"{layers[0]}.bias")
    if average is None:
        return DerivedRecord((dim,), torch.float32, lambda: _mean_of_w(state, layers, dim))
    if tuple(average.shape)[-1:] != (dim,):
        raise ValueError(f"latent_avg is {tuple(average.shape)}, expected ({dim},)")
    stored = average

    def compute() -> Tensor:
        rows = tensor_of(stored).reshape(-1, dim)
        return rows[0] if bool((rows == rows[0]).all()) else _mean_of_w(state, layers, dim)

    return DerivedRecord((dim,), torch.float32, compute)


def mean_of_w(state: Mapping[str, Stored]) -> DerivedRecord:
    """The mean of w of a generator in this layout, computed when it is read.

    Raises:
        KeyError, ValueError: as for `translate`.
    """
    return _average(state, _mapping_layers(state), None)


def _mean_of_w(state: Mapping[str, Stored], layers: list[str], dim: int) -> Tensor:
    """Mean of w over fixed random z, (w_dim,).

    It is computed in float64, so that every machine gets the same mean after rounding. Saved codes
    are recognised by this mean as codes of this generator.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, dim, generator=rng).double()
    x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)
    for layer in layers:
        weight, bias = (tensor_of(state[f"{layer}.{leaf}"]).double() for leaf in ("weight", "bias"))
        x = F.linear(x, weight * (MAPPING_LR_MULTIPLIER / math.sqrt(dim)))
        x = F.leaky_relu(x + bias * MAPPING_LR_MULTIPLIER, LEAKY_SLOPE) * GAIN
    return x.mean(0).float()


def _check_filters(state: Mapping[str, Stored]) -> None:
    """Raise FiceError if the generator was trained with another low-pass filter."""
    expected = torch.outer(_BINOMIAL, _BINOMIAL) / 16  # sums to 4, because upsampling inserts zeros
    for key, stored in state.items():
        if not key.endswith((".blur.kernel", ".upsample.kernel")):
            continue
        same = tuple(stored.shape) == (4, 4)
        if not (same and torch.allclose(tensor_of(stored).float(), expected, atol=1e-3)):
            raise FiceError(
                f"its low-pass filter {key} is not [1, 3, 3, 1]; only generators that were trained "
                "with this filter, the default, can be read"
            )


def _one_axis(state: Mapping[str, Stored], key: str) -> tuple[int]:
    """The shape of a vector; ValueError if the tensor has another number of axes."""
    shape = tuple(state[key].shape)
    if len(shape) != 1:
        raise ValueError(f"{key} is {shape}")
    return shape
