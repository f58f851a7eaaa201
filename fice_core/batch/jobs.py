"""The edits of a command: every photo with every prompt, or the rows of a table (`table.py`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FiceError

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Job:
    """One edit.

    Attributes:
        photo: an image file.
        prompt: the garment.
        output: the name of the result's file, without its folder.
        negative, worn: `negative` and `source` of `edit`.
        mask: an image file that is white where the edit may go.
        person: which person in the photo, 0 for the largest; None for the settings' framing.
        box: (left, top, right, bottom) in pixels, what the generator sees.
        person_mask: an image file that is white on the person.
        place: how a message about the job begins, such as "jobs.csv row 3"; not part of the edit.
    """

    photo: str
    prompt: str
    output: str = ""
    negative: str = ""
    worn: str = ""
    mask: str | None = None
    person: int | None = None
    box: Box | None = None
    person_mask: str | None = None
    place: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files that are read."""
        return tuple(name for name in (self.photo, self.mask, self.person_mask) if name)

    @property
    def subject(self) -> tuple[object, ...]:
        """All that photo, mask and frame depend on: jobs with the same value share them."""
        return self.photo, self.mask, self.person, self.box, self.person_mask


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
    """The jobs, each with an output.

    A job without one gets the name of its photo: photo.png, or photo-1.png, photo-2.png... if the photo
    has several such jobs.
    """
    unnamed: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        if not job.output:
            unnamed.setdefault(job.photo, []).append(index)
    jobs = list(jobs)
    for photo, indices in unnamed.items():
        for count, index in enumerate(indices, start=1):
            ending = f"-{count}" if len(indices) > 1 else ""
            jobs[index] = replace(jobs[index], output=f"{Path(photo).stem}{ending}.png")
    return jobs


def check(jobs: Sequence[Job], folder: Path, table: str | None = None) -> None:
    """Check the jobs of a batch before any work is done.

    Args:
        folder: where the results go.
        table: the file that the jobs were read from.

    Raises:
        FiceError: a file is missing, an output names a folder, `prompts.parse` refuses a text, or
            `check_outputs` refuses an output.
    """
    from ..extraction.prompts import parse

    for job in jobs:
        for name in job.files:
            if not Path(name).is_file():
                raise FiceError(f"{job.place}: there is no file {name}")
        if Path(job.output).name != job.output or "\\" in job.output or job.output.startswith("."):
            raise FiceError(
                f"{job.place}: the output {job.output!r} must be the name of a file in {folder}, "
                "without a folder"
            )
        try:
            for text in filter(str.strip, (job.negative, job.worn)):
                parse(text)
            parse(job.prompt)
        except FiceError as error:
            raise FiceError(f"{job.place}: {error}") from None
    check_outputs(jobs, folder, [] if table is None else [table])


def check_outputs(jobs: Sequence[Job], folder: Path, inputs: Iterable[str] = ()) -> None:
    """Check that every result can be written without loss of another file.

    Args:
        folder: where the results go.
        inputs: files to be kept, beside those of the jobs.

    Raises:
        FiceError: an output has an unknown format, is a folder, is an input, or is that of two jobs.
    """
    from ..images.photo import check_suffix

    kept = {Path(name).resolve() for name in (*inputs, *(n for job in jobs for n in job.files))}
    taken: dict[str, Job] = {}
    for job in jobs:
        target = folder / job.output
        try:
            check_suffix(job.output)
        except FiceError as error:
            raise FiceError(f"{job.place}: {error}") from None
        if target.is_dir():
            raise FiceError(f"{job.place}: the output {target} is a folder")
        if target.resolve() in kept:
            raise FiceError(f"{job.place}: the output {job.output} would overwrite an input")
        before = taken.setdefault(job.output.casefold(), job)  # one file on many file systems
        if before is not job:
            raise FiceError(
                f"{job.place}: the output {job.output} is also that of {before.place}: give one of "
                "them another name"
            )
