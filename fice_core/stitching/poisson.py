"""Stitching in the gradient domain: the generated patch keeps its own detail and takes the photo's light.

Seamless cloning (Perez et al. 2003, "Poisson image editing", section 3) asks for a picture whose
gradients are the patch's and whose border is the photo's. That is the patch plus a membrane: a function
without curvature inside that equals the difference of the two pictures along the border. The membrane is
solved for, because it is smooth: multigrid reaches any picture size in a few sweeps.

Whatever differs at the border flows inwards, so the border decides what the method is good for. An edit
mask here is the garment, dilated and feathered: its border runs through what both pictures show, and the
difference there is light and colour, not content. Where it is content all the same (the border crosses
trousers that came out in another colour), the difference is an outlier among those of the whole border.
It is then limited and hardly counted, so that nothing bleeds in; the soft mask hides what remains.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..ops.patches import check_same_size, edit_boxes
from .laplacian import usual_range

_TOLERANCE = 0.02  # of the largest border value; leaves less than half a grey level of error
_MOST_STEPS = 40
_COARSEST = 4  # pixels a side, below which the grid is not coarsened any more
_COARSEST_SWEEPS = 8
_RELAXATIONS = (0.56, 1.39)  # Chebyshev weights of two Jacobi sweeps, for eigenvalues in [0.5, 2]
_LEAST_WEIGHT = 1e-3  # of an outlier: it decides only where there is nothing else


def blend_gradients(
    generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """`generated` inside the mask, brought smoothly to the photo's colours at the mask's border.

    The border values are those of the kept pixels (mask 0) that touch the mask. A picture that is
    masked altogether has no border and is only feathered. A constant added to `generated` makes no
    difference, up to the limits of [0, 1].

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        mask: (N, 1, H, W) in [0, 1]; where it is soft, the result is also faded into the photo.

    Returns:
        (N, 3, H, W) in [0, 1] inside the mask; where `mask` is 0 the original bit for bit.

    Raises:
        ValueError: shapes do not agree.
    """
    check_same_size(generated, original, mask)
    result = original.clone()
    for sample, (rows, columns) in edit_boxes(mask, margin=1):
        soft = mask[sample, :, rows, columns]
        photo = original[sample, :, rows, columns]
        patch = generated[sample, :, rows, columns]
        inside = soft > 0
        values, weights = _border((photo - patch).detach(), inside)
        lit = membrane(values, weights, inside[0], _TOLERANCE).add_(patch).clamp_(0, 1)
        faded = torch.lerp(photo, lit, soft)
        result[sample, :, rows, columns] = torch.where(inside, faded, photo)
    return result


def _border(difference: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (C, H, W) and weights (H, W) of the pixels around `inside` (1, H, W), outliers limited.

    Differences farther from the median than a few robust standard deviations are pulled to that
    limit, and weigh the less the farther they were. Elsewhere both are 0.
    """
    around = (_neighbours(inside.to(difference.dtype)) > 0) & ~inside
    usable = (around & difference.isfinite().all(dim=0, keepdim=True))[0]
    weights = torch.zeros_like(difference[0])
    values = torch.zeros_like(difference)
    if usable.any():
        found = difference[:, usable]
        middle, limit = usual_range(found)
        deviation = found - middle
        excess = (deviation.abs() / limit).amax(dim=0).clamp_min(1)
        weights[usable] = excess.pow(-4).clamp_min(_LEAST_WEIGHT)
        values[:, usable] = middle + torch.minimum(torch.maximum(deviation, -limit), limit)
    return values, weights


def membrane(
    values: torch.Tensor,
    weights: torch.Tensor,
    inside: torch.Tensor,
    tolerance: float = 3e-5,
) -> torch.Tensor:
    """The discrete harmonic functions inside that take the given values around it.

    Full multigrid (Brandt 1977): the problem is solved on ever finer grids, each starting from the
    coarser one's solution. On the finest, V-cycles precondition conjugate gradients (flexible ones,
    Notay 2000), since coarse grids know a ragged mask only roughly.

    Args:
        values: (C, H, W); only those of the pixels that touch `inside` count.
        weights: (H, W) >= 0, how firmly the membrane is tied to these values: 1 as in Perez et al.,
            0 not at all.
        inside: (H, W) bool, of any shape and any number of components. At the picture's end and where
            a weight is 0, the membrane is level (Neumann).
        tolerance: stop once a step changes nothing by more than this part of the largest value.

    Returns:
        (C, H, W), 0 outside. A component that touches no value has no solution of its own; it gets
        something between 0 and the values of the others.
    """
    within = inside.to(values.dtype)
    around = weights * (1 - within)
    grids = [_Grid.of(within, _neighbours(around) * within)]
    while max(grids[-1].inside.shape) > _COARSEST:
        grids.append(grids[-1].coarser())
    # One channel after the other, to need the memory of one.
    return torch.stack([_solve(grids, around, channel, tolerance) for channel in values])


