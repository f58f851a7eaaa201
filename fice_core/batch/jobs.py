"""The edits of a batch: the rows of a table, or every picture of a folder with every prompt."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FiceError

COLUMNS = ("photo", "prompt", "output", "negative", "from", "mask", "person")
_REQUIRED = ("photo", "prompt")


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


def read_table(path: str, negative: str = "", worn: str = "") -> list[Job]:
    """The jobs of a CSV file with a line of column names, see `COLUMNS`; files are relative to its folder.

    Args:
        negative, worn: for rows that do not say it.

    Raises:
        FiceError: anything about the file or a row that is not as it should be; of a row, with its
            number, by which the line of names is row 1.
    """
    rows = _rows(path)
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    for name in names:
        if name not in COLUMNS:
            raise FiceError(
                f"{path} has an unknown column {name!r}: the columns are {', '.join(COLUMNS)}, with "
                "commas between them"
            )
        if names.count(name) > 1:
            raise FiceError(f"{path} has the column {name!r} twice")
    for name in _REQUIRED:
        if name not in names:
            raise FiceError(f"{path} has no column {name!r}: its first row must name the columns")
    jobs = []
    for number, cells in rows[1:]:
        place = f"{path} row {number}"
        if len(cells) > len(names):
            raise FiceError(
                f"{place} has {len(cells)} cells, but there are {len(names)} columns: put a prompt "
                'with commas into "quotes"'
            )
        values = dict(zip(names, (cell.strip() for cell in cells), strict=False))
        jobs.append(_job(place, Path(path).parent, values, negative, worn))
    if not jobs:
        raise FiceError(f"{path} has no row below the names of the columns")
    return _named(jobs)


def all_pairs(
    photos: Iterable[str], prompts: Sequence[str], negative: str = "", worn: str = ""
) -> list[Job]:
    """Every photo with every prompt."""
    prompts = list(dict.fromkeys(prompts))
    return _named(
        [
            Job(photo, prompt, negative=negative, worn=worn, place=f"the edit of {photo}")
            for photo in photos
            for prompt in prompts
        ]
    )


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


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """The rows of a table that are not blank, with their numbers, counted from 1."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            numbered = list(enumerate(csv.reader(file, strict=True), start=1))
    except OSError as error:
        raise FiceError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FiceError(f"{path} is not UTF-8 text: save the table as CSV in UTF-8") from error
    except csv.Error as error:
        raise FiceError(f"{path} is not a table in CSV: {error}") from error
    return [(number, cells) for number, cells in numbered if any(cell.strip() for cell in cells)]


def _job(place: str, folder: Path, values: dict[str, str], negative: str, worn: str) -> Job:
    for name in _REQUIRED:
        if not values.get(name):
            raise FiceError(f"{place} has no {name}")
    person = values.get("person", "")
    if person and not (person.isascii() and person.isdigit()):
        raise FiceError(f"{place}: the person is {person!r}, but must be 0, 1, 2...")
    mask = values.get("mask")
    return Job(
        photo=str(folder / values["photo"]),
        prompt=values["prompt"],
        output=values.get("output", ""),
        negative=values.get("negative") or negative,
        worn=values.get("from") or worn,
        mask=str(folder / mask) if mask else None,
        person=int(person) if person else None,
        place=place,
    )


def _named(jobs: list[Job]) -> list[Job]:
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
