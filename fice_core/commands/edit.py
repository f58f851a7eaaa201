"""`fice edit`: edit the clothes of persons in photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..batch.groups import grouped
from ..batch.jobs import Box, Job, all_pairs, check_outputs, check_prompts, check_sizes
from ..batch.subjects import Subjects
from ..errors import FiceError
from ..files import Output
from .console import bar, warn
from .edit_run import Run
from .names import FILE_NAME
from .options import (
    directed,
    edit_options,
    model_inputs,
    models_of,
    negative_option,
    overwrite_option,
    report_option,
    settings_of,
    worn_option,
)
from .outputs import replaced
from .photos import Photos, check_folder, expand, merged

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
            f"{value[:40]!r} is not left,top,right,bottom in whole pixels, as in 100,50,400,350",
            context,
            option,
        ) from error
    return left, top, right, bottom


@click.command("edit")
@click.argument("inputs", nargs=-1, required=True, type=FILE_NAME, metavar="IN...")
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
    type=FILE_NAME,
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
@click.option(
    "--person-mask",
    type=FILE_NAME,
    metavar="FILE",
    help="An image that is white on the person to edit.",
)
@click.option(
    "--mask", type=FILE_NAME, metavar="FILE", help="An image that is white where the edit may go."
)
@edit_options
@report_option
@overwrite_option
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
    overwrite: bool,
    keep_on_interrupt: bool,
    **choices: Any,  # fields of the settings, and the preset
) -> None:
    """Dress the person in each image IN as the prompt says.

    If IN is a folder, all images in it are edited. PNG, WebP, BMP and TIFF outputs keep every pixel
    outside of the edit; only PNG keeps 16 bits a channel. Files in a folder OUT are replaced with
    --overwrite only.
    """
    settings = settings_of(source=source, **choices)
    if worn.strip():
        settings = directed(settings)
    _check_frame(
        {"--person": person, "--box": box, "--person-mask": person_mask}, choices["framing"]
    )
    jobs = [
        replace(job, mask=mask, person=person, box=box, person_mask=person_mask)
        for job in all_pairs(expand(inputs, output), prompts, negative, worn)
    ]
    check_prompts(jobs)
    folder, jobs, told = _placed(
        jobs,
        output,
        inputs=model_inputs(source, clip),
        others=[] if report is None else [Output(report, "--report")],
        sources=inputs,
        overwrite=overwrite,
    )
    photos = Photos()
    subjects = Subjects(photos.read, photos.read_mask, settings.framing)
    firsts = list({job.photo: job for job in jobs}.values())
    lost: list[str] = []
    _for_each(firsts, "reading the photos", lambda job: lost.extend(_look(job, jobs, subjects)))
    for line in merged([*told, *photos.notes, *lost], {n for job in firsts for n in job.files}):
        warn(line)

    from ..editing.prepare import PromptFeatures

    models = models_of(source, clip, device, clip_architecture)
    # Texts and frames come first: a photo without a person ends the command before any edit.
    for text in dict.fromkeys(job.prompt for job in jobs):
        PromptFeatures.of(models.clip, [text], negative, worn)
    _for_each(firsts, "looking for the persons", lambda job: subjects.read(job, models))
    texts = {"negative": negative, "source": worn}
    run = Run(models, settings, source, subjects, folder, texts, keep_on_interrupt, report)
    groups = grouped(jobs, photos.sizes, apart=settings.tune_steps > 0)
    steps = settings.refine_steps + settings.tune_steps + settings.steps
    if models.load_encoder is None:
        steps += settings.search_steps
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


def _placed(
    jobs: list[Job],
    output: str,
    inputs: Sequence[str],
    others: Sequence[Output],
    sources: Sequence[str],
    overwrite: bool,
) -> tuple[Path, list[Job], list[str]]:
    """Where the results go.

    Args:
        output: of the command line: a file or a folder.
        inputs: files to be kept, beside those of the jobs.
        others: files that are written beside the results.
        sources: the photos and folders of the command line.
        overwrite: whether files may be replaced.

    Returns:
        The folder of the results, the jobs, one of which may have the name from the option, and a line for
        every file that was named on the command line and will be replaced.

    Raises:
        FiceError: several results for one file; a file in a folder would be replaced; or see
            `check_outputs`.
    """
    from ..files import make_folder

    path = Path(output)
    into_folder = os.path.isdir(path) or output.endswith(("/", os.sep)) or not path.suffix
    if into_folder:
        check_folder(sources, path)
        folder = path
    elif len(jobs) > 1:
        raise FiceError(
            f"{len(jobs)} edits do not fit into the one file {output}: give a folder with -o"
        )
    else:
        folder, jobs = path.parent, [replace(jobs[0], output=path.name)]
    existing = check_outputs(jobs, folder, inputs, others, makes=folder if into_folder else None)
    if into_folder:
        make_folder(folder)
    chosen = {folder / job.output for job in jobs} if into_folder else ()
    return folder, jobs, replaced(existing, overwrite, chosen)


def _look(job: Job, jobs: Sequence[Job], subjects: Subjects) -> list[str]:
    """Read the files of a job; return what is lost of its photo in the formats of its outputs.

    Raises:
        FiceError: see `Subjects.check` and `check_sizes`.
    """
    from ..images.photo import losses

    photo = subjects.check(job)
    alike = {
        Path(other.output).suffix: other for other in jobs if other.photo == job.photo
    }.values()
    height, width = photo.pixels.shape[1:]
    if job.box is not None:
        _check_box(job.box, job.photo, (height, width))
    check_sizes(list(alike), {job.photo: (height, width)})
    return [line for other in alike for line in losses(other.output, photo, job.photo)]


def _check_box(box: Box, photo: str, size: tuple[int, int]) -> None:
    """Check a box as it was given, before a frame of the generator's proportions is put around it.

    Raises:
        FiceError: it is empty, outside of the photo, or so large that the frame would not fit into memory.
    """
    left, top, right, bottom = box
    height, width = size
    given = f"{photo}: the box {','.join(map(str, box))}"
    if left >= right or top >= bottom:
        raise FiceError(
            f"{given} is empty: give left,top,right,bottom, where right is more than left and bottom more "
            "than top"
        )
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise FiceError(f"{given} lies outside of the image, which has {width} x {height} pixels")
    if max(right - left, bottom - top) > 2 * max(size):
        raise FiceError(
            f"{given} is more than twice as large as the image, which has {width} x {height} pixels"
        )


def _for_each(jobs: Sequence[Job], what: str, work: Callable[[Job], object]) -> None:
    with bar(what, len(jobs), "photo") as progress:
        for job in jobs:
            work(job)
            progress.update()
