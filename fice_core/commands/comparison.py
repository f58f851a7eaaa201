"""The part of `fice evaluate` that compares FICE with its rivals: its options, and what is done with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..errors import FiceError
from .console import bar, say, warn
from .names import COUNT, FILE_NAME, PROCESSORS, Number
from .options import all_of, model_inputs, settings_of

comparison_options = all_of(
    click.option(
        "--photos",
        metavar="demo|[LAYOUT:]DIR",
        help="Compare FICE with its rivals on these photos: people of known truth (demo), any folder, or a "
        "data set such as viton:DIR.",
    ),
    click.option(
        "--texts",
        metavar="[LAYOUT:]FILE",
        help="The descriptions to draw from, as in fashion-gen:FILE.h5 or texts.txt.",
    ),
    click.option(
        "--pairs",
        type=FILE_NAME,
        metavar="FILE.csv",
        help="Edit these pairs, as an earlier comparison wrote them.",
    ),
    click.option(
        "--split", metavar="NAME", help="A part of the photos, such as test.  [default: all]"
    ),
    click.option(
        "-o",
        "--output",
        type=FILE_NAME,
        metavar="DIR",
        help="The folder of the comparison. The same command continues there.",
    ),
    click.option(
        "--seconds",
        type=Number(min=0, min_open=True),
        help="Run every method that takes steps once more, with as many as fit into so much time an edit.",
    ),
    click.option(
        "--only-seconds",
        is_flag=True,
        help="With --seconds, do not run these methods at their own number of steps.",
    ),
    click.option(
        "--results",
        multiple=True,
        metavar="NAME=DIR",
        help="Images of another editor, named 0000.png and so on in the order of the pairs, or as the "
        "photos. Repeat it for several.",
    ),
    click.option(
        "--judge",
        type=FILE_NAME,
        metavar="FILE|DIR|NAME",
        help="A CLIP that scores the edits and that no method optimises.",
    ),
    click.option(
        "--rival-clip",
        "own_clip",
        type=FILE_NAME,
        metavar="FILE|DIR|NAME",
        help="The CLIP that rivals optimise by their own code, ViT-B-32-quickgelu:openai in their papers. "
        "Adds the variants named '... own clip'.",
    ),
    click.option(
        "--vgg",
        "trunk",
        type=FILE_NAME,
        metavar="FILE",
        help="torchvision's vgg16, for TediGAN's term of features, which is left out without it.",
    ),
    click.option(
        "--lpips",
        type=FILE_NAME,
        metavar="FILE",
        help="torchvision's alexnet, vgg16 or squeezenet1_1, to measure LPIPS outside the garment.",
    ),
    click.option(
        "--inception",
        type=FILE_NAME,
        metavar="FILE",
        help="torch-fidelity's Inception, to measure FID and KID.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["fice", "mgd"]),
        default="fice",
        show_default=True,
        help="Columns of the table: all, or those of MGD.",
    ),
    click.option(
        "--direction-images",
        type=COUNT,
        default=100,
        show_default=True,
        help="Images in which each channel is moved, for StyleCLIP's global directions.",
    ),
    click.option(
        "--direction-channels",
        type=COUNT,
        help="Only the first channels, from the coarsest on.  [default: all]",
    ),
    click.option(
        "--mapper-steps",
        type=COUNT,
        default=600,
        show_default=True,
        help="Training steps of the mapper.",
    ),
    click.option(
        "--cache",
        type=FILE_NAME,
        metavar="DIR",
        help="Where directions and mappers are kept.  [default: FICE_RIVALS, else the user's cache]",
    ),
    click.option(
        "--batch",
        "at_once",
        type=click.IntRange(1, 1024),
        default=8,
        show_default=True,
        help="Edits that are computed together. Seconds are those of a batch, divided by its edits.",
    ),
    click.option(
        "--workers", type=PROCESSORS, default=1, show_default=True, help="Processes that edit."
    ),
    click.option(
        "--threads",
        type=PROCESSORS,
        default=1,
        show_default=True,
        help="CPU threads of each worker.",
    ),
    click.option(
        "--ray",
        "address",
        metavar="ADDRESS",
        help="Edit on a Ray cluster: HOST:PORT, auto for that of this machine, or local. Directions and "
        "mappers are computed on each machine.",
    ),
    click.option("--restart", is_flag=True, help="Make all edits of the comparison again."),
    click.option(
        "--votes",
        type=FILE_NAME,
        metavar="FILE.csv",
        help="Print how often each method was preferred, from votes that the page saved.",
    ),
)


def print_votes(path: str) -> None:
    """Print the table of saved votes."""
    from ..comparison.page import preferences

    say(preferences(path))


def run_comparison(
    photos: str,
    output: str | None,
    source: str,
    device: str,
    steps: int | None,
    overwrite: bool,
    results: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Compare, and print the table."""
    from ..comparison.comparing import REPORTS, Plan, compare
    from ..comparison.folder import PAIRS
    from ..comparison.methods import Means
    from ..files import Output, check_paths, make_folder
    from ..models import resolve_device

    if chosen["only_seconds"] and chosen["seconds"] is None:
        raise FiceError("--only-seconds leaves nothing out without --seconds: give them")
    if output is None:
        raise FiceError("--photos makes a comparison: give the folder for it with -o")
    names = ("own_clip", "trunk", "direction_images", "direction_channels", "mapper_steps", "cache")
    for name in ("direction_images", "direction_channels", "mapper_steps"):
        if chosen[name] is not None and chosen[name] < 1:
            raise FiceError(f"--{name.replace('_', '-')} is {chosen[name]}, but must be at least 1")
    means = Means(
        settings_of("default", source, steps=steps), **{name: chosen.pop(name) for name in names}
    )
    read = [chosen[name] for name in ("pairs", "judge", "lpips", "inception")]
    read += [means.own_clip, means.trunk]
    inputs = [
        *model_inputs(source, None),
        *(path for path in read if path and os.path.exists(path)),
    ]
    folder = Path(output)
    outputs = [Output(folder / name, "-o") for name in (*REPORTS, PAIRS)]
    ours = (folder / PAIRS).exists()
    if not ours or chosen["pairs"] is None or not os.path.samefile(chosen["pairs"], folder / PAIRS):
        existing = check_paths(outputs, inputs, makes=output)
        if existing and not ours and not overwrite:
            raise FiceError(
                f"{output} has {existing[0].name}, which is of no comparison: replace it with "
                "--overwrite, or give another folder with -o"
            )
    others = _results(results)
    make_folder(output)
    plan = Plan(
        photos,
        results=others,
        means=means,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    judge = Path(source) / "judge.safetensors"
    with bar("comparing", 1, unit="edit") as progress:

        def advance(what: str, done: int, total: int) -> None:
            progress.set_description(what)
            progress.total = total
            progress.n = done
            progress.refresh()

        table = compare(
            plan,
            output,
            source,
            resolve_device(device),
            warn,
            advance,
            judge if source != "demo" and judge.exists() else None,
        )
    say(table)
    say("")
    for name in REPORTS:
        say(str(folder / name))


def _results(given: tuple[str, ...]) -> dict[str, str]:
    """Folders by name.

    Raises:
        FiceError: one is not NAME=DIR, or a name comes twice or is that of a method.
    """
    from ..comparison.methods import METHODS

    found: dict[str, str] = {}
    taken = {_folder_name(name) for name in METHODS}
    for text in given:
        name, equals, place = text.partition("=")
        if not (name.strip(" .") and equals and place.strip()) or os.sep in name:
            raise FiceError(f"--results is {text!r}, but must be NAME=DIR, as in mgd=results/mgd")
        if _folder_name(name) in taken:
            raise FiceError(f"--results names {name!r} twice, or as a method is named: rename it")
        if not os.path.isdir(place):
            raise FiceError(f"there is no folder of results {place} for {name}")
        taken.add(_folder_name(name))
        found[name] = place
    return found


def _folder_name(name: str) -> str:
    """A text that is equal for names whose results would lie in one folder."""
    return name.casefold().replace(" ", "-")
