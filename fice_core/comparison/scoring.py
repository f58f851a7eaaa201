"""Scores of all edits of a run, kept beside them so that a run that is resumed measures nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..errors import FiceError
from ..evaluation.case import Cases
from ..files import json_bytes, make_folder, read_bytes, write_bytes
from ..images.photo import decode_photo, is_image_file
from ..models import Models
from ..rivals.contract import Task
from ..rivals.stitched import finish_foreign
from ..settings import EditSettings
from .folder import Folder, as_png, load_pair, preparation_of
from .measures import Judges, Truth, measure
from .names import edit_name, output_name
from .pairs import Pair
from .running import Run


@dataclass
class Row:
    """One row of the tables: a run and how its edits were brought back to the photos.

    Attributes:
        run: the method, and its seconds.
        stitch: "none", "head" or one of this project's.
        images: the files of its edits, by the number of the pair.
        values: the measures by the number of the pair.
        sets: distances of the whole set of its edits from the photos, by name.
        failed: why there is no edit, by the number of the pair.
    """

    run: Run
    stitch: str
    images: dict[int, Path] = field(default_factory=dict)
    values: dict[int, dict[str, float]] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The row's name, unique among the rows."""
        return f"{self.run.name}, {'not stitched' if self.stitch == 'none' else f'{self.stitch} stitch'}"

    def column(self, measure: str) -> list[float]:
        """The values of a measure, where there are any."""
        return [found[measure] for _, found in sorted(self.values.items()) if measure in found]


def row_of_run(
    folder: Folder, run: Run, stitch: str, pairs: Sequence[Pair], failed: Mapping[str, str]
) -> Row:
    """The row of a method's edits, not measured yet; `failed` has reasons by output."""
    row = Row(run, stitch)
    place = folder.edits(run.name)
    for number in range(len(pairs)):
        path = place / edit_name(stitch, number)
        if path.exists():
            row.images[number] = path
        else:
            row.failed[number] = failed.get(output_name(number), "there is no edit")
    return row


def rows_of_results(
    folder: Folder,
    name: str,
    results: Path,
    pairs: Sequence[Pair],
    models: Models,
    settings: EditSettings,
) -> list[Row]:
    """The rows of another editor's results: as they are, and with the stitch of this project.

    Args:
        folder: with photos.
        name: of the editor.
        results: a folder of images, named by the number of the pair or by its photo.
        pairs: all of them.
        models, settings: of the stitch.

    Raises:
        FiceError: it has no image of these pairs.
    """
    known = {path.stem: path for path in sorted(results.iterdir()) if is_image_file(path)}
    plain, stitched = Row(Run(name), "none"), Row(Run(name), settings.stitch)
    place = make_folder(make_folder(folder.edits(name).parent) / folder.edits(name).name)
    for number, pair in enumerate(pairs):
        found = known.get(f"{number:04d}") or known.get(Path(pair.photo).stem)
        if found is None or not folder.mask(number).exists():
            plain.failed[number] = stitched.failed[number] = "there is no result"
            continue
        plain.images[number] = found
        photo, _ = load_pair(folder, number)
        image = _at_size(_read(found), photo)
        preparation = preparation_of(models, photo[None], [pair.text], settings)
        task = Task(models, preparation, [pair.text], [pair.worn])
        made, _ = finish_foreign(task, image[None], settings)
        stitched.images[number] = place / edit_name(settings.stitch, number)
        write_bytes(stitched.images[number], as_png(made[0]))
    if not plain.images:
        raise FiceError(
            f"{results} has no image of these pairs: name them 0000.png, 0001.png and so on, in the order of "
            f"{folder.pairs}, or as their photos"
        )
    return [plain, stitched]


def score(
    rows: Sequence[Row],
    folder: Folder,
    pairs: Sequence[Pair],
    judges: Judges,
    known_by: str,
    cases: Cases | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> None:
    """Fill the measures of rows; those of images that have not changed are read from the folder.

    Args:
        rows: with their images.
        folder, pairs: of the comparison.
        judges: the networks that measure.
        known_by: tells the judges apart; measures of others do not count.
        cases: the people, where the truth is known.
        on_done: called after each edit.
    """
    place = make_folder(folder.root / "measures")
    paths = [place / f"{row.name.replace(' ', '-')}.jsonl" for row in rows]
    known = [_known(path) for path in paths]
    for number, pair in enumerate(pairs):
        if not any(number in row.images for row in rows):
            continue
        photo, mask = load_pair(folder, number)
        shown = as_png(photo) + known_by.encode()
        truth = None if cases is None else Truth(cases, number, photo.shape[-1])
        for row, path, values in zip(rows, paths, known, strict=True):
            if number not in row.images:
                continue
            data = read_bytes(row.images[number])
            key = hashlib.sha256(data + shown).hexdigest()
            if key not in values:
                edit = _at_size(decode_photo(data, row.images[number]).pixels, photo)
                values[key] = measure(photo, edit, mask, pair, judges)
                if truth is not None:
                    values[key] |= truth.measure(edit)
                with path.open("ab") as log:
                    # A number that is not finite, as of equal images, is not JSON: it is left as text.
                    texts = {name: repr(value) for name, value in values[key].items()}
                    log.write(json_bytes({"key": key, "values": texts}) + b"\n")
            row.values[number] = values[key] | _taken(folder, row, number)
            on_done()


def _known(path: Path) -> dict[str, dict[str, float]]:
    """Measures of earlier runs by key; a line that a kill cut is left out."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            found[entry["key"]] = {name: float(text) for name, text in entry["values"].items()}
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _taken(folder: Folder, row: Row, number: int) -> dict[str, float]:
    """Seconds and steps of an edit; nothing for another editor's."""
    path = folder.edits(row.run.name) / output_name(number)
    if not path.exists():
        return {}
    try:
        said = json.loads(read_bytes(path))
        found = {"seconds": float(said["seconds"])}
        return found | ({"steps": float(said["steps"])} if said["steps"] else {})
    except (ValueError, KeyError, TypeError) as error:
        raise FiceError(f"{path} is damaged: delete it, and its edit is made again") from error


def _read(path: Path) -> Tensor:
    return decode_photo(read_bytes(path), path).pixels


def _at_size(image: Tensor, photo: Tensor) -> Tensor:
    """An image in the size of its photo."""
    if image.shape == photo.shape:
        return image
    from ..ops.resize import resize

    return resize(image[None], (photo.shape[-2], photo.shape[-1]))[0].clamp(0, 1)


def edits_of(row: Row, folder: Folder) -> Iterator[Tensor]:
    """The edits of a row in the order of the pairs, for distances of sets."""
    for number in sorted(row.images):
        yield _at_size(_read(row.images[number]), load_pair(folder, number)[0])
