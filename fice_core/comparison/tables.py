"""The tables of a comparison: Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from .intervals import difference, interval
from .measures import MEASURES
from .methods import OURS
from .scoring import Row

SETS = {"fid": "FID", "kid": "KID x 1000", "clip_fid": "CLIP-FID"}
_MSE = "mse"  # means of PSNR are taken of this


def means(row: Row) -> dict[str, tuple[float, float, float]]:
    """Mean and bounds of every measure of a row that has values.

    The PSNR is that of the mean squared error over all edits: single edits may have none.
    """
    found = {}
    for name in MEASURES:
        values = row.column(name)
        if not values:
            continue
        if name != "psnr":
            found[name] = interval(values)
            continue
        mean, low, high = interval([10 ** (-value / 10) for value in values])
        found[name] = (_decibels(mean), _decibels(high), _decibels(low))
    return found


def markdown(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """A Markdown table: one row a run and stitch, means with the half width of their 95 % intervals."""
    known = [means(row) for row in rows]
    names = [name for name in columns or MEASURES if any(name in found for found in known)]
    sets = [name for name in SETS if any(name in row.sets for row in rows)]
    titles = [MEASURES[name].title for name in names] + [SETS[name] for name in sets]
    lines = ["| method | stitch | " + " | ".join(titles) + " | edits |"]
    lines.append("|---|---|" + "---:|" * (len(titles) + 1))
    for row, found in zip(rows, known, strict=True):
        cells = [_cell(name, found.get(name)) for name in names]
        cells += [f"{row.sets[name]:.2f}" if name in row.sets else "–" for name in sets]
        count = f"{len(row.images)}" + (f" ({len(row.failed)} failed)" if row.failed else "")
        lines.append(f"| {row.run.name} | {row.stitch} | " + " | ".join(cells) + f" | {count} |")
    return "\n".join(lines)


def mgd(rows: Sequence[Row]) -> str:
    """The columns of MGD (arXiv 2304.02051). CLIP-S is that of the garment's crop, by the judge, times 100.

    PD is measured on the middles of DensePose's parts, not on joints: compare it within this table only.
    """
    lines = ["| method | stitch | FID | KID | CLIP-S | PD |", "|---|---|" + "---:|" * 4]
    for row in rows:
        found = means(row)
        clip = found.get("judge_crop")
        values = (
            row.sets.get("fid"),
            row.sets.get("kid"),
            None if clip is None else 100 * max(clip[0], 0.0),
            found["pose_distance"][0] if "pose_distance" in found else None,
        )
        cells = ["–" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"| {row.run.name} | {row.stitch} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_csv(rows: Sequence[Row], pairs: int) -> bytes:
    """Every measure of every edit, one edit a row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    names = [name for name in MEASURES if any(row.column(name) for row in rows)]
    writer.writerow(["method", "stitch", "pair", *names, "failed"])
    for row in rows:
        for number in range(pairs):
            values = row.values.get(number, {})
            cells = [values.get(name, "") for name in names]
            writer.writerow([row.run.name, row.stitch, number, *cells, row.failed.get(number, "")])
    return text.getvalue().encode()


def as_dict(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain values for JSON: means with bounds, and differences of the same edits from ours, stitched alike.

    PSNR is missing among the differences, because it can be infinite.
    """
    ours = [row for row in rows if row.run.method == OURS]
    found = []
    for row in rows:
        entry: dict[str, Any] = {
            "method": row.run.method,
            "seconds": row.run.seconds,
            "stitch": row.stitch,
            "edits": len(row.images),
            "failed": {str(number): reason for number, reason in row.failed.items()},
            "mean": {name: _plain(values) for name, values in means(row).items()},
            "sets": row.sets,
        }
        alike = [own for own in ours if own.stitch == row.stitch]
        # of a method that takes no steps, the first row of ours; else the one with the same seconds
        alike.sort(key=lambda own: own.run.seconds != row.run.seconds)
        if alike and row.run.method != OURS:
            entry["minus ours"] = _differences(row, alike[0])
        found.append(entry)
    return found


def _differences(row: Row, ours: Row) -> dict[str, list[float | None]]:
    both = sorted(row.values.keys() & ours.values.keys())
    found = {}
    for name in MEASURES:
        pairs = [
            (row.values[k][name], ours.values[k][name])
            for k in both
            if name in row.values[k] and name in ours.values[k]
        ]
        if pairs and name != "psnr":
            found[name] = _plain(difference([a for a, _ in pairs], [b for _, b in pairs]))
    return found


def _plain(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _cell(name: str, found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "–"
    column = MEASURES[name]
    scale = 100 if column.percent else 1
    mean, low, high = (scale * value for value in found)
    if not math.isfinite(mean):
        return "∞"
    half = (high - low) / 2
    spread = f" ± {half:.{column.digits}f}" if math.isfinite(half) and half > 0 else ""
    return f"{mean:.{column.digits}f}{spread}{' %' if column.percent else ''}"


def _decibels(mse: float) -> float:
    return -10 * math.log10(mse) if mse > 0 else math.inf