class _Grid(NamedTuple):
    """One resolution of the problem, all (H, W). For each pixel p inside, with neighbours q inside,

        sum over q of (u_p - u_q) + pull_p u_p = force_p

    `pull` sums the weights of the border pixels that touch p, `force` their weighted values.
    """

    inside: torch.Tensor  # 0 or 1
    pull: torch.Tensor
    diagonal: torch.Tensor  # number of neighbours + pull, 0 outside
    inverse: torch.Tensor  # 1 / diagonal, 0 where that is 0

    @classmethod
    def of(cls, inside: torch.Tensor, pull: torch.Tensor) -> "_Grid":
        diagonal = (_neighbours(inside) + pull) * inside
        inverse = torch.where(diagonal > 0, 1 / diagonal.clamp_min(1e-12), 0.0)
        return cls(inside, pull, diagonal, inverse)

    def coarser(self) -> "_Grid":
        """Half the resolution: a cell is inside where any of its four pixels is.

        An edge between cells is as strong as one between pixels: twice as wide, twice as long.
        """
        inside = (_block_sums(self.inside) > 0).to(self.inside.dtype)
        return self.of(inside, _block_sums(self.pull))

    def apply(self, solution: torch.Tensor) -> torch.Tensor:
        """The left side of the equations."""
        return _neighbours(solution).mul_(self.inside).neg_().addcmul_(self.diagonal, solution)

    def smooth(self, solution: torch.Tensor | None, force: torch.Tensor) -> torch.Tensor:
        """Two damped Jacobi sweeps, from 0 if there is no solution yet; what is 0 outside stays so."""
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
        """The next coarser grid's values, interpolated."""
        height, width = self.inside.shape
        finer = F.interpolate(coarse[None, None], scale_factor=2, mode="bilinear")
        return finer[0, 0, :height, :width].mul_(self.inside)


def _solve(
    grids: list[_Grid], around: torch.Tensor, values: torch.Tensor, tolerance: float
) -> torch.Tensor:
    """The membrane (H, W) for border pixels `around`, which holds their weights, and their values."""
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
    grids: list[_Grid], solution: torch.Tensor, force: torch.Tensor, enough: float
) -> torch.Tensor:
    grid = grids[0]
    residual = force - grid.apply(solution)
    direction, old_slope, old_residual = torch.zeros_like(residual), 1.0, residual
    for _ in range(_MOST_STEPS):
        step = _cycle(grids, residual)
        slope = _dot(step, residual)
        direction = direction.mul_((slope - _dot(step, old_residual)) / old_slope).add_(step)
        applied = grid.apply(direction)
        stiffness = _dot(direction, applied)
        if slope <= 0 or stiffness <= 0:  # nothing is left but rounding
            break
        length = _dot(direction, residual) / stiffness
        solution = solution.add_(direction, alpha=length)
        old_residual, old_slope = residual, slope
        residual = residual.sub(applied, alpha=length)
        if abs(length) * float(direction.abs().max()) <= enough:
            break
    return solution


def _cycle(
    grids: list[_Grid], force: torch.Tensor, solution: torch.Tensor | None = None
) -> torch.Tensor:
    """One V-cycle on the first of `grids`: smooth, correct by the coarser grid's answer to what is left,
    smooth; from 0 if there is no solution yet."""
    grid = grids[0]
    solution = grid.smooth(solution, force)
    if len(grids) == 1:
        for _ in range(_COARSEST_SWEEPS):
            solution = grid.smooth(solution, force)
        return solution
    left = _block_sums(force - grid.apply(solution))
    solution = grid.prolong(_cycle(grids[1:], left)).add_(solution)
    return grid.smooth(solution, force)


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.dot(first.flatten(), second.flatten()))


def _block_sums(values: torch.Tensor) -> torch.Tensor:
    """Sums over blocks of 2 x 2 of (H, W); an odd side is continued by zeros."""
    height, width = values.shape
    padded = F.pad(values[None, None], (0, width % 2, 0, height % 2))
    return F.avg_pool2d(padded, 2, divisor_override=1)[0, 0]


def _neighbours(values: torch.Tensor) -> torch.Tensor:
    """The sum of each pixel's four neighbours, (..., H, W); nothing lies beyond the ends."""
    total = torch.empty_like(values)
    total[..., :1, :] = 0
    total[..., 1:, :] = values[..., :-1, :]
    total[..., :-1, :] += values[..., 1:, :]
    total[..., :, 1:] += values[..., :, :-1]
    total[..., :, :-1] += values[..., :, 1:]
    return total
