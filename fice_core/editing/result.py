"""The result of an edit."""

from dataclasses import dataclass

import torch

from ..framing import Frame
from ..inversion.result import StopReason
from ..inversion.trace import Trace


@dataclass(frozen=True)
class EditResult:
    """Edited photos and how they were made. Tensors are on the device of the input.

    Attributes:
        images: the edited photos, at their own size, (N, 3, H, W).
        generated: the generator's images before stitching, (N, 3, *generator.resolution).
        initial: the generator's images of the photos before the edit, after refinement and tuning; the
            same shape.
        w_plus: the codes of `generated`, (N, num_ws, w_dim). With `tune_steps` they belong to tuned
            generators that are released.
        edit_mask: where the photo changed, at its own size, (N, 1, H, W) in [0, 1]. Where it is 0,
            `images` is the photo bit for bit.
        frames: the part of each photo that the generator saw.
        trace: every loss at every step, also of the refinement and the tuning.
        warnings: one line each.
        steps: optimisation steps taken.
        stopped: why the loop ended, see `InversionResult`.
    """

    images: torch.Tensor
    generated: torch.Tensor
    initial: torch.Tensor
    w_plus: torch.Tensor
    edit_mask: torch.Tensor
    frames: tuple[Frame, ...]
    trace: Trace
    warnings: tuple[str, ...]
    steps: int
    stopped: StopReason


class EditInterrupted(KeyboardInterrupt):
    """Ctrl-C during the optimisation. `result` is the edit so far."""

    def __init__(self, result: EditResult) -> None:
        super().__init__("interrupted")
        self.result = result
