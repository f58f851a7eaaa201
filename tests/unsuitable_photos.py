"""Images that an edit cannot suit, drawn or from packages; none is a file of this project."""

from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw

from fice_core.checkpoints import load_densepose, save
from fice_core.demo import figure
from fice_core.models import DEMO_WEIGHTS


def drawing() -> Image.Image:
    """A person as a child draws one."""
    image = Image.new("RGB", (400, 500), (250, 240, 220))
    draw = ImageDraw.Draw(image)
    green, skin = (60, 140, 90), (255, 220, 180)
    draw.polygon([(120, 200), (280, 200), (300, 420), (100, 420)], fill=green, outline="black")
    draw.ellipse((140, 60, 260, 200), fill=skin, outline="black", width=3)
    draw.pieslice((135, 50, 265, 180), 180, 360, fill=(120, 60, 20))
    for left in (170, 215):
        draw.ellipse((left, 120, left + 15, 140), fill="black")
    draw.arc((175, 140, 225, 180), 20, 160, fill="red", width=4)
    for left in (60, 290):
        draw.rectangle((left, 210, left + 50, 380), fill=green, outline="black")
    return image


def landscape() -> Image.Image:
    """Hills under a sky."""
    y, x = np.mgrid[0:400, 0:600]
    pixels = np.stack([120 + y * 0.2, 170 + y * 0.15, 235 - y * 0.1], -1)
    pixels[y > 220 + 40 * np.sin(x / 70)] = 70, 120, 50
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def photograph() -> Image.Image:
    """A photograph of a person, scikit-image's."""
    return Image.fromarray(skimage.data.astronaut())


def known() -> Image.Image:
    """An image that the demonstration models know."""
    pixels = figure(710)[0][0].movedim(0, -1) * 255 + 0.5
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def write_densepose_of_backs(path: Path) -> None:
    """The demonstration's DensePose with chest and back exchanged: it sees its figures from behind."""
    network = load_densepose(DEMO_WEIGHTS / "densepose.safetensors")
    predictor = network.roi_heads.densepose_predictor.index_uv_lowres
    exchanged = [0, 2, 1, *range(3, 25)]
    with torch.no_grad():
        predictor.weight.copy_(predictor.weight[:, exchanged].clone())
        predictor.bias.copy_(predictor.bias[exchanged].clone())
    save(network, path)
