"""Poisson blending: the generated patch keeps its detail and gets the photo's light.

Seamless cloning (Perez et al. 2003, "Poisson image editing", section 3) computes an image with the
gradients of the patch and the border values of the photo. This is the patch plus a membrane: a harmonic
function that equals the difference of the two images along the border. The membrane is smooth, so
multigrid solves for it in a few sweeps at any image size.

Differences at the border spread inwards. An edit mask is the garment, dilated and feathered, so its
border usually runs through pixels where both images show the same, in another light. If the border
crosses different content, such as trousers that came out in another colour, the difference there is an
outlier among those of the whole border. It is then limited and gets a small weight, so it does not spread
inwards. The soft mask hides the rest.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from .laplacian import usual_range

_TOLERANCE = 0.02  # relative to the largest border value; the error is below half a grey level
_MAX_STEPS = 40
_COARSEST = 4  # side of the coarsest grid in pixels
_COARSEST_SWEEPS = 8
_RELAXATIONS = (0.56, 1.39)  # Chebyshev weights of two Jacobi sweeps, for eigenvalues in [0.5, 2]
_MIN_WEIGHT = 1e-3  # of an outlier: it matters only where there is no other border


def blend_gradients(
    generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """`generated` inside the mask, with the photo's colours at the border of the mask.

    The border consists of the pixels with mask 0 that touch the mask. An image that the mask covers
    completely has no border and is only blended by the mask. A constant added to `generated` does not
    change the result, up to clamping to [0, 1].

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        mask: (N, 1, H, W) in [0, 1]; where it is soft, the result is also blended with the photo.

    Returns:
        (N, 3, H, W) in [0, 1] inside the mask; where `mask` is 0, equal to the original bit for bit.

    Raises:
        ValueError: the shapes do not match.
    """
    check_same_size(generated, original, mask)
    result = original.clone()
    for sample, (rows, columns) in edit_boxes(mask, margin=1):
        soft = mask[sample, :, rows, columns]
        photo = original[sample, :, rows, columns]
        patch = generated[sample, :, rows, columns]
        inside = soft > 0
        values, weights = _border((photo - patch).detach(), inside)
        cloned = membrane(values, weights, inside[0], _TOLERANCE).add_(patch).clamp_(0, 1)
        blended = torch.lerp(photo, cloned, soft)
        result[sample, :, rows, columns] = torch.where(inside, blended, photo)
    return result


def _border(difference: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (C, H, W) and weights (H, W) of the border pixels of `inside` (1, H, W); elsewhere 0.

    Differences that deviate from the median by more than a few robust standard deviations are clamped
    to this limit. Their weight falls with their deviation.
    """
    around = (_neighbours(inside.to(difference.dtype)) > 0) & ~inside
    usable = (around & difference.isfinite().all(dim=0, keepdim=True))[0]
    weights = torch.zeros_like(difference[0])
    values = torch.zeros_like(difference)
    if usable.any():
        border = difference[:, usable]
        median, limit = usual_range(border)
        deviation = border - median
        excess = (deviation.abs() / limit).amax(dim=0).clamp_min(1)
        weights[usable] = excess.pow(-4).clamp_min(_MIN_WEIGHT)
        values[:, usable] = median + torch.minimum(torch.maximum(deviation, -limit), limit)
    return values, weights


def membrane(
    values: torch.Tensor,
    weights: torch.Tensor,
    inside: torch.Tensor,
    tolerance: float = 3e-5,
) -> torch.Tensor:
    """Discrete harmonic functions inside a mask with given values around it, (C, H, W).

    Solved by full multigrid (Brandt 1977): on successively finer grids, each starting from the solution
    of the coarser one. On the finest grid, V-cycles are the preconditioner of flexible conjugate
    gradients (Notay 2000), because coarse grids represent a ragged mask only roughly.

    Args:
        values: (C, H, W); only those of the pixels that touch `inside` are used.
        weights: (H, W) >= 0, the strength with which the membrane is tied to these values: 1 as in
            Perez et al., 0 for none.
        inside: (H, W) bool, of any shape and any number of components. At the image's border and where
            a weight is 0, the derivative of the membrane is 0 (Neumann).
        tolerance: the solver stops if no value changes by more than this fraction of the largest value.

    Returns:
        (C, H, W), 0 outside. A component that touches no value has no unique solution; its values are
        between 0 and those of the others.
    """
    within = inside.to(values.dtype)
    around = weights * (1 - within)
    grids = [_Grid.of(within, _neighbours(around) * within)]
    while max(grids[-1].inside.shape) > _COARSEST:
        grids.append(grids[-1].coarser())
    # One channel at a time, to save memory.
    return torch.stack([_solve(grids, around, channel, tolerance) for channel in values])


