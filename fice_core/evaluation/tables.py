"""The scores of an evaluation, one row a variant, and the Markdown tables of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .case import Measurement


@dataclass(frozen=True)
class VariantScores:
    """Scores of one variant: shares and IoU in [0, 1], changes in grey levels of 255.

    Attributes:
        variant: its name.
        colour, sleeve, pattern: share of the edits that have what the prompt asks for.
        pose_iou: soft Jaccard index of the part maps, by the judge.
        outside_equal: share of the edits whose pixels outside the mask are the photo's, bit for bit; None
            if the variant may change every pixel.
        background_change, face_change: mean absolute difference from the photo, after stitching.
        steps, seconds: mean over the edits.
        failures: a line for every edit that misses what its prompt asks for.
        trousers_drift, background_drift: mean CIELAB difference of the generated image from the photo,
            before stitching, where no garment can reach; None if there is no such place.
        seam: `metrics.seam_visibility` of the result.
        to_short, to_none: of the edits that ask to shorten long sleeves, or to remove them: how many
            succeed, and how many there are.
        bare_skin: CIELAB distance of the newly bare lower arms from the person's own skin; None without any.
    """

    variant: str
    colour: float
    sleeve: float
    pattern: float
    pose_iou: float
    outside_equal: float | None
    background_change: float
    face_change: float
    steps: float
    seconds: float
    failures: list[str]
    trousers_drift: float | None = 0.0
    background_drift: float | None = 0.0
    seam: float = 0.0
    to_short: tuple[int, int] = (0, 0)
    to_none: tuple[int, int] = (0, 0)
    bare_skin: float | None = None


@dataclass(frozen=True)
class ScoreTable:
    """The scores of all variants.

    Attributes:
        count: edits a variant.
        untouched_iou: pose IoU of the images before any edit, which is the limit of the judge.
        rows: one a variant.
    """

    count: int
    untouched_iou: float
    rows: list[VariantScores]

    def table(self) -> str:
        """A Markdown table of what the prompts ask for, and of what else changes."""
        names: tuple[str, ...] = (
            "colour",
            "sleeves",
            "pattern",
            "pose IoU",
            "outside equal",
            "background",
            "face",
        )
        names = ("variant", *names, "steps", "s/edit")
        lines = ["| " + " | ".join(names) + " |", "|---|" + "---:|" * 9]
        for row in self.rows:
            shares = " | ".join(f"{100 * v:.1f} %" for v in (row.colour, row.sleeve, row.pattern))
            equal = "–" if row.outside_equal is None else f"{100 * row.outside_equal:.0f} %"
            lines.append(
                f"| {row.variant} | {shares} | {row.pose_iou:.3f} | {equal} | "
                f"{row.background_change:.2f} | {row.face_change:.2f} | {row.steps:.0f} | {row.seconds:.1f} |"
            )
        lines += ["", f"Pose IoU of the images before the edit: {self.untouched_iou:.3f}"]
        return "\n".join(lines)

    def surroundings(self) -> str:
        """A Markdown table of what happens around the garment."""
        names = ["variant", "trousers drift", "background drift", "seam"]
        names += ["long to short", "long to none", "skin difference"]
        lines = ["| " + " | ".join(names) + " |", "|---|" + "---:|" * 6]
        for row in self.rows:
            sleeves = " | ".join(f"{of[0]} of {of[1]}" for of in (row.to_short, row.to_none))
            drifts = " | ".join(_number(v, 2) for v in (row.trousers_drift, row.background_drift))
            lines.append(
                f"| {row.variant} | {drifts} | {row.seam:.2f} | {sleeves} | {_number(row.bare_skin, 1)} |"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


class Tally:
    """The measurements of one variant so far."""

    def __init__(self) -> None:
        self.hits: list[tuple[bool, bool, bool]] = []
        self.numbers: list[tuple[float, ...]] = []  # IoU, background, face, two drifts, seam
        self.bare: list[tuple[str, bool, float]] = []  # sleeves asked for, success, skin difference
        self.equal: list[bool] = []  # of the edits that may not change everything
        self.steps: list[int] = []
        self.seconds = 0.0
        self.failures: list[str] = []

    def judge(self, wanted: tuple[str, str, str], sentence: str, seen: Measurement) -> None:
        """Compare a measurement with the colour, pattern and sleeves of its prompt."""
        hit = (seen.colour == wanted[0], seen.sleeve == wanted[2], seen.pattern == wanted[1])
        self.hits.append(hit)
        if not all(hit):
            self.failures.append(
                f"{sentence}: {seen.colour}, {seen.pattern}, {seen.sleeve} ({seen.coverage:.2f})"
            )

    def row(self, name: str) -> VariantScores:
        """The mean of every measurement."""
        count = len(self.hits)
        colour, sleeve, pattern = (sum(column) / count for column in zip(*self.hits, strict=True))
        means = [
            _mean([value for value in column if math.isfinite(value)])
            for column in zip(*self.numbers, strict=True)
        ]
        iou, background, face, seam = (means[k] or 0.0 for k in (0, 1, 2, 5))
        trousers, backdrop = means[3], means[4]
        skins = [skin for _, success, skin in self.bare if success and math.isfinite(skin)]
        return VariantScores(
            name, colour, sleeve, pattern, iou, _mean(self.equal), background, face,
            sum(self.steps) / len(self.steps), self.seconds / count, self.failures, trousers, backdrop,
            seam, self._bared("short"), self._bared("sleeveless"), _mean(skins),
        )  # fmt: skip

    def _bared(self, wanted: str) -> tuple[int, int]:
        hits = [success for sleeves, success, _ in self.bare if sleeves == wanted]
        return sum(hits), len(hits)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
