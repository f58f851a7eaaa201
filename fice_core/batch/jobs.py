"""The edits of a command: every photo with every prompt, or the rows of a table (`table.py`)."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FiceError
from ..files import Output, check_name, check_paths

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
        folder: where the results go; it is made if it is missing.
        table: the file that the jobs were read from.

    Raises:
        FiceError: a file is missing, an output names a folder, `prompts.parse` refuses a text, or
            `check_outputs` refuses an output.
    """
    for job in jobs:
        for name in job.files:
            with at(job):
                check_name(name)
            if not os.path.isfile(name):
                raise FiceError(f"{job.place}: there is no file {name}")
        if Path(job.output).name != job.output or "\\" in job.output or job.output.startswith("."):
            raise FiceError(
                f"{job.place}: the output {job.output!r} must be the name of a file in {folder}, "
                "without a folder"
            )
    check_prompts(jobs)
    check_outputs(jobs, folder, [] if table is None else [table], makes=folder)


def check_prompts(jobs: Sequence[Job]) -> None:
    """Check the texts of jobs as far as no network is needed.

    Raises:
        FiceError: `prompts.parse` refuses one.
    """
    from ..extraction.prompts import NEGATIVE, WORN, parse

    for job in jobs:
        with at(job):
            for text, name in ((job.negative, NEGATIVE), (job.worn, WORN)):
                if text.strip():
                    parse(text, name)
            parse(job.prompt)


def check_outputs(
    jobs: Sequence[Job],
    folder: Path,
    inputs: Iterable[str] = (),
    others: Iterable[Output] = (),
    makes: Path | None = None,
) -> list[Path]:
    """Check that every result can be written without loss of another file.

    Args:
        folder: where the results go.
        inputs: files to be kept, beside those of the jobs.
        others: files that are written beside the results.
        makes: see `check_paths`.

    Returns:
        Files that exist and would be replaced.

    Raises:
        FiceError: an output has an unknown format, or `check_paths` refuses it.
    """
    from ..images.photo import check_suffix

    for job in jobs:
        with at(job):
            check_suffix(job.output)
    outputs = [Output(folder / job.output, job.place) for job in jobs]
    kept = [*inputs, *(name for job in jobs for name in job.files)]
    return check_paths([*outputs, *others], kept, makes)


def check_sizes(jobs: Sequence[Job], sizes: Mapping[str, tuple[int, int] | None]) -> None:
    """Check that the format of every output can hold a photo of the size (H, W), where it is known.

    Raises:
        FiceError: it cannot.
    """
    from ..images.photo import check_size

    for job in jobs:
        size = sizes[job.photo]
        if size is not None:
            with at(job):
                check_size(job.output, size)


@contextmanager
def at(job: Job) -> Iterator[None]:
    """Let the message of a `FiceError` begin with the place of the job."""
    try:
        yield
    except FiceError as error:
        raise FiceError(f"{job.place}: {error}") from error
