"""Winograd convolutions equal plain ones, with fewer multiplications."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from fice_core.acceleration.winograd import WinogradConv
from fice_core.profiling.stages import Operations


def convolution(channels: int, found: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(channels + 10 * found)
    conv = nn.Conv2d(channels, found, 3, padding=1, bias=bias)
    return conv.double().requires_grad_(False)


@given(
    count=st.integers(1, 3),
    channels=st.integers(1, 5),
    found=st.integers(1, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    bias=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_result_and_gradient_are_the_convolutions(
    count: int, channels: int, found: int, height: int, width: int, bias: bool
) -> None:
    conv = convolution(channels, found, bias)
    x = torch.randn(count, channels, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(count, found, height, width, dtype=torch.float64)
    expected, result = conv(x), WinogradConv(conv)(x)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-11)
    gradients = [torch.autograd.grad((weight * y).sum(), x)[0] for y in (expected, result)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-11)


def test_gradient_by_differences() -> None:
    quick = WinogradConv(convolution(2, 3))
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(quick, (x,))


def test_the_next_layer_may_work_in_place() -> None:
    """Normalisations do so in networks that are not fused."""
    conv = convolution(2, 3, bias=False)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    found = [
        torch.autograd.grad(one(x).mul_(3.0).square().sum(), x)[0]
        for one in (conv, WinogradConv(conv))
    ]
    torch.testing.assert_close(found[1], found[0])


def test_a_kernel_by_hand() -> None:
    """On an image of ones, a kernel of ones counts the neighbours inside of the image."""
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False).requires_grad_(False)
    conv.weight.fill_(1)
    counted = WinogradConv(conv)(torch.ones(1, 1, 3, 4))
    assert counted[0, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]


def test_four_ninths_of_the_multiplications() -> None:
    conv = convolution(6, 4)
    quick = WinogradConv(conv)
    x = torch.randn(2, 6, 8, 10, dtype=torch.float64)
    with Operations() as operations:
        conv(x)
        whole = operations.read()
        quick(x)
    assert operations.read() - whole == pytest.approx(4 / 9 * whole)


def test_single_precision_is_as_exact_as_the_convolution() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3, padding=1, bias=False).requires_grad_(False)
    x = torch.randn(1, 64, 28, 28)
    exact = F.conv2d(x.double(), conv.weight.double(), padding=1)
    error = (WinogradConv(conv)(x) - exact).abs().max()
    assert error < 4 * (conv(x) - exact).abs().max()


def test_mixed_precision_uses_the_backends_convolution() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False)
    conv.weight.copy_(
        torch.randint(-8, 8, conv.weight.shape)
    )  # no rounding on the way there and back
    x = torch.randn(1, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(WinogradConv(conv)(x), conv(x))


def test_the_weight_can_be_recovered() -> None:
    conv = convolution(3, 5)
    torch.testing.assert_close(WinogradConv(conv).weight(), conv.weight.detach())


@pytest.mark.parametrize(
    "other", [{"stride": 2}, {"dilation": 2}, {"padding": 0}, {"groups": 2}, {"kernel_size": 5}]
)
def test_other_convolutions_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="plain 3x3"):
        WinogradConv(nn.Conv2d(4, 4, **{"kernel_size": 3, "padding": 1, **other}))
