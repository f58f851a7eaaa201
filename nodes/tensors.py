"""ComfyUI's IMAGE and MASK to the engine's tensors and back, and checks of what arrives."""

from typing import Any

import torch
from comfy import model_management

from ..fice_core.errors import FiceError
from ..fice_core.framing import Frame
from ..fice_core.latents import check_latent, generator_id
from ..fice_core.ops.autograd import without_grad
from ..fice_core.ops.resize import resize
from .sockets import LatentValue, Loaded


def from_image(image: torch.Tensor, device: torch.device | str = "cpu") -> torch.Tensor:
    """IMAGE (N, H, W, C) -> (N, 3, H, W) float32 in [0, 1], a copy outside of inference mode.

    Grey becomes RGB. Transparent pixels are put over white.

    Raises:
        FiceError: no image, not 1, 3 or 4 channels, or NaN.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise FiceError(
            f"an IMAGE has shape {tuple(image.shape)}, but must be (images, height, width, 3)"
        )
    with without_grad():
        pixels = image.clone().to(device, torch.float32).movedim(-1, 1)
        bad = int((~pixels.isfinite()).sum())
        if bad:
            raise FiceError(
                f"an IMAGE has {bad} values that are NaN or infinite: check the node that it comes from"
            )
        pixels = pixels.clamp(0, 1)
        if pixels.shape[1] == 4:
            pixels = 1 - pixels[:, 3:] * (1 - pixels[:, :3])
        return pixels.expand(-1, 3, -1, -1).contiguous()


def to_image(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) -> IMAGE (N, H, W, 3) in [0, 1], on ComfyUI's device for results."""
    home = model_management.intermediate_device()
    return images.detach().clamp(0, 1).movedim(1, -1).contiguous().to(home, torch.float32)


def from_mask(
    mask: torch.Tensor, size: tuple[int, int] | None = None, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """MASK (N, H, W) or (H, W) -> (N, 1, *size) float32 in [0, 1], resized to `size` if given.

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
            raise FiceError(
                "a MASK has values that are NaN or infinite: check the node that it comes from"
            )
        values = values.clamp(0, 1)
        return values if size is None or values.shape[2:] == size else resize(values, size)


def to_mask(mask: torch.Tensor) -> torch.Tensor:
    """(N, 1, H, W) -> MASK (N, H, W), on ComfyUI's device for results."""
    home = model_management.intermediate_device()
    return mask.detach()[:, 0].contiguous().to(home, torch.float32)


def framed(image: torch.Tensor, generator: Loaded[Any]) -> tuple[Frame, torch.Tensor]:
    """IMAGE -> the frame of the whole photos, and the framed photos (N, 3, *resolution) on the CPU."""
    photos = from_image(image)
    frame = Frame.around((photos.shape[2], photos.shape[3]), generator.network.resolution)
    with without_grad():
        return frame, frame.fit(photos)


def frame_of(photos: torch.Tensor, generated: torch.Tensor) -> Frame:
    """The frame of whole photos (N, 3, H, W) at the resolution of generated images (N, 3, h, w)."""
    return Frame.around(
        (photos.shape[2], photos.shape[3]), (generated.shape[2], generated.shape[3])
    )


def require_some(mask: torch.Tensor, name: str) -> None:
    """Raise FiceError if a mask is 0 everywhere in every image."""
    if not bool((mask > 0).any()):
        raise FiceError(
            f"{name} is empty, so nothing may change: paint one or disconnect it (Load Image "
            "gives an empty mask for an image without transparency)"
        )


def require_same_generator(latent: LatentValue, generator: Loaded[Any]) -> None:
    """Raise FiceError if the codes were made with another generator."""
    check_latent(latent.w_plus, generator.network)
    if latent.generator != generator_id(generator.network):
        raise FiceError(
            "the latent was made with another generator: connect that generator, or make a new latent"
        )
