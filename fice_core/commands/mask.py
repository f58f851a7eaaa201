"""`fice mask`: the garment in a photo as a mask, for any inpainter."""

from __future__ import annotations

from typing import Any

import click

from ..files import Output, check_paths
from .console import bar, say, warn
from .names import FILE_NAME
from .options import (
    device_option,
    framing_option,
    garment_option,
    model_inputs,
    models_of,
    models_option,
    overwrite_option,
)
from .outputs import replaced
from .photos import Photos


@click.command("mask")
@click.argument("photo", type=FILE_NAME)
@click.option(
    "-o", "--output", required=True, type=FILE_NAME, metavar="OUT", help="An image file: the mask."
)
@garment_option
@click.option(
    "--reach",
    is_flag=True,
    help="Also where the garment may come to be, such as the arms under a longer sleeve.",
)
@click.option(
    "--grow", type=float, help="How far it extends beyond the garment, as a fraction of the height."
)
@click.option(
    "--feather", type=float, help="Width of its soft border, as a fraction of the height."
)
@framing_option
@models_option
@device_option
@overwrite_option
def command(
    photo: str,
    output: str,
    garment: Any,
    reach: bool,
    grow: float | None,
    feather: float | None,
    framing: Any,
    source: str,
    device: str,
    overwrite: bool,
) -> None:
    """Write the mask of the garment in a photo, white on black, for an inpainter of any program."""
    from ..settings import MaskSettings

    given = {"garment": garment, "mask_dilation": grow, "mask_feather": feather}
    settings = MaskSettings(**{name: value for name, value in given.items() if value is not None})
    existing = check_paths([Output(output, "-o")], [photo, *model_inputs(source, None)])
    from ..images.photo import check_size, write_image

    photos = Photos()
    pixels = photos.read(photo).pixels[None]
    check_size(output, (pixels.shape[-2], pixels.shape[-1]))
    for line in (*replaced(existing, overwrite), *photos.notes):
        warn(line)
    from ..bridges.garment_area import Networks, garment_area

    models = models_of(source, None, device)
    with bar("looking for the garment"):
        networks = Networks(models.generator, models.densepose, models.segmenter)
        mask = garment_area(networks, pixels, settings, reach, framing or "auto")
    write_image(output, mask[0].expand(3, -1, -1))
    say(f"{output}: {float((mask > 0).float().mean()):.1%} of the image")
