"""Shared residual layers: in-place normalisation, the atrous pyramid."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fice_core.networks.resnet import AtrousPyramid, ConvNorm, ConvolutionNorm


def filled_norm(cls: type[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    norm = cls(3).double().eval()
    norm.weight.data = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    norm.bias.data = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    norm.running_mean.copy_(torch.tensor([0.0, 3.0, -1.0]))
    norm.running_var.copy_(torch.tensor([1.0, 4.0, 0.25]))
    return norm


def activations() -> torch.Tensor:
    return torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [False, True])
def test_norm_equals_batch_norm(training):
    ours = filled_norm(ConvolutionNorm).train(training)
    theirs = filled_norm(nn.BatchNorm2d).train(training)
    expected = theirs(activations())
    torch.testing.assert_close(ours(activations()), expected)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)


@pytest.mark.parametrize("frozen", [False, True])
def test_norm_has_the_gradients_of_batch_norm(frozen):
    """It overwrites the convolution's output; the scale is trained or fixed."""
    results = []
    for cls in (ConvolutionNorm, nn.BatchNorm2d):
        norm = filled_norm(cls).requires_grad_(not frozen)
        x = activations().requires_grad_()
        weight = torch.ones(3, 3, 1, 1, dtype=torch.float64, requires_grad=not frozen)
        F.relu(norm(F.conv2d(x, weight)), inplace=True).square().sum().backward()
        results.append([x.grad, weight.grad, norm.weight.grad, norm.bias.grad])
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            torch.testing.assert_close(ours, theirs)


def test_frozen_norm_keeps_nothing_for_the_backward_pass():
    norm = filled_norm(ConvolutionNorm).requires_grad_(False)
    x = activations().requires_grad_()
    kept = []
    y = x * 1
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        norm(y)
    assert all(t.numel() <= 3 for t in kept)


def test_convolution_carries_its_norm():
    layer = ConvNorm(2, 3, 3, stride=2).eval()
    assert set(layer.state_dict()) >= {"weight", "norm.weight", "norm.running_var"}
    x = torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    expected = F.conv2d(x, layer.weight, stride=2, padding=1) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(layer(x), expected)


def test_pyramid_by_hand():
    """All branches but the global one are zero: every pixel is the mean of the image."""
    pyramid = AtrousPyramid(1, 1, (1, 2), nn.Identity, [])
    for branch in pyramid.convs:
        nn.init.zeros_(branch[-2].weight)
    nn.init.ones_(pyramid.convs[-1][1].weight)
    nn.init.constant_(pyramid.project[0].weight, 2.0)
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    torch.testing.assert_close(pyramid(x), torch.full((1, 1, 3, 4), 11.0))
