"""Scores of edits of people whose truth is known.

The people come from seeds that no training uses. Colour, pattern and sleeves are measured on the image,
without a network. The pose is measured by a separate part network, the judge, which steers no edit, against
the true part map of the source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..checkpoints import load_densepose
from ..editing.pipeline import edit
from ..errors import FiceError
from ..extraction.extractors import extract_pose
from ..models import DEMO_WEIGHTS, Models
from ..networks.densepose import DensePose
from ..ops.overlap import soft_iou
from ..settings import EditSettings
from . import drawn
from .case import Cases
from .cases import Person, cases
from .metrics import mean_difference, seam_visibility, unchanged_outside
from .tables import ScoreTable, Tally

_BATCH = 8
#: pixels a side up to which a generator is taken for one of drawn figures
_DRAWN_SIZE = 128


def cases_for(
    models: Models,
    count: int,
    seed: int = 0,
    bare: bool = False,
    people: Sequence[Person] | None = None,
) -> Cases:
    """The cases that suit a set of networks: rendered people, or drawn figures for a generator of theirs.

    Raises:
        FiceError: fewer than one case; the generator's images are not square.
    """
    if side_of(models) <= _DRAWN_SIZE:
        return drawn.cases(count, seed, bare)
    return cases(count, seed, bare, people)


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
    keep: Callable[[str, list[str], Tensor, Tensor], None] | None = None,
    bare: bool = False,
    people: Sequence[Person] | None = None,
    judge: Path | None = None,
) -> ScoreTable:
    """Edit `count` held-out pairs of person and prompt in every variant and measure the results.

    Args:
        models: the demonstration set, or another set for its people.
        count: pairs of person and prompt.
        settings: of the row "default".
        variants: names of rows; None for all.
        progress: called with the number of edits done, and of all.
        seed: of the cases.
        keep: called with the variant, the prompts, the source images and the edited images of every batch.
        bare: see `cases`.
        people: who is edited; None for the gallery's.
        judge: file of the part network that measures poses; None for the bundled one.

    Raises:
        FiceError: an unknown variant, count below one.
    """
    rows = _chosen(settings or EditSettings(), variants)
    todo = cases_for(models, count, seed, bare, people)
    network = load_judge(judge)
    result = []
    for number, (name, chosen) in enumerate(rows.items()):
        tally = Tally()
        for start in range(0, count, _BATCH):
            span = slice(start, start + _BATCH)
            _evaluate_batch(models, network, todo, span, chosen, tally, name, keep)
            if progress is not None:
                progress(number * count + len(tally.hits), len(rows) * count)
        result.append(tally.row(name))
    return ScoreTable(count, _untouched(network, todo, side_of(models)), result)


def side_of(models: Models) -> int:
    """The width and height of the generator's images.

    Raises:
        FiceError: they are not square.
    """
    height, width = models.generator.resolution
    if height != width:
        raise FiceError(
            "the evaluation shows people in square images, but those of this generator are not square: use "
            "the demonstration set"
        )
    return height


def _untouched(judge: DensePose, todo: Cases, size: int) -> float:
    """The judge's pose IoU of the photos before any edit: what it can reach."""
    total = 0.0
    for start in range(0, len(todo), _BATCH):
        truth = todo.sitting(slice(start, start + _BATCH), size).truth
        total += float(soft_iou(extract_pose(judge, truth.images), truth.parts()).sum())
    return total / len(todo)


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
    settings: EditSettings,
    tally: Tally,
    name: str,
    keep: Callable[[str, list[str], Tensor, Tensor], None] | None,
) -> None:
    sitting = todo.sitting(span, side_of(models))
    truth = sitting.truth
    prompts, wanted = todo.prompts[span], todo.wanted[span]
    started = time.monotonic()
    result = edit(models, truth.images, prompts, settings)
    tally.seconds += time.monotonic() - started
    tally.steps.append(result.steps)
    images = result.images.clamp(0, 1)
    if keep is not None:
        keep(name, prompts, truth.images, images)
    seen = sitting.measure(images)
    for asked, sentence, what in zip(wanted, prompts, seen, strict=True):
        tally.judge(asked, sentence, what)
    iou = soft_iou(extract_pose(judge, images), truth.parts())
    has_outside = (result.edit_mask == 0).flatten(1).any(dim=1)
    equal = unchanged_outside(result.images, truth.images, result.edit_mask)
    tally.equal += equal[has_outside].tolist()
    background = 255 * mean_difference(images, truth.images, (truth.background > 0.99).float())
    face = 255 * mean_difference(images, truth.images, (truth.head > 0.99).float())
    lower, backdrop = sitting.drift(result.generated)
    seam = seam_visibility(images, (truth.images, result.generated), result.edit_mask)
    columns = (iou, background, face, lower, backdrop, seam)
    tally.numbers += [tuple(float(c[i]) for c in columns) for i in range(len(prompts))]
    skin = sitting.bare_skin(images)
    for i, bare in enumerate(sitting.becomes_bare()):
        if bare:
            sleeves = wanted[i][2]
            tally.bare.append((sleeves, seen[i].sleeve == sleeves, float(skin[i])))
