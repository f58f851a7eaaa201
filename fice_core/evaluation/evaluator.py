"""Scores of edits on drawn figures, whose truth is known.

The cases come from a seed that no training uses. Colour, pattern and sleeves are measured on the image
by `demo.measure`, without a network. The pose is measured by a separate part network, the judge, which
steers no edit, against the renderer's part map of the source figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints import load_densepose
from ..demo.attributes import (
    COLOURS,
    PATTERNS,
    SLEEVES,
    Attributes,
    sample_attributes,
    sleeve_class,
)
from ..demo.captions import nearest_colour, prompt
from ..demo.differences import bare_skin, becomes_bare, drift
from ..demo.measure import measure
from ..demo.renderer import render
from ..editing.pipeline import edit
from ..errors import FiceError
from ..extraction.extractors import extract_pose
from ..models import DEMO_WEIGHTS, Models
from ..networks.densepose import DensePose
from ..ops.color import to_lab
from ..ops.overlap import soft_iou
from ..settings import EditSettings
from .metrics import mean_difference, seam_visibility, unchanged_outside
from .tables import ScoreTable, Tally

HELD_OUT_SEED = 1_000_003
_BATCH = 8
#: CIELAB distance from which cloth and skin on an arm are told apart by colour
_TELLABLE = 32.0


@dataclass(frozen=True)
class Cases:
    """n figures, and the colour, pattern and sleeves that are asked of each."""

    figures: Attributes
    colours: list[str]
    patterns: list[str]
    sleeves: list[str]

    @property
    def prompts(self) -> list[str]:
        """One sentence a case."""
        return [
            prompt(*wanted)
            for wanted in zip(self.colours, self.patterns, self.sleeves, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.colours)


def cases(count: int, seed: int = 0, bare: bool = False) -> Cases:
    """Held-out cases. Every case asks for another colour than the figure wears, and for one that differs
    from its skin.

    With `bare`, all figures wear long sleeves and all cases ask for short ones or none.

    Raises:
        FiceError: fewer than one case.
    """
    if count < 1:
        raise FiceError(f"count is {count}, but must be at least 1")
    generator = torch.Generator().manual_seed(HELD_OUT_SEED + seed)
    figures = sample_attributes((16 if bare else 4) * count + 64, generator)
    worn_sleeves = sleeve_class(figures)
    fit = worn_sleeves == SLEEVES.index("long") if bare else worn_sleeves >= 0
    kept = fit.nonzero().flatten()[:count]
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
    lengths = [name for name in SLEEVES if not (bare and name == "long")]
    sleeves = [lengths[int(k)] for k in torch.randint(len(lengths), (count,), generator=generator)]
    return Cases(figures, colours, patterns, sleeves)


def variants(settings: EditSettings) -> dict[str, EditSettings]:
    """The settings of every row of the table, by name.

    The given settings and the other presets; every term computed at every step, and the same with 100
    plain steps; the settings without one of their parts; and with everything but the garment held to the
    photo, see docs/fidelity.md.
    """
    every_term = replace(
        settings, head_every=1, pose_every=1, head_scale=1.0, mixed_precision=False
    )
    return {
        "default": settings,
        "draft": EditSettings.draft(),
        "paper": EditSettings.paper(),
        "no approximation": every_term,
        "no shortcut": replace(every_term, steps=100, learning_rate=0.08, beta1=0.9, beta2=0.999),
        "no pose term": settings.with_weights(pose=0),
        "no image term": settings.with_weights(image=0),
        "no latent term": settings.with_weights(latent=0, latent_prior=0),
        "no stitching": replace(settings, stitch="none"),
        "garment alone": replace(settings, hold=True, refine_steps=60, tune_steps=60),
    }


def load_judge(path: Path | None = None) -> DensePose:
    """The part network that measures the pose of edits.

    Raises:
        FiceError: its file is missing.
    """
    return load_densepose(path or DEMO_WEIGHTS / "judge.safetensors")


def evaluate(
    models: Models,
    count: int = 64,
    settings: EditSettings | None = None,
    variants: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
    keep: Callable[[str, Tensor, Tensor], None] | None = None,
    bare: bool = False,
) -> ScoreTable:
    """Edit `count` held-out pairs in every variant and measure the results.

    Args:
        models: the demonstration set, or another set for its figures.
        count: pairs of figure and prompt.
        settings: of the row "default".
        variants: names of rows; None for all.
        progress: called with the number of edits done, and of all.
        seed: of the cases.
        keep: called with the variant, the source images and the edited images of every batch.
        bare: see `cases`.

    Raises:
        FiceError: an unknown variant, count below one.
    """
    rows = _chosen(settings or EditSettings(), variants)
    todo = cases(count, seed, bare)
    judge = load_judge()
    height, width = models.generator.resolution
    if height != width:
        raise FiceError(
            "the evaluation draws square figures, but the images of this generator are not square: use "
            "the demonstration set"
        )
    result = []
    for number, (name, chosen) in enumerate(rows.items()):
        tally = Tally()
        for start in range(0, count, _BATCH):
            span = slice(start, start + _BATCH)
            _evaluate_batch(models, judge, todo, span, height, chosen, tally, name, keep)
            if progress is not None:
                progress(number * count + len(tally.hits), len(rows) * count)
        result.append(tally.row(name))
    truth = render(todo.figures, height)
    untouched = soft_iou(extract_pose(judge, truth.images), truth.parts()).mean()
    return ScoreTable(count, float(untouched), result)


def _chosen(settings: EditSettings, names: Sequence[str] | None) -> dict[str, EditSettings]:
    known = variants(settings)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise FiceError(f"there is no variant {unknown[0]!r}: choose from {', '.join(known)}")
    return {name: known[name] for name in (names or known)}


def _evaluate_batch(
    models: Models,
    judge: DensePose,
    todo: Cases,
    span: slice,
    size: int,
    settings: EditSettings,
    tally: Tally,
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
    asked = list(zip(todo.colours[span], todo.patterns[span], todo.sleeves[span], strict=True))
    seen = measure(images, figures, todo.colours[span])
    for wanted, sentence, what in zip(asked, prompts, seen, strict=True):
        tally.judge(wanted, sentence, what)
    iou = soft_iou(extract_pose(judge, images), truth.parts())
    has_outside = (result.edit_mask == 0).flatten(1).any(dim=1)
    equal = unchanged_outside(result.images, truth.images, result.edit_mask)
    tally.equal += equal[has_outside].tolist()
    background = 255 * mean_difference(images, truth.images, (truth.background > 0.99).float())
    face = 255 * mean_difference(images, truth.images, (truth.head > 0.99).float())
    trousers, backdrop = drift(result.generated, truth, figures)
    seam = seam_visibility(images, (truth.images, result.generated), result.edit_mask)
    columns = (iou, background, face, trousers, backdrop, seam)
    tally.numbers += [tuple(float(c[i]) for c in columns) for i in range(len(prompts))]
    skin = bare_skin(images, figures)
    for i, bare in enumerate(becomes_bare(figures, todo.sleeves[span])):
        if bare:
            sleeves = todo.sleeves[span][i]
            tally.bare.append((sleeves, seen[i].sleeve == sleeves, float(skin[i])))
