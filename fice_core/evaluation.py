"""How good the edits are, on figures whose truth the renderer knows.

The cases are drawn from a seed that no training uses. Colour, pattern and sleeves are measured on the
picture by `demo.measure`, without a network; the pose by a part network (`judge`) of its own, which
never steered an edit, against the renderer's part map of the source figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoints import load_densepose
from .demo.attributes import COLOURS, PATTERNS, SLEEVES, Attributes, sample_attributes, sleeve_class
from .demo.captions import nearest_colour, prompt
from .demo.measure import Measurement, measure
from .demo.renderer import render
from .editing import DEMO_WEIGHTS, Models, edit
from .errors import FiceError
from .initialization import extract_pose
from .metrics import mean_difference, to_lab, unchanged_outside
from .networks.densepose import DensePose
from .settings import EditSettings

HELD_OUT_SEED = 1_000_003
_BATCH = 8
#: on an arm, cloth and skin must differ by this much in CIELAB to be told apart by colour
_TELLABLE = 32.0


@dataclass(frozen=True)
class Cases:
    """n figures and the garments that are asked for."""

    figures: Attributes
    colours: list[str]
    patterns: list[str]
    sleeves: list[str]

    @property
    def prompts(self) -> list[str]:
        """One sentence per case."""
        return [
            prompt(*wish) for wish in zip(self.colours, self.patterns, self.sleeves, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.colours)


def cases(count: int, seed: int = 0) -> Cases:
    """Figures and wishes never used in training. Every wish is for another colour than the figure wears,
    and one that can be told from its skin.

    Raises:
        FiceError: fewer than one case.
    """
    if count < 1:
        raise FiceError(f"count is {count}, but at least one pair of figure and prompt is needed")
    generator = torch.Generator().manual_seed(HELD_OUT_SEED + seed)
    figures = sample_attributes(4 * count + 64, generator)
    kept = (sleeve_class(figures) >= 0).nonzero().flatten()[:count]
    figures = figures[kept]
    worn, _ = nearest_colour(figures.colour)
    table = torch.from_numpy(to_lab(torch.tensor(list(COLOURS.values())).double().numpy()))
    skin = torch.from_numpy(to_lab(figures.skin.double().numpy()))
    distance = torch.cdist(skin, table)
    colours = []
    for i, name in enumerate(worn):
        options = [c for k, c in enumerate(COLOURS) if c != name and distance[i, k] > _TELLABLE]
        colours.append(options[int(torch.randint(len(options), (), generator=generator))])
    patterns = [
        PATTERNS[int(k)] for k in torch.randint(len(PATTERNS), (count,), generator=generator)
    ]
    sleeves = [SLEEVES[int(k)] for k in torch.randint(len(SLEEVES), (count,), generator=generator)]
    return Cases(figures, colours, patterns, sleeves)


def variants(settings: EditSettings) -> dict[str, EditSettings]:
    """The rows of the table: the settings, the paper's, and the settings with one part taken away."""
    return {
        "default": settings,
        "paper": EditSettings.paper(),
        "no pose term": settings.with_weights(pose=0),
        "no image term": settings.with_weights(image=0),
        "no latent term": settings.with_weights(latent=0, latent_prior=0),
        "no stitching": replace(settings, stitch="none"),
    }


