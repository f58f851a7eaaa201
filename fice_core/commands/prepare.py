"""`fice prepare`: a data set for training from photos of people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..errors import FiceError
from .console import bar, say
from .names import FILE_NAME, PROCESSORS, Number
from .options import device_option, models_option
from .photos import check_folder

_ASPECTS = {"1:1": 1, "2:1": 2}


@click.command("prepare")
@click.argument("photos", metavar="PHOTOS")
@click.option(
    "-o",
    "--output",
    required=True,
    type=FILE_NAME,
    metavar="DATA",
    help="The folder of the data set. Run the same command again to go on, also with more photos.",
)
@click.option("--split", help="Only this part of the data set, such as train or test.")
@click.option(
    "--size",
    type=click.IntRange(32, 2048),
    default=256,
    show_default=True,
    help="Height of the images in pixels.",
)
@click.option(
    "--aspect",
    type=click.Choice([*_ASPECTS]),
    default="1:1",
    show_default=True,
    help="Height to width of the images.",
)
@click.option(
    "--show",
    type=click.Choice(("models", "figure")),
    help="Frame the person as in the images of the models, or the whole figure.  "
    "[default: models, figure for 2:1]",
)
@click.option(
    "--least",
    type=click.IntRange(16, 4096),
    help="Height in pixels that a frame must have in its photo.  [default: two thirds of the size]",
)
@click.option(
    "--sharpness",
    type=Number(0, 1),
    default=0.12,
    show_default=True,
    help="Leave out photos that are less sharp; the manifest has each value.",
)
@click.option(
    "--same",
    type=click.IntRange(-1, 128),
    default=20,
    show_default=True,
    help="Leave out photos that differ from an earlier one in at most so many of 256 features; -1 keeps all.",
)
@click.option(
    "--largest", is_flag=True, help="Take the largest of several persons, not only lone ones."
)
@click.option("--workers", type=PROCESSORS, default=1, show_default=True, help="Processes.")
@models_option
@device_option
def command(
    photos: str,
    output: str,
    split: str | None,
    size: int,
    aspect: str,
    show: Any,
    least: int | None,
    sharpness: float,
    same: int,
    largest: bool,
    workers: int,
    source: str,
    device: str,
) -> None:
    """Frame, crop and check PHOTOS for training.

    PHOTOS is a folder of images or a published data set, as layout:PATH: see the page on data sets. Persons
    are found by its label maps or masks, otherwise by the models. DATA gets images of one size, label maps,
    captions, and manifest.jsonl, which says for each photo where its person is or why it was left out.
    """
    from ..datasets.opening import open_photos, parse_spec
    from ..models import resolve_device
    from ..preparation import Wanted, prepare

    layout, path = parse_spec(photos)
    check_folder([str(path)], output)
    if layout == "folder" and _is_inside(output, path):
        raise FiceError(
            f"{output} lies in the folder of the photos, where a second run would take images for photos: "
            "give another one with -o"
        )
    samples = open_photos(photos, split)
    wanted = Wanted(
        size=(size, size // _ASPECTS[aspect]),
        show=show or ("models" if aspect == "1:1" else "figure"),
        models=source,
        device=resolve_device(device),
        least=round(size * 2 / 3) if least is None else least,
        sharpness=sharpness,
        same=same,
        largest=largest,
    )
    with bar("preparing", len(samples), "photo") as progress:
        report = prepare(samples, Path(output), wanted, workers, lambda *_: progress.update())
    say(report.summary)


def _is_inside(output: str, folder: os.PathLike[str]) -> bool:
    """Whether a path lies below a folder."""
    return Path(os.path.realpath(output)).is_relative_to(os.path.realpath(folder))
