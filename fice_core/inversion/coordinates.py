"""The coordinates of the codes in which Adam takes its steps."""

from typing import Protocol

import torch


class Coordinates(Protocol):
    """Codes (N, num_ws, w_dim), as a function of the parameter that Adam moves."""

    parameter: torch.Tensor

    def codes(self) -> torch.Tensor:
        """The current codes, without a graph."""

    def set_gradient(self, gradient: torch.Tensor) -> None:
        """Set the gradient of the parameter from the gradient with respect to the codes."""


class PlainCoordinates:
    """The components of w themselves, as in the paper."""

    def __init__(self, start: torch.Tensor) -> None:
        self.parameter = start.clone().requires_grad_()

    def codes(self) -> torch.Tensor:
        return self.parameter.detach()

    def set_gradient(self, gradient: torch.Tensor) -> None:
        self.parameter.grad = gradient


class WhitenedCoordinates:
    """w_i = start_i + (common + freedom * own_i) @ spread, for layer i; Adam moves `common` and `own`.

    Args:
        start: codes, (N, num_ws, w_dim).
        spread: of W, symmetric, see `LatentStatistics`, (w_dim, w_dim).
        freedom: size of a layer's own part relative to the common one.
    """

    def __init__(self, start: torch.Tensor, spread: torch.Tensor, freedom: float) -> None:
        self._start = start
        self._spread = spread
        self._freedom = freedom
        count, layers, width = start.shape
        self.parameter = start.new_zeros(count, 1 + layers, width).requires_grad_()

    def codes(self) -> torch.Tensor:
        common, own = self.parameter.detach().split([1, self._start.shape[1]], dim=1)
        moved: torch.Tensor = (common + self._freedom * own) @ self._spread
        return self._start + moved

    def set_gradient(self, gradient: torch.Tensor) -> None:
        own = gradient @ self._spread  # symmetric
        common = own.sum(dim=1, keepdim=True)
        self.parameter.grad = torch.cat([common, self._freedom * own], dim=1)
