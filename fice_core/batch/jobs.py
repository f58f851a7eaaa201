"""The edits of a batch: every picture of a folder with every prompt, or the rows of a table (`table.py`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FiceError


@dataclass(frozen=True)
class Job:
    """One edit.

    Attributes:
        photo: a file.
        prompt: the garment.
        output: the name of the result's file in the batch's folder.
        negative, worn: `negative` and `source` of `edit`.
        mask: a file that is white where the edit may go.
        person: which of those in the photo, 0 for the largest; None for the settings' framing.
        place: what a message about it begins with, as in "jobs.csv row 3"; no part of the edit.
    """

    photo: str
    prompt: str
    output: str = ""
    negative: str = ""
    worn: str = ""
    mask: str | None = None
    person: int | None = None
    place: str = ""


def all_pairs(
    photos: Iterable[str], prompts: Sequence[str], negative: str = "", worn: str = ""
) -> list[Job]:
    """Every photo with every prompt."""
    prompts = list(dict.fromkeys(prompts))
    return named(
        [
            Job(photo, prompt, negative=negative, worn=worn, place=f"the edit of {photo}")
            for photo in photos
            for prompt in prompts
        ]
    )


def named(jobs: list[Job]) -> list[Job]:
    """The jobs with names for their outputs: those of photo.jpg are photo.png, or photo-1.png,
    photo-2.png... if there are several without a name."""
    unnamed: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        if not job.output:
            unnamed.setdefault(job.photo, []).append(index)
    for photo, indices in unnamed.items():
        for count, index in enumerate(indices, start=1):
            ending = f"-{count}" if len(indices) > 1 else ""
            jobs[index] = replace(jobs[index], output=f"{Path(photo).stem}{ending}.png")
    return jobs


def check(jobs: Sequence[Job], folder: Path, table: str | None = None) -> None:
    """Refuse jobs whose files are missing or whose results would destroy something.

    Args:
        folder: where the results go.
        table: the file that the jobs were read from.

    Raises:
        FiceError: a photo or mask is no file, a format that cannot be written, a name that is none or
            is used twice, a result in the place of an input; a text that
            `prompts.parse` refuses.
    """
    from ..extraction.prompts import parse
    from ..images.photo import check_suffix

    inputs = {Path(name).resolve() for job in jobs for name in (job.photo, job.mask) if name}
    if table is not None:
        inputs.add(Path(table).resolve())
    taken: dict[str, Job] = {}
    for job in jobs:
        for name in (job.photo, job.mask):
            if name and not Path(name).is_file():
                raise FiceError(f"{job.place}: there is no file {name}")
        if Path(job.output).name != job.output or "\\" in job.output or job.output.startswith("."):
            raise FiceError(
                f"{job.place}: the output {job.output!r} must be the name of a file in {folder}, "
                "without a folder"
            )
        try:
            check_suffix(job.output)
            for text in filter(str.strip, (job.negative, job.worn)):
                parse(text)
            parse(job.prompt)
        except FiceError as error:
            raise FiceError(f"{job.place}: {error}") from None
        if (folder / job.output).is_dir():
            raise FiceError(f"{job.place}: the output {folder / job.output} is a folder")
        if (folder / job.output).resolve() in inputs:
            raise FiceError(f"{job.place}: the output {job.output} would overwrite an input")
        before = taken.setdefault(job.output.casefold(), job)  # one file on many file systems
        if before is not job:
            raise FiceError(
                f"{job.place}: the output {job.output} is also that of {before.place}: give one of "
                "them another name"
            )
