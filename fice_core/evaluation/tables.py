"""The figures of an evaluation: one row for every variant, and the tables made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..demo.measure import Measurement


@dataclass(frozen=True)
class VariantScores:
    """Figures of one variant: shares in [0, 1], IoU in [0, 1], changes in grey levels of 255.

    `outside_equal` is None where the variant may change every pixel, so that nothing lies outside.
    `trousers_drift` and `background_drift` are mean CIELAB differences of the generated picture from the
    photo, before stitching; `seam` is `metrics.seam_visibility` of the result. Where long sleeves shall
    become short, or none, `to_short` and `to_none` say of how many they do; `bare_skin` is the CIELAB
    distance of those lower arms from the person's own, None without any.
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
    trousers_drift: float = 0.0
    background_drift: float = 0.0
    seam: float = 0.0
    to_short: tuple[int, int] = (0, 0)
    to_none: tuple[int, int] = (0, 0)
    bare_skin: float | None = None


@dataclass(frozen=True)
class ScoreTable:
    """The tables and everything in them.

    `untouched_iou` is the part network's own score on the pictures before any edit: what a perfect
    edit would get.
    """

    count: int
    untouched_iou: float
    rows: list[VariantScores]

    def table(self) -> str:
        """What the text asked for, and what else changed, in Markdown."""
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
        lines += ["", f"Pose IoU of the pictures before the edit: {self.untouched_iou:.3f}"]
        return "\n".join(lines)

    def surroundings(self) -> str:
        """What happens around the garment, in Markdown."""
        names = ["variant", "trousers drift", "background drift", "seam"]
        names += ["long to short", "long to none", "skin difference"]
        lines = ["| " + " | ".join(names) + " |", "|---|" + "---:|" * 6]
        for row in self.rows:
            sleeves = " | ".join(f"{of[0]} of {of[1]}" for of in (row.to_short, row.to_none))
            skin = "–" if row.bare_skin is None else f"{row.bare_skin:.1f}"
            lines.append(
                f"| {row.variant} | {row.trousers_drift:.2f} | {row.background_drift:.2f} | "
                f"{row.seam:.2f} | {sleeves} | {skin} |"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


class Tally:
    """Everything measured on one variant so far."""

    def __init__(self) -> None:
        self.hits: list[tuple[bool, bool, bool]] = []
        self.numbers: list[tuple[float, ...]] = []  # IoU, background, face, two drifts, seam
        self.bare: list[
            tuple[str, bool, float]
        ] = []  # sleeves wished for, success, skin difference
        self.equal: list[bool] = []  # of the pictures that have an outside
        self.steps: list[int] = []
        self.seconds = 0.0
        self.failures: list[str] = []

    def judge(self, wish: tuple[str, str, str], sentence: str, seen: Measurement) -> None:
        """Compare what is seen with the colour, pattern and sleeves that were wished for."""
        hit = (seen.colour == wish[0], seen.sleeve == wish[2], seen.pattern == wish[1])
        self.hits.append(hit)
        if not all(hit):
            self.failures.append(
                f"{sentence}: {seen.colour}, {seen.pattern}, {seen.sleeve} ({seen.coverage:.2f})"
            )

    def row(self, name: str) -> VariantScores:
        """The means."""
        count = len(self.hits)
        colour, sleeve, pattern = (sum(column) / count for column in zip(*self.hits, strict=True))
        iou, background, face, trousers, backdrop, seam = (
            sum(column) / count for column in zip(*self.numbers, strict=True)
        )
        skins = [skin for _, success, skin in self.bare if success and math.isfinite(skin)]
        return VariantScores(
            name, colour, sleeve, pattern, iou, _mean(self.equal), background, face,
            sum(self.steps) / len(self.steps), self.seconds / count, self.failures, trousers, backdrop,
            seam, self._bared("short"), self._bared("sleeveless"), _mean(skins),
        )  # fmt: skip

    def _bared(self, wish: str) -> tuple[int, int]:
        hits = [success for sleeves, success, _ in self.bare if sleeves == wish]
        return sum(hits), len(hits)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
