"""Residual bottlenecks (He et al., CVPR 2016) in the two layouts of the published checkpoints.

detectron2 calls a normalisation `conv1.norm` and puts the stride in the first 1x1 convolution.
torchvision calls it `bn1` and puts stride and dilation in the 3x3 convolution.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 4  # a bottleneck's output channels over its inner channels


def initialize(network: nn.Module, negative_slope: float = 0.0) -> None:
    """Initialise every convolution for (leaky) ReLU (He et al. 2015); biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, negative_slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ConvolutionNorm(nn.BatchNorm2d):
    """Batch normalisation after a convolution; in eval mode it overwrites its input.

    Neither the gradient of the convolution nor that of a fixed scale uses the convolution's
    output. Overwriting it saves a third of the activations of the backward pass.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return input.mul_(scale[:, None, None]).add_(shift[:, None, None])


class ConvNorm(nn.Conv2d):
    """Convolution without bias, followed by a normalisation, its submodule `norm`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        norm: nn.Module | None = None,
    ) -> None:
        padding = kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.norm = norm if norm is not None else ConvolutionNorm(out_channels)

    def forward(self, input: Tensor) -> Tensor:
        normalized: Tensor = self.norm(super().forward(input))
        return normalized


class StridedBottleneck(nn.Module):
    """detectron2's bottleneck, stride s in `conv1`: (N, C, H, W) -> (N, 4 inner, H/s, W/s)."""

    def __init__(self, in_channels: int, inner: int, stride: int) -> None:
        super().__init__()
        out_channels = inner * EXPANSION
        self.shortcut = (
            ConvNorm(in_channels, out_channels, 1, stride) if in_channels != out_channels else None
        )
        self.conv1 = ConvNorm(in_channels, inner, 1, stride)
        self.conv2 = ConvNorm(inner, inner, 3)
        self.conv3 = ConvNorm(inner, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        residual = F.relu(self.conv1(x), inplace=True)
        residual = F.relu(self.conv2(residual), inplace=True)
        residual = self.conv3(residual)
        residual += x if self.shortcut is None else self.shortcut(x)
        return F.relu(residual, inplace=True)


class DilatedBottleneck(nn.Module):
    """torchvision's bottleneck, stride and dilation in `conv2`; shapes as `StridedBottleneck`."""

    def __init__(
        self, in_channels: int, inner: int, stride: int, dilation: int, project: bool
    ) -> None:
        super().__init__()
        out_channels = inner * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = ConvolutionNorm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False)
        self.bn2 = ConvolutionNorm(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = ConvolutionNorm(out_channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                ConvolutionNorm(out_channels),
            )
            if project
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = F.relu(self.bn1(self.conv1(x)), inplace=True)
        residual = F.relu(self.bn2(self.conv2(residual)), inplace=True)
        residual = self.bn3(self.conv3(residual))
        residual += x if self.downsample is None else self.downsample(x)
        return F.relu(residual, inplace=True)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017): 1x1, dilated 3x3, and global branches.

    Args:
        in_channels: channels of the input.
        channels: channels of every branch and of the output.
        rates: dilations of the 3x3 branches.
        norm: returns the normalisation of a branch, given its number of channels.
        project: the layers after the 1x1 convolution that joins the branches.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        rates: Sequence[int],
        norm: Callable[[int], nn.Module],
        project: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        branches = [nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), norm(channels))]
        for rate in rates:
            conv = nn.Conv2d(in_channels, channels, 3, 1, rate, rate, bias=False)
            branches.append(nn.Sequential(conv, norm(channels)))
        branches.append(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(in_channels, channels, 1, bias=False),
                norm(channels),
            )
        )
        self.convs = nn.ModuleList(branches)
        joined = nn.Conv2d(channels * len(branches), channels, 1, bias=False)
        self.project = nn.Sequential(joined, *project)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        branches = [F.relu(conv(x), inplace=True) for conv in self.convs]
        # The global branch is one pixel: resizing it bilinearly is the same as repeating it.
        branches[-1] = branches[-1].expand_as(branches[0])
        joined: Tensor = self.project(torch.cat(branches, 1))
        return joined
