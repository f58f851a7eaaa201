"""Networks in ComfyUI's memory management, and on the device that computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher

from ..fice_core.ops.autograd import without_grad
from ..fice_core.settings import ComputeSettings
from .sockets import Loaded

_Network = TypeVar("_Network")
# Memory of one optimisation step beside the weights, as measured with full-size networks:
# a constant part, and one for every pixel on the graph.
_STEP_BYTES, _PIXEL_BYTES = 300 * 2**20, 12_000


def manage(load: Callable[[], _Network]) -> Loaded[Any]:
    """Load a network outside of inference mode and register it with ComfyUI's memory management."""
    with torch.inference_mode(False):
        network = load()
        # Not CoreModelPatcher: it may page weights in and out, which breaks gradients.
        patcher = ModelPatcher(
            network,
            load_device=model_management.get_torch_device(),
            offload_device=model_management.unet_offload_device(),
        )
        # A copy of a network that ComfyUI has loaded carries its marks and lies on the device.
        patcher.detach()
    return Loaded(network, patcher)


@contextmanager
def on_device(*loaded: Loaded[Any], pixels: int = 0, more: int = 0) -> Iterator[torch.device]:
    """Bring networks to the device that computes, outside of ComfyUI's inference mode.

    Args:
        loaded: all networks that are used at once.
        pixels: number of pixels of all images on the graph at once; memory for them is freed.
        more: further bytes to free.

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
            each.network.to(device)  # with --novram ComfyUI leaves some on the CPU
        yield device


def pixels_at_once(generator: Loaded[Any], settings: ComputeSettings, edits: int) -> int:
    """Number of pixels of the generated images that the optimisation has on the graph."""
    height, width = generator.network.resolution
    return int(min(edits, settings.max_batch) * height * width)
