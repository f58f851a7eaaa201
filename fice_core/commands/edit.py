"""`fice edit`: dress the persons in one's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import FiceError
from .common import (
    bar,
    clip_option,
    device_option,
    execution_option,
    framing_option,
    garment_option,
    hold_option,
    models_of,
    models_option,
    negative_option,
    preset_option,
    refine_option,
    seed_option,
    settings_of,
    steps_option,
    stitch_option,
    tune_option,
    warn,
    worn_option,
)
from .edit_run import Job, Run, together
from .photos import Box, Photos, Where, expand, parse_box, read_mask


@click.command("edit")
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    required=True,
    metavar="TEXT",
    help="The garment, as in 'a red striped shirt'. Repeat it for several edits of every picture.",
)
@negative_option
@worn_option
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="A picture file, or for several edits a folder.",
)
@garment_option
@framing_option
@click.option(
    "--person",
    type=click.IntRange(min=0),
    metavar="N",
    help="Edit another person than the largest, which is 0.",
)
@click.option(
    "--box",
    callback=parse_box,
    metavar="L,T,R,B",
    help="What the generator sees: left, top, right, bottom in pixels.",
)
@click.option(
    "--person-mask", metavar="FILE", help="A picture that is white on the person to be edited."
)
@click.option(
    "--mask", "mask_file", metavar="FILE", help="A picture that is white where the edit may go."
)
@stitch_option
@models_option
@clip_option
@preset_option
@steps_option
@refine_option
@tune_option
@hold_option
@seed_option
@device_option
@execution_option
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
    mask_file: str | None,
    source: str,
    clip: str | None,
    device: str,
    report: str | None,
    keep_on_interrupt: bool,
    **choices: Any,  # those of `settings_of`
) -> None:
    """Dress the person in each picture IN as the prompt says.

    IN may be a folder: all pictures in it. PNG, WebP, BMP and TIFF outputs keep every pixel outside
    of the edit as it is; those of 16 bits need PNG.
    """
    from ..files import check_writable

    settings = settings_of(**choices, directed=bool(worn.strip()))
    where = Where(person, box, person_mask)
    where.check(choices["framing"])
    paths = expand(inputs)
    jobs = _plan(paths, prompts, output)
    photos = Photos(paths)
    mask = None if mask_file is None else read_mask(mask_file, photos)
    for job in jobs:
        check_writable(job.output)
    if report:
        check_writable(report)
    _warn_of_losses(jobs, photos)

    models = models_of(source, clip, device)
    frames = where.frames(models, photos, settings.framing)
    texts = {"negative": negative, "source": worn}
    run = Run(models, settings, source, photos, frames, mask, texts, keep_on_interrupt, report)
    groups = list(together(jobs, photos, apart=settings.tune_steps > 0))
    steps = settings.refine_steps + settings.tune_steps + settings.steps
    with bar("editing", steps * len(groups)) as progress:
        for number, group in enumerate(groups):
            progress.n = number * steps  # a group may have ended early
            run.edit(group, progress)
    run.finish()


def _warn_of_losses(jobs: list[Job], photos: Photos) -> None:
    """Say what the formats of the outputs cannot hold."""
    from ..images.photo import is_lossy, keeps_16_bits

    if any(is_lossy(job.output) for job in jobs):
        warn("JPEG alters every pixel a little: use .png to keep all but the garment exactly")
    elif any(photos.bits[job.input] == 16 and not keeps_16_bits(job.output) for job in jobs):
        warn("the picture has 16 bits a channel, of which only .png keeps more than 8")


def _plan(inputs: list[str], prompts: tuple[str, ...], output: str) -> list[Job]:
    """Every picture with every prompt, and where the results go.

    Raises:
        FiceError: a result would overwrite another one or an input.
    """
    from ..files import make_folder
    from ..images.photo import check_suffix

    prompts = tuple(dict.fromkeys(prompts))
    single = len(inputs) == len(prompts) == 1
    out = Path(output)
    is_folder = out.is_dir() or output.endswith("/") or not out.suffix
    if not is_folder and not single:
        raise FiceError(
            f"{len(inputs) * len(prompts)} edits do not fit into the one file {output}: "
            "give a folder with -o"
        )
    if not is_folder:
        check_suffix(out)
        jobs = [Job(inputs[0], prompts[0], out)]
    else:
        names = ["" if len(prompts) == 1 else f"-{k + 1}" for k in range(len(prompts))]
        jobs = [
            Job(path, prompt, out / f"{Path(path).stem}{name}.png")
            for path in inputs
            for prompt, name in zip(prompts, names, strict=True)
        ]
    _check_collisions(jobs)
    if is_folder:
        make_folder(out)
    return jobs


def _check_collisions(jobs: list[Job]) -> None:
    taken = {Path(job.input).resolve(): f"the input {job.input}" for job in jobs}
    for job in jobs:
        target = job.output.resolve()
        if target in taken:
            raise FiceError(
                f"the edit of {job.input} would overwrite {taken[target]}: rename one of them"
            )
        taken[target] = f"the edit of {job.input}"
