"""Captions in JSON, CSV and text files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from ..errors import FiceError
from .places import read_json, read_text, texts

#: columns of the file's name and of the text, in files with columns
_KEYS = ("file_name", "file", "filename", "image", "photo", "name", "id")
_TEXTS = ("text", "caption", "captions", "description", "prompt")
_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt")


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Texts by the name of what they describe, or if the file has no names, by the number of their line.

    Args:
        path: a .json file with an object of texts, or lists of them, by name, or with a list of texts; a
            .jsonl, .csv or .tsv file with a column of texts (`text`, `caption`, `description` or
            `prompt`) and one of names (`file_name`, `file`, `image`, `name`, ...); or a .txt file with a
            text on each line.

    Raises:
        FiceError: the file cannot be read, or is none of these.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(path)
    if suffix == ".jsonl":
        return _of_rows(path, _json_rows(path))
    if suffix in (".csv", ".tsv"):
        return _of_rows(path, _csv_rows(path))
    if suffix == ".txt":
        lines = enumerate(read_text(path).splitlines(), 1)
        return {str(number): found for number, line in lines if (found := texts([line], path))}
    raise FiceError(f"{path}: texts are read from files that end in {', '.join(_SUFFIXES)}")


def _of_json(path: Path) -> dict[str, tuple[str, ...]]:
    content = read_json(path)
    if isinstance(content, list):
        content = {str(number): text for number, text in enumerate(content, 1)}
    if not isinstance(content, dict):
        raise FiceError(f'{path}: texts by name were expected, as {{"photo.jpg": "a red shirt"}}')
    return {
        name: texts(value if isinstance(value, list) else [value], path)
        for name, value in content.items()
    }


def _json_rows(path: Path) -> list[dict[str, str]]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # ValueError: also a number of too many digits
            row = None
        if not isinstance(row, dict):
            raise FiceError(f"{path}, line {number}: a JSON object was expected")
        rows.append({str(key): value for key, value in row.items() if isinstance(value, str)})
    return rows


def _csv_rows(path: Path) -> list[dict[str, str]]:
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise FiceError(f"{path} cannot be read as a table: {error}") from error
    return [
        {str(key): value for key, value in row.items() if isinstance(value, str)} for row in rows
    ]


def _of_rows(path: Path, rows: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    columns = {key for row in rows for key in row}
    lower = {key.strip().lower(): key for key in columns}
    text = next((lower[name] for name in _TEXTS if name in lower), None)
    key = next((lower[name] for name in _KEYS if name in lower), None)
    if rows and text is None:
        raise FiceError(f"{path} has no column of texts: {', '.join(_TEXTS)} were expected")
    found: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows, 1):
        name = (row.get(key) or "").strip() if key else ""
        if text is not None and (values := texts([row.get(text) or ""], path)):
            name = name or str(number)
            found[name] = found.get(name, ()) + values
    return found