@dataclass(frozen=True)
class Row:
    """Figures of one variant: shares in [0, 1], IoU in [0, 1], differences in grey levels of 255.

    `outside_equal` is None where the variant may change every pixel, so that nothing lies outside.
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


@dataclass(frozen=True)
class Report:
    """The table and everything in it.

    `untouched_iou` is the part network's own score on the pictures before any edit: what a perfect
    edit would get.
    """

    count: int
    untouched_iou: float
    rows: list[Row]

    def table(self) -> str:
        """Markdown."""
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def load_judge(path: Path | None = None) -> DensePose:
    """The part network that only judges.

    Raises:
        FiceError: its file is missing.
    """
    return load_densepose(path or DEMO_WEIGHTS / "judge.safetensors")


def soft_iou(parts: Tensor, target: Tensor) -> Tensor:
    """Jaccard index of soft part maps (N, 14, h, w): sum of minima over sum of maxima, (N,)."""
    shared = torch.minimum(parts, target).flatten(1).sum(1)
    return shared / torch.maximum(parts, target).flatten(1).sum(1).clamp_min(1e-6)


def evaluate(
    models: Models,
    count: int = 64,
    settings: EditSettings | None = None,
    variants: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
    keep: Callable[[str, Tensor, Tensor], None] | None = None,
) -> Report:
    """Edit `count` held-out pairs in every variant and measure the results.

    Args:
        models: the demonstration set (or another trained on its figures).
        count: pairs of figure and prompt.
        settings: of the row "default".
        variants: names of rows; None for all.
        progress: called with the edits done and to do.
        seed: another draw of cases.
        keep: called with variant, source pictures and edited pictures of every batch.

    Raises:
        FiceError: an unknown variant, count below one.
    """
    rows = _chosen(settings or EditSettings(), variants)
    todo = cases(count, seed)
    judge = load_judge()
    height, width = models.generator.resolution
    if height != width:
        raise FiceError(
            "the evaluation draws square figures, but this generator's pictures are not square"
        )
    result = []
    for number, (name, chosen) in enumerate(rows.items()):
        tally = _Tally()
        for start in range(0, count, _BATCH):
            span = slice(start, start + _BATCH)
            _evaluate_batch(models, judge, todo, span, height, chosen, tally, name, keep)
            if progress is not None:
                progress(number * count + len(tally.hits), len(rows) * count)
        result.append(tally.row(name))
    truth = render(todo.figures, height)
    untouched = soft_iou(extract_pose(judge, truth.images), truth.parts()).mean()
    return Report(count, float(untouched), result)


def _chosen(settings: EditSettings, names: Sequence[str] | None) -> dict[str, EditSettings]:
    known = variants(settings)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise FiceError(f"there is no variant {unknown[0]!r}: choose from {', '.join(known)}")
    return {name: known[name] for name in (names or known)}


class _Tally:
    """Everything measured on one variant so far."""

    def __init__(self) -> None:
        self.hits: list[tuple[bool, bool, bool]] = []
        self.numbers: list[tuple[float, float, float]] = []  # IoU, background, face
        self.equal: list[bool] = []  # of the pictures that have an outside
        self.steps: list[int] = []
        self.seconds = 0.0
        self.failures: list[str] = []

    def judge(self, wish: tuple[str, str, str], sentence: str, seen: Measurement) -> None:
        hit = (seen.colour == wish[0], seen.sleeve == wish[2], seen.pattern == wish[1])
        self.hits.append(hit)
        if not all(hit):
            self.failures.append(
                f"{sentence}: {seen.colour}, {seen.pattern}, {seen.sleeve} ({seen.coverage:.2f})"
            )

    def row(self, name: str) -> Row:
        count = len(self.hits)
        colour, sleeve, pattern = (sum(column) / count for column in zip(*self.hits, strict=True))
        iou, background, face = (sum(column) / count for column in zip(*self.numbers, strict=True))
        equal = sum(self.equal) / len(self.equal) if self.equal else None
        return Row(
            name, colour, sleeve, pattern, iou, equal, background, face,
            sum(self.steps) / len(self.steps), self.seconds / count, self.failures,
        )  # fmt: skip


def _evaluate_batch(
    models: Models,
    judge: DensePose,
    todo: Cases,
    span: slice,
    size: int,
    settings: EditSettings,
    tally: _Tally,
    name: str,
    keep: Callable[[str, Tensor, Tensor], None] | None,
) -> None:
    figures = todo.figures[span]
    truth = render(figures, size)
    prompts = todo.prompts[span]
    started = time.monotonic()
    result = edit(models, truth.images, prompts, settings)
    tally.seconds += time.monotonic() - started
    tally.steps.append(result.steps)
    images = result.images.clamp(0, 1)
    if keep is not None:
        keep(name, truth.images, images)
    wishes = list(zip(todo.colours[span], todo.patterns[span], todo.sleeves[span], strict=True))
    for wish, sentence, seen in zip(
        wishes, prompts, measure(images, figures, todo.colours[span]), strict=True
    ):
        tally.judge(wish, sentence, seen)
    iou = soft_iou(extract_pose(judge, images), truth.parts())
    has_outside = (result.edit_mask == 0).flatten(1).any(dim=1)
    equal = unchanged_outside(result.images, truth.images, result.edit_mask)
    tally.equal += equal[has_outside].tolist()
    background = 255 * mean_difference(images, truth.images, (truth.background > 0.99).float())
    face = 255 * mean_difference(images, truth.images, (truth.head > 0.99).float())
    columns = (iou, background, face)
    tally.numbers += [tuple(float(c[i]) for c in columns) for i in range(len(prompts))]  # type: ignore[misc]
