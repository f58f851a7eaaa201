"""3x3 convolutions with fewer multiplications: Winograd's F(2x2, 3x3).

Every 2 x 2 outputs take 16 products of input and output channel in place of 36, for a few additions
more; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1. The
products are one matrix multiplication for each of the 16 places, and to rounding the result is the same.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Of a kernel's three taps along one axis, four numbers: G in the paper.
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
# The places of the four numbers, and those of the kernel turned around: its first and last tap swap.
_AS_IS, _TURNED = (0, 1, 2, 3), (3, 1, 2, 0)


def is_plain(conv: nn.Conv2d) -> bool:
    """Whether a `WinogradConv` can be made of it."""
    asked = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return asked == ((3, 3), (1, 1), (1, 1), (1, 1), 1)


class WinogradConv(nn.Module):
    """A frozen 3x3 convolution of stride 1 and padding 1 that multiplies less on a CPU.

    Elsewhere, and in mixed precision, the backend's convolution is used, with its weight computed anew.

    Args:
        conv: frozen; only its weight and bias are looked at.

    Raises:
        ValueError: it is not plain, see `is_plain`.
    """

    kernel: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if not is_plain(conv):
            raise ValueError(f"not a plain 3x3 convolution: {conv}")
        weight = conv.weight.detach()
        taps = torch.tensor(_KERNEL, dtype=torch.float64, device=weight.device)
        kernel = torch.einsum("yi,xj,ocij->xyco", taps, taps, weight.double())
        # (16, C, D), the places across the slower: 16/9 of the weight, which is not kept beside it.
        self.register_buffer("kernel", kernel.flatten(0, 1).to(weight.dtype).contiguous())
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H, W)."""
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return F.conv2d(x, self.weight(), self.bias, padding=1)
        # Trimmed and turned out here: what a function of its own returns must be no view, or whoever comes
        # next could not work in place.
        y = _trimmed(_Convolution.apply(x, self.kernel), x.shape)
        return y if self.bias is None else y + self.bias[:, None, None]

    def weight(self) -> Tensor:
        """The weight that it was made from, (D, C, 3, 3), but for rounding."""
        grid = self.kernel.unflatten(0, (4, 4))
        for _ in range(2):  # the outer taps stand there as they are, the middle one is a difference
            first, plus, minus, last = grid.unbind(0)
            grid = torch.stack([first, plus - minus, last]).transpose(0, 1)
        weight: Tensor = grid.permute(3, 2, 1, 0)
        return weight


class _Convolution(torch.autograd.Function):
    """With a gradient to the input alone: the convolution with the turned kernel, channels swapped."""

    @staticmethod
    def forward(ctx, x, kernel):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernel)
        ctx.shape = x.shape
        return _convolve(x, kernel, _AS_IS)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (kernel,) = ctx.saved_tensors
        gradient = gradient.permute(0, 3, 1, 2)
        found = _convolve(gradient, kernel.transpose(1, 2), _TURNED)
        return _trimmed(found, ctx.shape), None


def _convolve(x: Tensor, kernel: Tensor, places: tuple[int, ...]) -> Tensor:
    """x (N, C, H, W), kernel (16, C, D) -> (N, H, W, D), with a row or column more where H or W is odd."""
    height, width = x.shape[-2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + width % 2, 1, 1 + height % 2))
    tiles = _spread(
        _spread(padded, 1, places), 3, places
    )  # (4 across, 4 down, N, rows, columns, C)
    products = torch.bmm(tiles.view(16, -1, x.shape[1]), kernel)
    return _gather(_gather(products.view(*tiles.shape[:-1], -1), 3, places), 1, places)


def _trimmed(x: Tensor, shape: torch.Size) -> Tensor:
    """(N, >= H, >= W, D) -> (N, D, H, W), channels-last, of pictures of `shape`."""
    return x[:, : shape[2], : shape[3]].permute(0, 3, 1, 2)


def _spread(x: Tensor, axis: int, places: tuple[int, ...]) -> Tensor:
    """Four numbers for each two along an axis, from those two and their neighbours: the transpose of B
    in the paper. (..., 2n + 2, ...) -> (4, ..., n, ...)."""
    count = x.shape[axis] // 2 - 1
    a, b, c, d = (_every_second(x, axis, first, count) for first in range(4))
    found = x.new_empty((4, *a.shape))
    torch.sub(a, c, out=found[places[0]])
    torch.add(b, c, out=found[places[1]])
    torch.sub(c, b, out=found[places[2]])
    torch.sub(b, d, out=found[places[3]])
    return found


def _gather(x: Tensor, axis: int, places: tuple[int, ...]) -> Tensor:
    """Two numbers from four: the transpose of A in the paper. (4, ..., n, ...) -> (..., 2n, ...)."""
    count = x.shape[axis + 1]
    shape = list(x.shape[1:])
    shape[axis] = 2 * count
    found = x.new_empty(shape)
    a, b, c, d = (x[place] for place in places)
    torch.add(a, b, out=_every_second(found, axis, 0, count)).add_(c)
    torch.sub(b, c, out=_every_second(found, axis, 1, count)).sub_(d)
    return found


def _every_second(x: Tensor, axis: int, first: int, count: int) -> Tensor:
    index = [slice(None)] * x.ndim
    index[axis] = slice(first, first + 2 * count - 1, 2)
    return x[tuple(index)]
