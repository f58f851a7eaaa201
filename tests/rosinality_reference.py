"""A StyleGAN2 generator in rosinality's layout: random weights, and a forward pass of its own.

Written from the paper (Karras et al., CVPR 2020, section 2.2 and figure 2) and the published
conventions of the layout, not from the engine: one sample at a time, in float64, with the weights
modulated themselves and convolutions spelt out as sums or done by scipy.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]
KERNEL = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64  # sums to 1


def random_state(
    channels: Sequence[int],
    style_dim: int = 12,
    layers: int = 8,
    half: bool = False,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """A generator's tensors by the layout's keys; nothing in it is zero or one by initialisation.

    Args:
        channels: of the blocks from 4 pixels up.
        style_dim, layers: of the mapping network.
        half: whether the picture is half as wide as it is high.
    """
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def put(key: str, *shape: int, scale: float = 1.0, offset: float = 0.0) -> None:
        state[key] = torch.randn(*shape, generator=rng) * scale + offset

    def convolution(name: str, channels: int, previous: int, side: int) -> None:
        put(f"{name}.conv.weight", 1, channels, previous, side, side)
        put(f"{name}.conv.modulation.weight", previous, style_dim)
        put(f"{name}.conv.modulation.bias", previous, scale=0.2, offset=1)

    def styled(name: str, channels: int, previous: int) -> None:
        convolution(name, channels, previous, 3)
        put(f"{name}.noise.weight", 1, scale=0.3)
        put(f"{name}.activate.bias", channels, scale=0.3)

    def colour(name: str, channels: int) -> None:
        convolution(name, 3, channels, 1)
        put(f"{name}.bias", 1, 3, 1, 1, scale=0.3)

    for i in range(1, layers + 1):
        put(f"style.{i}.weight", style_dim, style_dim, scale=100)  # stored divided by lr = 0.01
        put(f"style.{i}.bias", style_dim, scale=30)
    heights = [4 << k for k in range(len(channels))]
    widths = [h // 2 if half else h for h in heights]
    put("input.input", 1, channels[0], heights[0], widths[0])
    styled("conv1", channels[0], channels[0])
    colour("to_rgb1", channels[0])
    put("noises.noise_0", 1, 1, heights[0], widths[0])
    for k in range(1, len(heights)):
        styled(f"convs.{2 * k - 2}", channels[k], channels[k - 1])
        styled(f"convs.{2 * k - 1}", channels[k], channels[k])
        colour(f"to_rgbs.{k - 1}", channels[k])
        put(f"noises.noise_{2 * k - 1}", 1, 1, heights[k], widths[k])
        put(f"noises.noise_{2 * k}", 1, 1, heights[k], widths[k])
        kernel = torch.tensor(4 * KERNEL).float()
        state[f"convs.{2 * k - 2}.conv.blur.kernel"] = kernel
        state[f"to_rgbs.{k - 1}.upsample.kernel"] = kernel.clone()
    return state


def map_z(state: dict[str, torch.Tensor], z: Array) -> Array:
    """One z (d,) -> its w (d,): eight layers with a learning rate of 0.01."""
    x = z / np.sqrt(np.mean(z**2) + 1e-8)
    layers = len([key for key in state if key.startswith("style.")]) // 2
    for i in range(1, layers + 1):
        weight, bias = _array(state, f"style.{i}.weight"), _array(state, f"style.{i}.bias")
        x = _activate(weight @ x * 0.01 / np.sqrt(len(x)) + bias * 0.01)
    return x


def render(state: dict[str, torch.Tensor], w_plus: Array) -> Array:
    """One code (num_ws, d) -> its image (3, H, W), about [-1, 1]."""
    x = _array(state, "input.input")[0]
    x = _styled(state, "conv1", x, w_plus[0], "noises.noise_0", up=False)
    picture = _colour(state, "to_rgb1", x, w_plus[1])
    for k in range((len(w_plus) - 2) // 2):
        first, second = f"convs.{2 * k}", f"convs.{2 * k + 1}"
        noises = f"noises.noise_{2 * k + 1}", f"noises.noise_{2 * k + 2}"
        x = _styled(state, first, x, w_plus[2 * k + 1], noises[0], up=True)
        x = _styled(state, second, x, w_plus[2 * k + 2], noises[1], up=False)
        picture = _double(picture) + _colour(state, f"to_rgbs.{k}", x, w_plus[2 * k + 3])
    return picture


def _array(state: dict[str, torch.Tensor], key: str) -> Array:
    return state[key].double().numpy()


def _activate(x: Array) -> Array:
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def _style(state: dict[str, torch.Tensor], name: str, w: Array) -> Array:
    weight = _array(state, f"{name}.conv.modulation.weight")
    return weight @ w / np.sqrt(len(w)) + _array(state, f"{name}.conv.modulation.bias")


def _styled(
    state: dict[str, torch.Tensor], name: str, x: Array, w: Array, noise: str, up: bool
) -> Array:
    weight = _array(state, f"{name}.conv.weight")[0]
    weight = weight / np.sqrt(weight[0].size) * _style(state, name, w)[None, :, None, None]
    weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
    y = _grow(x, weight) if up else _correlate(x, weight)
    y = y + _array(state, f"{name}.noise.weight") * _array(state, noise)[0]
    return _activate(y + _array(state, f"{name}.activate.bias")[:, None, None])


def _colour(state: dict[str, torch.Tensor], name: str, x: Array, w: Array) -> Array:
    weight = _array(state, f"{name}.conv.weight")[0, :, :, 0, 0]
    weight = weight / np.sqrt(weight.shape[1]) * _style(state, name, w)
    return np.einsum("oi,ihw->ohw", weight, x) + _array(state, f"{name}.bias")[0]


def _correlate(x: Array, weight: Array) -> Array:
    """What deep learning calls a convolution, with zeros around."""
    return np.array(
        [
            sum(
                signal.correlate2d(plane, kernel, mode="same")
                for plane, kernel in zip(x, kernels, strict=True)
            )
            for kernels in weight
        ]
    )


def _grow(x: Array, weight: Array) -> Array:
    """Transposed convolution with stride 2, every input pixel painting its kernel; then the blur."""
    _, height, width = x.shape
    y = np.zeros((len(weight), 2 * height + 1, 2 * width + 1))
    for a in range(3):
        for b in range(3):
            painted = np.einsum("oi,ihw->ohw", weight[:, :, a, b], x)
            y[:, a : a + 2 * height : 2, b : b + 2 * width : 2] += painted
    # One pixel of zeros around keeps the size even: (2H + 1) + 2 - 3.
    return np.array([signal.convolve2d(np.pad(plane, 1), 4 * KERNEL, "valid") for plane in y])


def _double(picture: Array) -> Array:
    """Twice the size: zeros between the pixels, then the filter."""
    stuffed = np.zeros((3, 2 * picture.shape[1], 2 * picture.shape[2]))
    stuffed[:, ::2, ::2] = picture
    padded = np.pad(stuffed, ((0, 0), (2, 1), (2, 1)))
    return np.array([signal.convolve2d(plane, 4 * KERNEL, "valid") for plane in padded])
