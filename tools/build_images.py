"""Draws the icon and the banner for ComfyUI's registry, and the image in docs/photos.md.

    python tools/build_images.py

All are edits by the demonstration models.
"""

from pathlib import Path

import torch
from PIL import Image

from fice_core import EditSettings, Models, edit, load_models
from fice_core.demo import figures
from fice_core.demo.scenes import scene
from fice_core.images.photo import to_bytes

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def enlarged(image: torch.Tensor, height: int) -> Image.Image:
    """An image (3, H, W) as a square of `height` pixels."""
    picture = Image.fromarray(to_bytes(image))
    return picture.resize((height, height), Image.Resampling.LANCZOS)


def halves(before: torch.Tensor, after: torch.Tensor, size: int) -> Image.Image:
    """The left half of one image beside the right half of the other."""
    picture = enlarged(before, size)
    picture.paste(enlarged(after, size).crop((size // 2, 0, size, size)), (size // 2, 0))
    return picture


def photo(models: Models) -> Image.Image:
    """Two people in a scene, before and after an edit of the larger one."""
    before = scene((600, 800), [(40, 40, 560), (470, 200, 400)], seed=45).image
    after = edit(models, before, "a red striped long sleeve shirt", EditSettings()).images
    pair = Image.new("RGB", (1220, 450), "white")
    for k, images in enumerate((before, after)):
        small = Image.fromarray(to_bytes(images[0])).resize((600, 450), Image.Resampling.LANCZOS)
        pair.paste(small, (620 * k, 0))
    return pair


def main() -> None:
    """Write all three images."""
    models, cast = load_models("demo"), figures()
    photo(models).save(IMAGES / "photo.png")
    result = edit(models, cast.images, cast.prompts, EditSettings())
    halves(cast.images[0], result.images[0], 400).save(IMAGES / "icon.png")
    banner = Image.new("RGB", (1260, 540), "white")
    row = [halves(cast.images[k], result.images[k], 540) for k in (1, 0, 3)]
    for k, picture in enumerate(row):
        banner.paste(picture.crop((60, 0, 480, 540)), (k * 420, 0))
    banner.save(IMAGES / "banner.png")


if __name__ == "__main__":
    main()
