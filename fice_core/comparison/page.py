"""One self-contained HTML page: all edits side by side, and pairwise blind votes that it saves as CSV."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..errors import FiceError
from ..files import read_bytes
from .folder import Folder
from .pairs import Pair
from .scoring import Row

_TEMPLATE = Path(__file__).with_name("page.html")
MOST = 128  # pairs on the page: it holds all their images
_SIDE = 384  # pixels of an image on the page at most
_QUALITY = 90
_VOTELESS = ("copy", "reconstruction")  # what nobody has to be asked about


def page(folder: Folder, pairs: Sequence[Pair], rows: Sequence[Row]) -> bytes:
    """The page. It loads nothing from elsewhere.

    Args:
        folder: with the photos.
        pairs: all of them; the page shows the first `MOST`.
        rows: with their images.
    """
    shown = pairs[:MOST]
    data = {
        "id": hashlib.sha256(repr([*pairs, *(row.name for row in rows)]).encode()).hexdigest()[:12],
        "pairs": [
            {"text": pair.text, "worn": pair.worn, "photo": _embedded(folder.photo(number))}
            for number, pair in enumerate(shown)
        ],
        "rows": [
            {
                "name": row.name,
                "votes": row.run.method not in _VOTELESS,
                "images": [
                    _embedded(row.images[number]) if number in row.images else None
                    for number in range(len(shown))
                ],
            }
            for row in rows
        ],
    }
    # Within a script, nothing but an end tag ends it.
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/", text).encode()


def preferences(path: str | Path) -> str:
    """A Markdown table of saved votes: how often each row won, lost and was equal, by question.

    Raises:
        FiceError: the file is no table of votes.
    """
    try:
        votes = list(csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")))
        counts: dict[tuple[str, str], list[int]] = {}
        for vote in votes:
            for side, other in (("a", "b"), ("b", "a")):
                count = counts.setdefault((vote["question"], vote[side]), [0, 0, 0])
                count[{side: 0, other: 1, "equal": 2}[vote["choice"]]] += 1
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise FiceError(f"{path} is no table of votes as the page saves them") from error
    if not votes:
        raise FiceError(f"{path} has no votes: give a file that the page saved")
    lines = ["| question | method | preferred | not | equal |", "|---|---|---:|---:|---:|"]
    ranked = sorted(counts.items(), key=lambda item: (item[0][0], -item[1][0] / sum(item[1])))
    for (question, name), (won, missed, equal) in ranked:
        share = 100 * won / (won + missed + equal)
        lines.append(f"| {question} | {name} | {won} ({share:.0f} %) | {missed} | {equal} |")
    return "\n".join(lines)


def _embedded(path: Path) -> str:
    """An image file as a data address, in JPEG and not larger than `_SIDE`."""
    image = Image.open(io.BytesIO(read_bytes(path))).convert("RGB")
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
