"""Render the bundled gallery: `python -m fice_core.people.gallery OUT --renders DIR`.

The gallery is a folder with an image of each person, a file with the truth about all of them, and a list of
what they wear. Renders are kept in DIR, one file a person, so that the command can be stopped at any time.
Names and order of the people are those of a cast of `cast.CASTS`; the same cast gives the same gallery.
"""

from __future__ import annotations

import dataclasses
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from ..errors import FiceError
from ..files import make_folder, replacing, write_json
from .captions import captions, facts
from .cast import CASTS, Member
from .compact import Compact, compacted, to_bytes
from .compose import own_image
from .extra import mitsuba, need
from .maths import Array
from .record import Record, from_bytes
from .record import to_bytes as record_bytes
from .sampling import person_from_code

SIZE = 512
QUALITY = 93  # of the JPEG images, whose colours keep the full resolution: 44 dB
CAPTIONS = 6
LIST, TRUTH = "people.json", "truth.zip"
FORMAT = 1


def rendered(member: Member, folder: Path, threads: int = 0) -> Record:
    """The record of a member, from `folder`, or rendered and kept there.

    Raises:
        FiceError: it has to be rendered, and the extra `people` is not installed.
    """
    path = folder / f"{member.key}.zip"
    if not path.exists():
        from .shoot import shoot

        mitsuba()
        if threads:
            need("drjit").set_thread_count(threads)
        with replacing(path) as temporary:
            write_blobs(temporary, record_bytes(shoot(member.code(), SIZE)))
    with zipfile.ZipFile(path) as archive:
        return from_bytes({name: archive.read(name) for name in archive.namelist()})


def write_blobs(path: Path, blobs: dict[str, bytes]) -> None:
    """Write named bytes as a zip file; the same blobs give the same file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in blobs.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)


def jpeg(image: Array) -> bytes:
    """An image (S, S, 3), sRGB in [0, 1], as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True
    )
    return buffer.getvalue()


def entry(name: str, person: Compact, seed: int) -> dict[str, Any]:
    """What is said of a person in the list: its name, facts and captions."""
    who = person_from_code(np.asarray(person.code, np.float64))
    rng = np.random.default_rng(seed)
    return {
        "name": name,
        "facts": dataclasses.asdict(facts(who)),
        # the first one tells most
        "captions": sorted(captions(who, rng, CAPTIONS), key=len, reverse=True),
    }


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--renders",
    default=Path("gallery-renders"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where renders are kept.",
)
@click.option(
    "--cast",
    "name",
    default="gallery",
    show_default=True,
    type=click.Choice(list(CASTS)),
    help="Who is in it: the bundled people, or pairs in short and long sleeves for tests.",
)
@click.option("--threads", default=0, show_default=True, help="0: all cores.")
def main(out: Path, renders: Path, name: str, threads: int) -> None:
    """Render the cast and write its gallery into the folder OUT; run it again to go on."""
    try:
        _main(make_folder(out), make_folder(renders), CASTS[name], threads)
    except FiceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def _main(out: Path, renders: Path, cast: Sequence[Member], threads: int) -> None:
    listed: list[dict[str, Any]] = []
    truth: dict[str, bytes] = {}
    for place, member in enumerate(cast):
        record = member.dress(rendered(member, renders, threads))
        name = f"{place + 1:02d}"
        with replacing(out / f"{name}.jpg") as temporary:
            temporary.write_bytes(jpeg(own_image(record)[0]))
        person = compacted(record)
        truth |= {f"{name}/{blob}": data for blob, data in to_bytes(person).items()}
        listed.append(entry(name, person, member.number))
        click.echo(f"{name} of {len(cast)}: {listed[-1]['captions'][0]}")
    with replacing(out / TRUTH) as temporary:
        write_blobs(temporary, truth)
    write_json(out / LIST, {"format": FORMAT, "size": SIZE, "people": listed})


if __name__ == "__main__":
    main()
