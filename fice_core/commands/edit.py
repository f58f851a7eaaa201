"""`fice edit`: edit the clothes of persons in photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..batch.groups import grouped
from ..batch.jobs import Box, Job, all_pairs, check_outputs
from ..batch.subjects import Subjects
from ..errors import FiceError
from .console import bar, warn
from .edit_run import Run
from .options import directed, edit_options, models_of, negative_option, settings_of, worn_option
from .photos import Photos, expand

if TYPE_CHECKING:
    from ..settings import Framing


def _parse_box(context: click.Context, option: click.Parameter, value: str | None) -> Box | None:
    """Four whole numbers with commas between them."""
    if value is None:
        return None
    try:
        left, top, right, bottom = (int(number) for number in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not left,top,right,bottom in whole pixels, as in 100,50,400,350",
            context,
            option,
        ) from error
    return left, top, right, bottom


@click.command("edit")
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    required=True,
    metavar="TEXT",
    help="The garment, as in 'a red striped shirt'. Repeat it for several edits of each image.",
)
@negative_option
@worn_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="An image file, or a folder for several edits.",
)
@click.option(
    "--person",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which person to edit: 0 is the largest, 1 the next.",
)
@click.option(
    "--box",
    callback=_parse_box,
    metavar="L,T,R,B",
    help="What the generator sees: left, top, right, bottom in pixels.",
)
@click.option("--person-mask", metavar="FILE", help="An image that is white on the person to edit.")
@click.option("--mask", metavar="FILE", help="An image that is white where the edit may go.")
@edit_options
@click.option("--report", metavar="FILE.json", help="Write settings, losses and timing here.")
@click.option(
    "--keep-on-interrupt", is_flag=True, help="After Ctrl-C, write the best result so far."
)
def command(
    inputs: tuple[str, ...],
    prompts: tuple[str, ...],
    negative: str,
    worn: str,
    output: str,
    person: int | None,
    box: Box | None,
    person_mask: str | None,
    mask: str | None,
    source: str,
    clip: str | None,
    clip_architecture: str | None,
    device: str,
    report: str | None,
    keep_on_interrupt: bool,
    **choices: Any,  # fields of the settings, and the preset
) -> None:
    """Dress the person in each image IN as the prompt says.

    If IN is a folder, all images in it are edited. PNG, WebP, BMP and TIFF outputs keep every pixel
    outside of the edit; only PNG keeps 16 bits a channel.
    """
    from ..files import check_writable

    settings = settings_of(**choices)
    if worn.strip():
        settings = directed(settings)
    _check_frame(
        {"--person": person, "--box": box, "--person-mask": person_mask}, choices["framing"]
    )
    jobs = [
        replace(job, mask=mask, person=person, box=box, person_mask=person_mask)
        for job in all_pairs(expand(inputs), prompts, negative, worn)
    ]
    folder, jobs = _placed(jobs, output)
    photos = Photos()
    subjects = Subjects(photos.read, settings.framing)
    firsts = list({job.photo: job for job in jobs}.values())
    _for_each(firsts, "reading the photos", subjects.check)
    for job in jobs:
        check_writable(folder / job.output)
    if report:
        check_writable(report)
    _warn_of_losses(jobs, photos)

    models = models_of(source, clip, device, clip_architecture)
    # Frames come first: a photo without a person ends the command before any edit.
    _for_each(firsts, "looking for the persons", lambda job: subjects.read(job, models))
    texts = {"negative": negative, "source": worn}
    run = Run(models, settings, source, subjects, folder, texts, keep_on_interrupt, report)
    groups = grouped(jobs, photos.sizes, apart=settings.tune_steps > 0)
    steps = settings.refine_steps + settings.tune_steps + settings.steps
    with bar("editing", steps * len(groups)) as progress:
        for number, group in enumerate(groups):
            progress.n = number * steps  # a group may have ended early
            run.edit(group, progress)
    run.finish()


def _check_frame(values: Mapping[str, object], framing: Framing | None) -> None:
    """Refuse options that contradict each other.

    Raises:
        FiceError: more than one of them says what the generator sees.
    """
    given = [name for name, value in values.items() if value is not None]
    if framing == "whole":
        given.append("--frame whole")
    if len(given) > 1:
        raise FiceError(
            f"{' and '.join(given)} both say what the generator sees: leave one of them out"
        )


def _placed(jobs: list[Job], output: str) -> tuple[Path, list[Job]]:
    """Return the folder of the results, and the jobs, one of which may have the name from the option.

    Raises:
        FiceError: several results for one file, or see `check_outputs`.
    """
    from ..files import make_folder

    path = Path(output)
    if path.is_dir() or output.endswith("/") or not path.suffix:
        check_outputs(jobs, path)
        return make_folder(path), jobs
    if len(jobs) > 1:
        raise FiceError(
            f"{len(jobs)} edits do not fit into the one file {output}: give a folder with -o"
        )
    jobs = [replace(jobs[0], output=path.name)]
    check_outputs(jobs, path.parent)
    return path.parent, jobs


def _for_each(jobs: Sequence[Job], what: str, work: Callable[[Job], object]) -> None:
    with bar(what, len(jobs), "photo") as progress:
        for job in jobs:
            work(job)
            progress.update()


def _warn_of_losses(jobs: Sequence[Job], photos: Photos) -> None:
    """Warn if an output's format loses a part of the photo."""
    from ..images.photo import is_lossy, keeps_16_bits

    if any(is_lossy(job.output) for job in jobs):
        warn("JPEG alters every pixel a little: use .png to keep all but the garment exactly")
    elif any(photos.bits[job.photo] == 16 and not keeps_16_bits(job.output) for job in jobs):
        warn("the image has 16 bits a channel, of which only .png keeps more than 8")
