"""A table of edits: a CSV file with one edit per row."""

import csv
import io
from pathlib import Path

from ..errors import FiceError
from ..files import read_bytes
from .jobs import Job, named

COLUMNS = ("photo", "prompt", "output", "negative", "from", "mask", "person")
_REQUIRED = ("photo", "prompt")


def read_table(path: str, negative: str = "", worn: str = "") -> list[Job]:
    """The jobs of a CSV file whose first row names the columns (see `COLUMNS`).

    Files are relative to the folder of the table.

    Args:
        negative, worn: for rows that leave them empty.

    Raises:
        FiceError: the file cannot be read, or a column or row is wrong. Rows are counted from 1, and
            row 1 is the one with the names.
    """
    rows = _rows(path)
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    _check_names(path, names)
    jobs = []
    for number, cells in rows[1:]:
        place = f"{path} row {number}"
        values = _values(place, names, cells)
        jobs.append(_job(place, Path(path).parent, values, negative, worn))
    if not jobs:
        raise FiceError(f"{path} has no row below the names of the columns")
    return named(jobs)


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, each with its number, counted from 1."""
    data = read_bytes(path, "a table or a folder of images")
    try:
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")
        numbered = list(enumerate(csv.reader(lines, strict=True), start=1))
    except UnicodeDecodeError as error:
        raise FiceError(f"{path} is not UTF-8 text: save the table as CSV in UTF-8") from error
    except csv.Error as error:
        raise FiceError(f"{path} is not a table in CSV: {error}") from error
    return [(number, cells) for number, cells in numbered if any(cell.strip() for cell in cells)]


def _values(place: str, names: list[str], cells: list[str]) -> dict[str, str]:
    """The cells of a row by column. Spreadsheets write empty cells and columns, which do not count."""
    values = {}
    for index, cell in enumerate(map(str.strip, cells)):
        name = names[index] if index < len(names) else ""
        if name:
            values[name] = cell
        elif cell:
            columns = sum(map(bool, names))
            raise FiceError(
                f"{place} has {len(cells)} cells, but there are {columns} columns with a name: put a "
                'prompt with commas into "quotes"'
            )
    return values


def _check_names(path: str, names: list[str]) -> None:
    for name in filter(None, names):
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


def _job(place: str, folder: Path, values: dict[str, str], negative: str, worn: str) -> Job:
    for name in _REQUIRED:
        if not values.get(name):
            raise FiceError(f"{place} has no {name}")
    person = values.get("person", "")
    if person and not (person.isascii() and person.isdigit() and len(person) < 10):
        raise FiceError(f"{place}: the person is {person[:20]!r}, but must be 0, 1, 2...")
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