class _Grid(NamedTuple):
    """The equations at one resolution; all fields are (H, W).

    For each pixel p inside, with neighbours q inside,

        sum over q of (u_p - u_q) + pull_p u_p = force_p

    `pull` is the sum of the weights of the border pixels that touch p, `force` the sum of their weighted
    values.
    """

    inside: torch.Tensor  # 0 or 1
    pull: torch.Tensor
    diagonal: torch.Tensor  # number of neighbours + pull, 0 outside
    inverse: torch.Tensor  # 1 / diagonal, 0 where that is 0

    @classmethod
    def of(cls, inside: torch.Tensor, pull: torch.Tensor) -> "_Grid":
        """The grid of a mask (0 or 1) and the weights of its border."""
        diagonal = (_neighbours(inside) + pull) * inside
        inverse = torch.where(diagonal > 0, 1 / diagonal.clamp_min(1e-12), 0.0)
        return cls(inside, pull, diagonal, inverse)

    def coarser(self) -> "_Grid":
        """The grid at half the resolution; a cell is inside if one of its four pixels is.

        The coupling of two cells is that of two pixels: their edge is twice as wide and twice as long.
        """
        inside = (_block_sums(self.inside) > 0).to(self.inside.dtype)
        return self.of(inside, _block_sums(self.pull))

    def apply(self, solution: torch.Tensor) -> torch.Tensor:
        """The left-hand side of the equations."""
        return _neighbours(solution).mul_(self.inside).neg_().addcmul_(self.diagonal, solution)

    def smooth(self, solution: torch.Tensor | None, force: torch.Tensor) -> torch.Tensor:
        """The solution after two damped Jacobi sweeps; None starts from 0. Pixels outside stay 0."""
        first, second = _RELAXATIONS
        if solution is None:
            solution = torch.mul(self.inverse, force).mul_(first)
        else:
            solution = self._sweep(solution, force, first)
        return self._sweep(solution, force, second)

    def _sweep(
        self, solution: torch.Tensor, force: torch.Tensor, relaxation: float
    ) -> torch.Tensor:
        mean = _neighbours(solution).add_(force).mul_(self.inverse)
        return mean.lerp_(solution, 1 - relaxation)

    def prolong(self, coarse: torch.Tensor) -> torch.Tensor:
        """The values of the next coarser grid, interpolated."""
        height, width = self.inside.shape
        finer = F.interpolate(coarse[None, None], scale_factor=2, mode="bilinear")
        return finer[0, 0, :height, :width].mul_(self.inside)


def _solve(
    grids: list[_Grid], around: torch.Tensor, values: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """The membrane (H, W) for the weights `around` of the border pixels and their values."""
    known = torch.where(around > 0, values, 0.0)
    forces = [_neighbours(around * known) * grids[0].inside]
    for _ in grids[1:]:
        forces.append(_block_sums(forces[-1]))
    solution = _cycle(grids[-1:], forces[-1])
    for level in range(len(grids) - 2, 0, -1):
        solution = _cycle(grids[level:], forces[level], grids[level].prolong(solution))
    if len(grids) > 1:
        solution = grids[0].prolong(solution)
    return _conjugate_gradients(grids, solution, forces[0], tolerance * float(known.abs().max()))


def _conjugate_gradients(
    grids: list[_Grid], solution: torch.Tensor, force: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """The solution, improved until a step changes no value by more than `tolerance`."""
    grid = grids[0]
    residual = force - grid.apply(solution)
    direction, old_slope, old_residual = torch.zeros_like(residual), 1.0, residual
    for _ in range(_MAX_STEPS):
        step = _cycle(grids, residual)
        slope = _dot(step, residual)
        direction = direction.mul_((slope - _dot(step, old_residual)) / old_slope).add_(step)
        applied = grid.apply(direction)
        stiffness = _dot(direction, applied)
        if slope <= 0 or stiffness <= 0:  # only rounding errors are left
            break
        length = _dot(direction, residual) / stiffness
        solution = solution.add_(direction, alpha=length)
        old_residual, old_slope = residual, slope
        residual = residual.sub(applied, alpha=length)
        if abs(length) * float(direction.abs().max()) <= tolerance:
            break
    return solution


def _cycle(
    grids: list[_Grid], force: torch.Tensor, solution: torch.Tensor | None = None
) -> torch.Tensor:
    """The solution after one V-cycle on the first of `grids`; None starts from 0.

    A V-cycle smooths, corrects by the coarser grid's solution for the residual, and smooths again.
    """
    grid = grids[0]
    solution = grid.smooth(solution, force)
    if len(grids) == 1:
        for _ in range(_COARSEST_SWEEPS):
            solution = grid.smooth(solution, force)
        return solution
    residual = _block_sums(force - grid.apply(solution))
    solution = grid.prolong(_cycle(grids[1:], residual)).add_(solution)
    return grid.smooth(solution, force)


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.dot(first.flatten(), second.flatten()))


def _block_sums(values: torch.Tensor) -> torch.Tensor:
    """Sums over blocks of 2 x 2 of (H, W); an odd side is padded with zeros."""
    height, width = values.shape
    padded = F.pad(values[None, None], (0, width % 2, 0, height % 2))
    return F.avg_pool2d(padded, 2, divisor_override=1)[0, 0]


def _neighbours(values: torch.Tensor) -> torch.Tensor:
    """The sum of each pixel's four neighbours, (..., H, W), with zeros beyond the border."""
    total = torch.empty_like(values)
    total[..., :1, :] = 0
    total[..., 1:, :] = values[..., :-1, :]
    total[..., :-1, :] += values[..., 1:, :]
    total[..., :, 1:] += values[..., :, :-1]
    total[..., :, :-1] += values[..., :, 1:]
    return total
