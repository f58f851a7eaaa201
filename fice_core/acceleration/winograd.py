"""3x3 convolutions with fewer multiplications: Winograd's F(2x2, 3x3).

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.1.
Every 2 x 2 outputs take 16 products per pair of input and output channel instead of 36, and a few more
additions. The products are one matrix multiplication for each of the 16 positions of a tile. The result
differs from that of the plain convolution by rounding only.
"""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# The transform from the three taps of a kernel along one axis to four numbers: G in the paper.
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
# Order of the four numbers for the kernel, and for the flipped kernel: first and last are swapped.
_FORWARD, _FLIPPED = (0, 1, 2, 3), (3, 1, 2, 0)


def is_plain(conv: nn.Conv2d) -> bool:
    """Whether it is a 3x3 convolution of stride 1, padding 1 and one group, as `WinogradConv` needs."""
    geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return geometry == ((3, 3), (1, 1), (1, 1), (1, 1), 1)


class WinogradConv(nn.Module):
    """A frozen 3x3 convolution of stride 1 and padding 1 with fewer multiplications on a CPU.

    On other devices, and in mixed precision, the backend's convolution is used. Its weight is then
    computed from the transformed kernel at every call.

    Args:
        conv: frozen; only its weight and bias are used.

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
        # (16, C, D), horizontal position first. It has 16/9 of the size of the weight and replaces it.
        self.register_buffer("kernel", kernel.flatten(0, 1).to(weight.dtype).contiguous())
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H, W)."""
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return F.conv2d(x, self.weight(), self.bias, padding=1)
        # Trimmed here and not in `_Convolution`: an autograd function must not return a view, or the next
        # layer could not work in place.
        y = _trimmed(_Convolution.apply(x, self.kernel), x.shape)
        return y if self.bias is None else y + self.bias[:, None, None]

    def weight(self) -> Tensor:
        """The weight of the convolution, (D, C, 3, 3), up to rounding."""
        grid = self.kernel.unflatten(0, (4, 4))
        for _ in range(2):  # the outer taps are stored as they are, the middle one is a difference
            first, plus, minus, last = grid.unbind(0)
            grid = torch.stack([first, plus - minus, last]).transpose(0, 1)
        weight: Tensor = grid.permute(3, 2, 1, 0)
        return weight


class _Convolution(torch.autograd.Function):
    """Convolution with a gradient for the input only.

    The gradient is the convolution with the flipped kernel and swapped channels.
    """

    @staticmethod
    def forward(ctx, x, kernel):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(kernel)
        ctx.shape = x.shape
        return _convolve(x, kernel, _FORWARD)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (kernel,) = ctx.saved_tensors
        gradient = gradient.permute(0, 3, 1, 2)
        result = _convolve(gradient, kernel.transpose(1, 2), _FLIPPED)
        return _trimmed(result, ctx.shape), None


def _convolve(x: Tensor, kernel: Tensor, order: tuple[int, ...]) -> Tensor:
    """x (N, C, H, W), kernel (16, C, D) -> (N, H, W, D), with one more row or column if H or W is odd."""
    height, width = x.shape[-2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + width % 2, 1, 1 + height % 2))
    # (4 horizontal, 4 vertical, N, rows, columns, C)
    tiles = _transform_input(_transform_input(padded, 1, order), 3, order)
    products = torch.bmm(tiles.view(16, -1, x.shape[1]), kernel)
    products = products.view(*tiles.shape[:-1], -1)
    return _transform_output(_transform_output(products, 3, order), 1, order)


def _trimmed(x: Tensor, shape: torch.Size) -> Tensor:
    """(N, >= H, >= W, D) -> (N, D, H, W), channels-last; `shape` is that of the input images."""
    return x[:, : shape[2], : shape[3]].permute(0, 3, 1, 2)


def _transform_input(x: Tensor, axis: int, order: tuple[int, ...]) -> Tensor:
    """Input transform along an axis, the transpose of B in the paper: (..., 2n + 2, ...) -> (4, ..., n, ...).

    Every two values and their two neighbours become four numbers.
    """
    count = x.shape[axis] // 2 - 1
    a, b, c, d = (_every_second(x, axis, first, count) for first in range(4))
    result = x.new_empty((4, *a.shape))
    torch.sub(a, c, out=result[order[0]])
    torch.add(b, c, out=result[order[1]])
    torch.sub(c, b, out=result[order[2]])
    torch.sub(b, d, out=result[order[3]])
    return result


def _transform_output(x: Tensor, axis: int, order: tuple[int, ...]) -> Tensor:
    """Output transform along an axis, the transpose of A in the paper: (4, ..., n, ...) -> (..., 2n, ...).

    Every four numbers become two values.
    """
    count = x.shape[axis + 1]
    shape = list(x.shape[1:])
    shape[axis] = 2 * count
    result = x.new_empty(shape)
    a, b, c, d = (x[i] for i in order)
    torch.add(a, b, out=_every_second(result, axis, 0, count)).add_(c)
    torch.sub(b, c, out=_every_second(result, axis, 1, count)).sub_(d)
    return result


def _every_second(x: Tensor, axis: int, first: int, count: int) -> Tensor:
    index = [slice(None)] * x.ndim
    index[axis] = slice(first, first + 2 * count - 1, 2)
    return x[tuple(index)]
