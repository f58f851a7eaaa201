"""What an edit gives back."""

from dataclasses import dataclass

import torch

from ..framing import Frame
from ..inversion.result import StopReason
from ..inversion.trace import Trace


@dataclass(frozen=True)
class EditResult:
    """Edited pictures and how they came about. Pictures are on the device of the input.

    Attributes:
        images: the edited photos, at their own size, (N, 3, H, W).
        generated: the generator's pictures before stitching, (N, 3, *generator.resolution).
        initial: what the generator made of the photos before the edit, refined and tuned if asked for;
            the same shape.
        w_plus: the codes of `generated`, (N, num_ws, w_dim); with `tune_steps`, of a tuned generator
            that is gone.
        edit_mask: where the photo was changed, at its own size, (N, 1, H, W) in [0, 1]; where it is 0,
            `images` is the photo bit for bit.
        frames: which part of each photo the generator saw.
        trace: every loss at every step, and of the refinement and the tuning if asked for.
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
    """Ctrl-C during the optimisation. `result` is the edit as far as it had come."""

    def __init__(self, result: EditResult) -> None:
        super().__init__("interrupted")
        self.result = result
