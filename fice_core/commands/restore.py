"""`fice restore`: an edit that another program made, brought back to its photo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..errors import FiceError
from ..files import Output, check_paths
from .console import bar, say, warn
from .names import FILE_NAME
from .options import device_option, garment_option, overwrite_option, seed_option
from .photos import mask_of_size

if TYPE_CHECKING:
    from torch import Tensor

    from ..extraction.anatomy import BodyRegions


@click.command("restore")
@click.argument("photo", type=FILE_NAME)
@click.argument("edited", type=FILE_NAME)
@click.option("-o", "--output", required=True, type=FILE_NAME, metavar="OUT", help="An image file.")
@click.option(
    "--mask",
    type=FILE_NAME,
    metavar="FILE",
    help="An image of the photo's size that is white where the photo may change.  "
    "[default: where the two differ]",
)
@click.option(
    "--stitch",
    type=click.Choice(["mask", "pyramid", "gradient"]),
    help="How the edit joins the photo: by a soft border, by a Laplacian pyramid, or in the gradient "
    "domain.  [default: pyramid]",
)
@click.option(
    "--feather",
    type=float,
    help="Soft border inside the mask of --mask, as a fraction of the height.  [default: 0.003]",
)
@click.option(
    "--least-confidence",
    type=float,
    help="Refuse images that match less than that, 0 to 1.  [default: 0.25]",
)
@garment_option
@click.option(
    "--models",
    "source",
    type=FILE_NAME,
    metavar="demo|DIR",
    help="A folder with DensePose and segmenter: the garment they find in the photo joins a mask that is "
    "found, and head and hands stay.  [default: no networks]",
)
@device_option
@seed_option
@click.option(
    "--report", type=FILE_NAME, metavar="FILE.json", help="Write shift, zoom and confidence here."
)
@overwrite_option
def command(
    photo: str,
    edited: str,
    output: str,
    mask: str | None,
    stitch: str | None,
    feather: float | None,
    least_confidence: float | None,
    garment: str | None,
    source: str | None,
    device: str,
    seed: int | None,
    report: str | None,
    overwrite: bool,
) -> None:
    """Bring the edit EDITED of PHOTO back to it: only the garment is new.

    EDITED may come from any program and have any size. Its shift, zoom, stretch and small rotation are
    found and undone, its tone and grain are matched, and outside the garment OUT equals PHOTO bit for
    bit. Two images that do not match are refused.
    """
    outputs = [Output(output, "-o")] + ([Output(report, "--report")] if report else [])
    inputs = [photo, edited, *([mask] if mask else [])]
    existing = check_paths(outputs, inputs)
    if mask and source:
        raise FiceError("--models finds a mask and --mask gives one: leave one of them out")
    from ..bridges.restore import RestoreSettings, restore
    from ..files import write_json
    from ..images.photo import check_size, losses, read_photo, write_photo

    given: dict[str, Any] = {
        "stitch": stitch,
        "feather": feather,
        "least_confidence": least_confidence,
        "garment": garment,
        "seed": seed,
    }
    settings = replace(
        RestoreSettings(), **{name: value for name, value in given.items() if value is not None}
    )
    notes: list[str] = []
    before, after = (read_photo(name, notes.append) for name in (photo, edited))
    size = before.pixels.shape[-2], before.pixels.shape[-1]
    check_size(output, size)
    where = None if mask is None else mask_of_size(mask, photo, size, notes.append)
    notes += losses(output, before, photo)
    if not overwrite:
        notes += [
            f"{name} exists and will be replaced (--overwrite: without a word)" for name in existing
        ]
    for line in notes:
        warn(line)
    body = None if source is None else _body(source, device, before.pixels)
    with bar("restoring"):
        found = restore(before.pixels, after.pixels, where, settings, body)
    write_photo(output, replace(before, pixels=found.image))
    for line in found.warnings:
        warn(line)
    if report:
        write_json(report, {"photo": photo, "edited": edited, "output": output, **found.to_dict()})
    say(f"{output}: {found.line()}")
    if report:
        say(f"{report}: every figure")


def _body(source: str, device: str, photo: Tensor) -> BodyRegions:
    """The regions of the person in the photo, found by the networks of a folder."""
    from ..bridges.found_mask import body_regions
    from ..models import load_network

    with bar("loading the models"):
        networks = [load_network(source, kind, device) for kind in ("densepose", "segmenter")]
    return body_regions(networks[0], networks[1], photo)
