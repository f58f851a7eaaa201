"""What ComfyUI asks of a node: memory management, tensor layout, progress, cancel."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import comfy.utils
import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from PIL import Image
from server import PromptServer

from ..fice_core.errors import FiceError
from ..fice_core.inversion.result import Step
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.resize import resize
from .sockets import Loaded

log = logging.getLogger(__name__)

_Network = TypeVar("_Network")
# Memory of one optimisation step beside the weights, as measured with full-size networks:
# a part that is always there, and one for every pixel on the graph.
_STEP_BYTES, _PIXEL_BYTES = 300 * 2**20, 12_000
_REDRAW_SECONDS = 0.5  # between previews: each is enlarged and compressed beside the optimisation
_SHOWN_PICTURES = 4


def manage(load: Callable[[], _Network]) -> Loaded[Any]:
    """Load a network, outside of inference mode, and give it to ComfyUI to move about."""
    with torch.inference_mode(False):
        network = load()
        # Not CoreModelPatcher: it may page weights in and out, which no gradient could flow through.
        patcher = ModelPatcher(
            network,
            load_device=model_management.get_torch_device(),
            offload_device=model_management.unet_offload_device(),
        )
        # A copy of a network that ComfyUI has loaded bears its marks, and lies on the device.
        patcher.detach()
    return Loaded(network, patcher)


@contextmanager
def on_device(*loaded: Loaded[Any], pixels: int = 0, more: int = 0) -> Iterator[torch.device]:
    """Bring networks to the device on which to compute, out of ComfyUI's inference mode.

    Args:
        loaded: all networks that are needed at once.
        pixels: of all pictures on the graph at once; so much memory is freed.
        more: bytes that are needed beside that.

    Yields:
        The device.
    """
    with without_grad():
        model_management.load_models_gpu(
            [each.patcher for each in loaded],
            memory_required=_STEP_BYTES + _PIXEL_BYTES * pixels + more,
            force_full_load=True,
        )
        device: torch.device = loaded[0].patcher.load_device
        for each in loaded:
            each.network.to(device)  # with --novram some stay behind all the same
        yield device


def check_cancelled() -> None:
    """Raise ComfyUI's own exception if the user pressed cancel."""
    model_management.throw_exception_if_processing_interrupted()


def from_image(image: torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """IMAGE (N, H, W, C) -> (N, 3, H, W) float32 in [0, 1], a copy outside of inference mode.

    Grey becomes RGB, and transparent pixels are laid over white.

    Raises:
        FiceError: no picture, not 1, 3 or 4 channels, or NaN.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise FiceError(
            f"an IMAGE has shape {tuple(image.shape)}, but must be (pictures, height, width, 3)"
        )
    with without_grad():
        pixels = image.clone().to(device, torch.float32).movedim(-1, 1)
        bad = int((~pixels.isfinite()).sum())
        if bad:
            raise FiceError(
                f"an IMAGE holds {bad} values that are NaN or infinite: look at the node it comes from"
            )
        pixels = pixels.clamp(0, 1)
        if pixels.shape[1] == 4:
            pixels = 1 - pixels[:, 3:] * (1 - pixels[:, :3])
        return pixels.expand(-1, 3, -1, -1).contiguous()


def to_image(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) -> IMAGE (N, H, W, 3) in [0, 1] where ComfyUI keeps what goes between nodes."""
    home = model_management.intermediate_device()
    return images.detach().clamp(0, 1).movedim(1, -1).contiguous().to(home, torch.float32)


def from_mask(
    mask: torch.Tensor, size: tuple[int, int] | None = None, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """MASK (N, H, W) or (H, W) -> (N, 1, *size) float32 in [0, 1], stretched to `size` if given.

    Raises:
        FiceError: no mask, or NaN.
    """
    if mask.ndim == 4 and 1 in (mask.shape[1], mask.shape[-1]):  # some packs add a channel
        mask = mask.squeeze(1) if mask.shape[1] == 1 else mask.squeeze(-1)
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or 0 in mask.shape:
        raise FiceError(f"a MASK has shape {tuple(mask.shape)}, but must be (masks, height, width)")
    with without_grad():
        values = mask.clone().to(device, torch.float32)[:, None]
        if not bool(values.isfinite().all()):
            raise FiceError("a MASK holds values that are NaN or infinite")
        values = values.clamp(0, 1)
        return values if size is None or values.shape[2:] == size else resize(values, size)


def to_mask(mask: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W) -> MASK (N, H, W) where ComfyUI keeps what goes between nodes."""
    home = model_management.intermediate_device()
    return mask.detach()[:, 0].contiguous().to(home, torch.float32)


def require_some(mask: torch.Tensor, name: str) -> None:
    """Raise FiceError if a mask is 0 everywhere in every picture."""
    if not bool((mask > 0).any()):
        raise FiceError(
            f"{name} is empty, so nothing may change: paint one or leave the input open (Load Image "
            "gives an empty mask for a picture without transparency)"
        )


def tell(node_id: str, lines: Sequence[str]) -> None:
    """Show text on the node and in the log, where it says what the user should know."""
    for line in lines:
        log.warning("FICE: %s", line)
    if lines:
        show(node_id, "\n".join(lines))


def show(node_id: str, text: str) -> None:
    """Text on the node, in place of what it showed before."""
    server = PromptServer.instance
    if server is not None:
        server.send_progress_text(text, node_id)


class Progress:
    """`on_step` of an inversion: bar, live pictures and losses on the node, and cancel."""

    def __init__(self, node_id: str, steps: int) -> None:
        self._node_id = node_id
        self._bar = comfy.utils.ProgressBar(steps, node_id=node_id)
        self._drawn = 0.0

    def __call__(self, step: Step) -> None:
        check_cancelled()
        done, preview = step.index + 1, None
        if done == step.steps or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            row = step.preview[:_SHOWN_PICTURES]
            # ComfyUI enlarges the picture until its longer side has the last of these
            preview = ("JPEG", _side_by_side(row), max(512, 256 * len(row)))
            terms = "  ".join(f"{name} {value:.4f}" for name, value in step.losses.items())
            show(self._node_id, f"step {done} of {step.steps}\n{terms}")
            self._drawn = time.monotonic()
        self._bar.update_absolute(done, step.steps, preview)


def _side_by_side(images: torch.Tensor) -> Image.Image:
    """Pictures (N, 3, H, W) in [0, 1] in a row."""
    row = torch.cat(list(images), dim=-1)
    return Image.fromarray((row.movedim(0, -1) * 255 + 0.5).to(torch.uint8).numpy())
