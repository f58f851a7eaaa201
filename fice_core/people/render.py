"""Render people into shards: `python -m fice_core.people.render OUT --count N --size 256 --seed S`.

A shard is written whole or not at all, so that the command can be stopped at any time; the same command
goes on where it stopped. Shard k depends on the seed and k alone.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
import numpy as np

from ..errors import FiceError
from ..files import make_folder, replacing, write_json
from .code import CODE_DIM, sample_codes
from .extra import mitsuba, need
from .maths import Array
from .pool import FORMAT, MANIFEST, people_in, shard_path, write_shard
from .record import to_bytes

SHARD = 64  # people a file


def codes_of_shard(seed: int, index: int) -> Array:
    """The codes (SHARD, CODE_DIM) of shard `index`."""
    return sample_codes(SHARD, np.random.default_rng([seed, index])).astype(np.float32)


def check_settings(folder: Path, settings: dict[str, int]) -> None:
    """Keep the settings with the shards, or compare them with those of an earlier run.

    Raises:
        FiceError: the folder was begun with other settings.
    """
    path = folder / MANIFEST
    if path.exists():
        earlier = json.loads(path.read_text())
        different = {k: (earlier.get(k), v) for k, v in settings.items() if earlier.get(k) != v}
        if different:
            what = ", ".join(f"{k} {a} (asked: {b})" for k, (a, b) in different.items())
            raise FiceError(
                f"{folder} was begun with {what}; use the same settings or another folder"
            )
    else:
        write_json(path, settings)


def render_shard(
    seed: int, index: int, count: int, size: int, samples: int
) -> dict[str, dict[str, bytes]]:
    """The first `count` people of a shard, by name, as bytes."""
    from .shoot import shoot

    codes = codes_of_shard(seed, index)[:count]
    people = {}
    for k, code in enumerate(codes):
        people[f"{index * SHARD + k:06d}"] = to_bytes(shoot(code, size, samples))
    return people


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", default=SHARD, show_default=True, help="People in all.")
@click.option("--size", default=256, show_default=True, help="Pixels along each side.")
@click.option("--seed", default=0, show_default=True, help="Of the codes.")
@click.option(
    "--samples", default=16, show_default=True, help="Camera rays a pixel before denoising."
)
@click.option("--threads", default=0, show_default=True, help="0: all cores.")
def main(out: Path, count: int, size: int, seed: int, samples: int, threads: int) -> None:
    """Render COUNT people into shards in the folder OUT; run it again to go on."""
    try:
        render(out, count, size, seed, samples, threads)
    except FiceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def render(
    out: Path, count: int, size: int = 256, seed: int = 0, samples: int = 16, threads: int = 0
) -> None:
    """Render `count` people into shards in `out`, or those of them that are missing.

    Args:
        out: the folder.
        count: people in all.
        size: pixels along each side.
        seed: of the codes.
        samples: camera rays a pixel before denoising.
        threads: 0 for all cores.

    Raises:
        FiceError: the extra `people` is missing, or the folder was begun with other settings.
    """
    mitsuba()
    if threads:
        need("drjit").set_thread_count(threads)
    folder = make_folder(out)
    settings = {"format": FORMAT, "size": size, "seed": seed, "samples": samples, "code": CODE_DIM}
    check_settings(folder, settings)
    shards = -(-count // SHARD)
    for index in range(shards):
        path = shard_path(folder, index)
        wanted = min(SHARD, count - index * SHARD)
        if path.exists() and len(people_in(path)) >= wanted:
            continue
        began = time.monotonic()
        people = render_shard(seed, index, wanted, size, samples)
        with replacing(path) as temporary:
            write_shard(temporary, people)
        each = (time.monotonic() - began) / wanted
        click.echo(f"shard {index + 1} of {shards}: {wanted} people, {each:.1f} s each")


if __name__ == "__main__":
    main()
