"""What a node shows while it runs: progress bar, previews, text; and ComfyUI's cancel button."""

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.utils
import torch
from comfy import model_management
from PIL import Image
from server import PromptServer

from ..fice_core.errors import FiceError, FiceWarning
from ..fice_core.inversion.result import Phase, Step
from ..fice_core.inversion.trace import Trace
from .sockets import TraceValue

log = logging.getLogger(__name__)

_REDRAW_SECONDS = 0.5  # between previews: ComfyUI enlarges and compresses each of them
_PREVIEW_IMAGES = 4
# What precedes the number of the step.
_PHASES: dict[Phase, str] = {
    "search": "searching the photo's code: ",
    "refine": "fitting the code: ",
    "tune": "fitting the generator: ",
    "start": "looking for a start: ",
    "edit": "",
}


def check_cancelled() -> None:
    """Raise ComfyUI's own exception if the user pressed cancel."""
    model_management.throw_exception_if_processing_interrupted()


def tell(node_id: str, lines: Sequence[str], logged: Sequence[str] = ()) -> None:
    """Show warnings on the node, and write those to the log that are not there yet."""
    for line in lines:
        if line not in logged:
            log.warning("FICE: %s", line)
    if lines:
        show(node_id, "\n".join(lines))


@contextmanager
def telling(node_id: str) -> Iterator[None]:
    """A block whose warnings of this project, such as an assumed setting, are told as `tell` does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        yield
    lines = [str(one.message) for one in caught if issubclass(one.category, FiceWarning)]
    for one in caught:
        if not issubclass(one.category, FiceWarning):
            warnings.showwarning(one.message, one.category, one.filename, one.lineno)
    tell(node_id, list(dict.fromkeys(lines)))


def show(node_id: str, text: str) -> None:
    """Show text on the node, in place of the text before."""
    server = PromptServer.instance
    if server is not None:
        server.send_progress_text(text, node_id)


class Progress:
    """`on_step` of an inversion: progress bar, preview and losses on the node, and cancel."""

    def __init__(self, node_id: str, steps: int) -> None:
        self._node_id = node_id
        self._bar = comfy.utils.ProgressBar(steps, node_id=node_id)
        self._drawn = 0.0

    def __call__(self, step: Step) -> None:
        check_cancelled()
        done, preview = step.index + 1, None
        if done == step.steps or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            row = step.preview[:_PREVIEW_IMAGES]
            # ComfyUI enlarges the preview until its longer side has this many pixels.
            preview = ("JPEG", _side_by_side(row), max(512, 256 * len(row)))
            terms = "  ".join(f"{name} {value:.4f}" for name, value in step.losses.items())
            show(self._node_id, f"{_PHASES[step.phase]}step {done} of {step.steps}\n{terms}")
            self._drawn = time.monotonic()
        self._bar.update_absolute(done, step.steps, preview)


class PreviewRecorder:
    """`on_step` of an inversion that also keeps images of evenly spaced steps.

    Args:
        follow: is called at every step too.
        steps: number of steps of the inversion.
        frames: number of steps to keep images of.
        phase: the phase whose steps these are; those of other phases are only passed on.
    """

    def __init__(self, follow: Progress, steps: int, frames: int, phase: Phase = "edit") -> None:
        self._follow = follow
        self._phase = phase
        self._wanted = set(torch.linspace(0, steps - 1, min(frames, steps)).round().int().tolist())
        self._kept: dict[int, torch.Tensor] = {}

    def __call__(self, step: Step) -> None:
        if step.phase == self._phase and step.index in self._wanted:
            pixels = step.preview.movedim(1, -1) * 255 + 0.5
            self._kept[step.index] = pixels.to(torch.uint8)
        self._follow(step)

    def trace_of(self, trace: Trace) -> TraceValue:
        """The trace together with the images that were kept."""
        kept = [*self._kept.values()]
        frames = torch.stack(kept) if kept else torch.zeros(0, dtype=torch.uint8)
        return TraceValue(trace, frames, tuple(self._kept))


def recorder_of(hidden: Any, steps: int, frames: int, phase: Phase = "edit") -> PreviewRecorder:
    """`on_step` of a node, which keeps images of `frames` steps.

    Args:
        hidden: the hidden inputs of the node, with `prompt` and `unique_id`.
        steps, frames, phase: see `PreviewRecorder`.

    Raises:
        FiceError: *Trace Frames* waits for images and none will be kept; said before the work.
    """
    waiting = [
        node
        for node in (hidden.prompt or {}).values()
        if node["class_type"] == "FICE_TraceFrames"
        and node["inputs"].get("trace", [None])[0] == hidden.unique_id
    ]
    if waiting and not frames:
        raise FiceError(
            "frames is 0, but Trace Frames waits for images of this node: set frames above 0, or disconnect "
            "Trace Frames"
        )
    return PreviewRecorder(Progress(hidden.unique_id, steps), steps, frames, phase)


def _side_by_side(images: torch.Tensor) -> Image.Image:
    """Images (N, 3, H, W) in [0, 1] in one row."""
    row = torch.cat(list(images), dim=-1)
    return Image.fromarray((row.movedim(0, -1) * 255 + 0.5).to(torch.uint8).numpy())
