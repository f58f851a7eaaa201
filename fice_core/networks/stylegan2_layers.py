"""Layers of the StyleGAN2 generator; sources as in `stylegan2.py`."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2
GAIN = math.sqrt(2.0)  # makes up for the variance that the leaky ReLU loses
EPSILON = 1e-8
MAPPING_LR_MULTIPLIER = 0.01


def _binomial_filter(x: Tensor, gain: float) -> Tensor:
    """The [1, 3, 3, 1] low-pass kernel for every channel of x, (C, 1, 4, 4), summing to `gain`."""
    # Computed on the device of x: copying a constant from the CPU would stall a GPU at every call.
    taps = 4 - 2 * (torch.arange(4, dtype=x.dtype, device=x.device) - 1.5).abs()
    return (torch.outer(taps, taps) * (gain / 64)).expand(x.shape[1], 1, 4, 4)


def smooth(x: Tensor) -> Tensor:
    """Low-pass filter with gain 4 after a transposed convolution: (N, C, 2H+1, 2W+1) -> (N, C, 2H, 2W)."""
    return F.conv2d(x, _binomial_filter(x, 4.0), padding=1, groups=x.shape[1])


def upsample(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W) by inserting zeros and the same low-pass filter, zero-padded."""
    kernel = _binomial_filter(images, 4.0)
    return F.conv_transpose2d(images, kernel, stride=2, padding=1, groups=images.shape[1])


def _clamped(x: Tensor, limit: float) -> Tensor:
    # The gradient of `hardtanh` is one pass over the activations, that of `clamp` four.
    return F.hardtanh(x, -limit, limit)


class EqualizedLinear(nn.Module):
    """y = x (W * lr / sqrt(fan_in))^T + b * lr: equalised learning rate (Karras et al. 2018)."""

    def __init__(
        self, in_features: int, out_features: int, bias: float = 0.0, lr: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr)
        self.bias = nn.Parameter(torch.full((out_features,), bias))
        self.weight_gain = lr / math.sqrt(in_features)
        self.bias_gain = lr

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias_gain == 1.0 else self.bias * self.bias_gain
        return F.linear(x, self.weight * self.weight_gain, bias)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, constant noise, bias, leaky ReLU, clamp; `up` doubles the size.

    Modulation scales the input channels by the style. Demodulation scales the output channels by
    1 / sqrt(sum (style * weight)^2 + eps). Both scale the activations here, not the weights: the
    result is the same and no set of weights per sample is needed.
    """

    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        size: tuple[int, int],
        up: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.up = up
        self.clamp = clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(size))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w)
        x = x * style[:, :, None, None]
        if self.up:
            x = smooth(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, self.weight, padding=1)
        demodulation = torch.rsqrt(style.square() @ self.energies() + EPSILON)
        # The leaky ReLU is positively homogeneous, so its gain can be applied before it. Then
        # demodulation, noise, bias and gain are one pass over the activations.
        noise = self.noise_const * (self.noise_strength * GAIN)
        shift = noise + (self.bias * GAIN)[:, None, None]
        x = torch.addcmul(shift, x, (demodulation * GAIN)[:, :, None, None])
        x = F.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        return x if self.clamp is None else _clamped(x, self.clamp)

    def energies(self) -> Tensor:
        """Variance of each output channel per variance of each input channel, (in_channels, out_channels)."""
        return self.weight.square().sum((2, 3)).t()


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation, noise or activation."""

    def __init__(self, in_channels: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = EqualizedLinear(w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        n, c, height, width = x.shape
        style = self.affine(w) * self.weight_gain
        # Only 3 x C numbers per sample: modulating the weight is cheaper here.
        weight = self.weight[:, :, 0, 0] * style[:, None, :]
        rgb = torch.baddbmm(self.bias[None, :, None], weight, x.reshape(n, c, height * width))
        rgb = rgb.reshape(n, 3, height, width)
        return rgb if self.clamp is None else _clamped(rgb, self.clamp)
