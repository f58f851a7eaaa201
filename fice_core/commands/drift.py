"""`fice drift`: what an edit changed outside the garment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ..errors import FiceError
from ..files import Output, check_paths, some_of
from .console import bar, say, warn
from .names import FILE_NAME
from .options import clip_architecture_option, clip_option, device_option
from .photos import expand, mask_of_size

if TYPE_CHECKING:
    from ..bridges.drift import Drift


class Pair(NamedTuple):
    """Two files to compare, and the file of their mask."""

    before: str
    after: str
    mask: str | None


@click.command("drift")
@click.argument("before", type=FILE_NAME)
@click.argument("after", type=FILE_NAME)
@click.option(
    "--mask",
    type=FILE_NAME,
    metavar="FILE|DIR",
    help="White where the photo may change: a file for all pairs, or a folder with one for each.  "
    "[default: every pixel is compared]",
)
@click.option(
    "--text", metavar="TEXT", help="Measure how well CLIP finds the edit described by this."
)
@click.option(
    "--models",
    "source",
    type=FILE_NAME,
    metavar="demo|DIR",
    help="A folder with a DensePose, which compares the poses; and with a CLIP, for --text.",
)
@clip_option
@clip_architecture_option
@device_option
@click.option("--report", type=FILE_NAME, metavar="FILE.json", help="Write every figure here.")
@click.option("--csv", type=FILE_NAME, metavar="FILE.csv", help="Write a table, one row a pair.")
@click.option(
    "--heat",
    type=FILE_NAME,
    metavar="FILE|DIR",
    help="Write a map of the differences: an image, or a folder for several pairs.",
)
def command(
    before: str,
    after: str,
    mask: str | None,
    text: str | None,
    source: str | None,
    clip: str | None,
    clip_architecture: str | None,
    device: str,
    report: str | None,
    csv: str | None,
    heat: str | None,
) -> None:
    """Measure what differs between BEFORE and AFTER outside the mask: nothing should.

    Both are images, or folders whose images pair up by name (photo.jpg with photo.png). Prints a line
    for each pair: equal pixels, PSNR, SSIM, differences, CIELAB, shift and zoom.
    """
    if text is not None and not text.strip():
        raise FiceError("--text is empty: say what the edit should show, or leave it out")
    if text is not None and not (source or clip):
        raise FiceError("--text needs a CLIP: name one with --clip, or a folder with --models")
    if clip and text is None:
        raise FiceError("--clip measures the similarity to a text: give one with --text")
    pairs = _pairs(before, after, mask)
    maps = _maps(pairs, heat, folder=os.path.isdir(before))
    outputs = [Output(name, "--heat") for name in maps]
    outputs += [
        Output(name, place) for name, place in ((report, "--report"), (csv, "--csv")) if name
    ]
    inputs = [name for pair in pairs for name in pair if name is not None]
    check_paths(outputs, inputs, makes=heat if heat and os.path.isdir(before) else None)

    from ..files import make_folder, write_bytes, write_json

    if heat and os.path.isdir(before):
        make_folder(heat)
    networks = _networks(text, source, clip, clip_architecture, device)
    found: list[tuple[Pair, Drift]] = []
    with bar("measuring", len(pairs), "pair") as progress:
        for number, pair in enumerate(pairs):
            drift = _measured(pair, maps[number] if maps else None, networks)
            found.append((pair, drift))
            progress.update()
    for pair, drift in found:
        say(f"{pair.after}: {drift.line()}")
    rows = [{**pair._asdict(), **drift.row()} for pair, drift in found]
    if report:
        entries = [{**pair._asdict(), **drift.to_dict()} for pair, drift in found]
        write_json(report, {"pairs": entries})
        say(f"{report}: every figure")
    if csv:
        write_bytes(csv, _table(rows))
        say(f"{csv}: a table")


def _measured(pair: Pair, heat: str | None, networks: dict[str, Any]) -> Drift:
    """The drift of a pair; its map is written."""
    from ..bridges.drift import measure_drift
    from ..images.photo import read_photo, write_image

    notes: list[str] = []
    first, second = (read_photo(name, notes.append).pixels for name in (pair.before, pair.after))
    size = first.shape[-2], first.shape[-1]
    mask = None if pair.mask is None else mask_of_size(pair.mask, pair.before, size, notes.append)
    for line in notes:
        warn(line)
    try:
        drift, shown = measure_drift(first, second, mask, **networks)
    except FiceError as error:
        raise FiceError(f"{pair.after}: {error}") from error
    if heat:
        write_image(heat, shown)
    return drift


def _networks(
    text: str | None, source: str | None, clip: str | None, architecture: str | None, device: str
) -> dict[str, Any]:
    """The networks that were asked for, as arguments of `measure_drift`."""
    from ..models import load_network, resolve_device

    target = resolve_device(device)
    if not (source or clip):
        return {}
    from ..checkpoints import load_clip
    from ..extraction.prompts import encode

    found: dict[str, Any] = {}
    with bar("loading the models"):
        if source:
            found["densepose"] = load_network(source, "densepose", device)
        if text is not None:
            network = (
                load_clip(clip, architecture, target)
                if clip
                else load_network(str(source), "clip", device)
            )
            found |= {"clip": network, "text": encode(network, [text], name="text")}
    return found


def _pairs(before: str, after: str, mask: str | None) -> list[Pair]:
    """The files that belong together.

    Raises:
        FiceError: one is a folder and the other is not, a name is there twice, or nothing pairs up.
    """
    if os.path.isdir(before) != os.path.isdir(after):
        raise FiceError(
            f"{before} and {after} must both be images or both be folders: one is a folder, one is not"
        )
    if not os.path.isdir(before):
        if mask and os.path.isdir(mask):
            raise FiceError(f"{mask} is a folder; an image file was expected for one pair")
        return [Pair(before, after, mask)]
    befores, afters = _by_stem(before), _by_stem(after)
    masks = _by_stem(mask) if mask and os.path.isdir(mask) else None
    names = [name for name in befores if name in afters]
    if not names:
        raise FiceError(
            f"no image in {before} has the name of one in {after}: a pair bears one name, as in "
            "photo.jpg and photo.png"
        )
    alone = [name for name in (*befores, *afters) if name not in names]
    if alone:
        warn(f"left out {some_of(alone)}, which only one of the folders has")
    if masks is not None and (missing := [name for name in names if name not in masks]):
        raise FiceError(f"the folder {mask} has no mask for {some_of(missing)}")
    return [
        Pair(befores[name], afters[name], mask if masks is None else masks[name]) for name in names
    ]


def _by_stem(folder: str) -> dict[str, str]:
    """The images in a folder, by their names without suffix."""
    found: dict[str, str] = {}
    for name in expand([folder]):
        other = found.setdefault(Path(name).stem, name)
        if other is not name:
            raise FiceError(
                f"{other} and {name} have one name, so pairs are not clear: leave one of them out"
            )
    return found


def _maps(pairs: list[Pair], heat: str | None, folder: bool) -> list[str]:
    """The files of the heat maps."""
    if heat is None:
        return []
    if folder:
        return [str(Path(heat) / f"{Path(pair.before).stem}.png") for pair in pairs]
    from ..images.photo import check_suffix

    check_suffix(heat)
    return [heat]


def _table(rows: list[dict[str, Any]]) -> bytes:
    """Rows as CSV in UTF-8; what is unknown is left empty."""
    import csv
    import io

    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
