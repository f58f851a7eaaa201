"""DensePose part maps as images: drawn for display, and read from images of other programs."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import FiceError
from ..framing import Frame
from ..networks.densepose import FINE_CHANNELS, UPPER_BODY_LABELS

Palette = Literal["viridis", "grey"]
_MAX_DISTANCE = 0.12  # root mean square RGB distance of the pixels to the palette


def draw_parts(parts: torch.Tensor) -> torch.Tensor:
    """Part maps (N, 14, h, w) as images (N, 3, h, w): one colour per part, weighted by probability."""
    table = _colours("turbo", np.linspace(0.05, 0.95, len(UPPER_BODY_LABELS))).to(parts)
    return torch.einsum("nphw,pc->nchw", parts, table).clamp(0, 1)


def read_labels(images: torch.Tensor, palette: Palette = "viridis") -> torch.Tensor:
    """Labels of the pixels of DensePose images that another program drew.

    Args:
        images: (N, 3, H, W) in [0, 1].
        palette: "viridis", matplotlib's colours at label / 24, as in DensePose's visualiser; or "grey",
            the grey level label or 255 label / 24.

    Returns:
        (N, H, W) int64, 0 for background, else 1..24.

    Raises:
        FiceError: the images do not have the colours of the palette.
    """
    steps = np.floor(255 * np.arange(FINE_CHANNELS) / (FINE_CHANNELS - 1)).astype(int)
    if palette == "viridis":
        table = _colours("viridis", steps)
    else:
        unscaled = float(images.max()) <= (FINE_CHANNELS - 1) / 255 + 1e-3
        levels = np.arange(FINE_CHANNELS) if unscaled else steps
        table = torch.from_numpy(levels / 255)[:, None].expand(-1, 3)
    pixels = images.detach().permute(0, 2, 3, 1)
    distances = torch.stack(
        [(pixels - colour).square().mean(dim=-1) for colour in table.to(images)]
    )
    nearest, labels = distances.min(dim=0)
    if float(nearest.mean().sqrt()) > _MAX_DISTANCE:
        raise FiceError(
            f"this is not a DensePose image in the colours {palette!r}: choose the palette that it was "
            "drawn with, or extract the pose from the photo"
        )
    return labels


def _colours(palette: str, places: NDArray[Any]) -> torch.Tensor:
    """Colours (K, 3) of one of matplotlib's palettes; places are numbers of entries, or in [0, 1]."""
    import matplotlib  # imported here, because it takes long

    return torch.from_numpy(matplotlib.colormaps[palette](places)[:, :3])


def parts_of_labels(labels: torch.Tensor, frame: Frame, size: int) -> torch.Tensor:
    """Part maps (N, 14, size, size) of the frame, from DensePose labels of photos (N, *frame.size)."""
    square = replace(frame, resolution=(size, size))
    channels = [square.fit((labels == part)[:, None].float()) for part in UPPER_BODY_LABELS]
    return torch.cat(channels, dim=1)
