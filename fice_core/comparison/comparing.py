"""A whole comparison: pairs, edits, measures, reports. What is done already is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from ..errors import FiceError
from ..evaluation.case import Cases
from ..evaluation.evaluator import load_judge
from ..files import write_bytes, write_json
from ..models import LOADERS, Models, load_models
from ..reporting.edit_report import package_version
from . import sets
from .editor import Setup
from .folder import Folder, load_pair, set_out
from .lpips import load_lpips
from .measures import Judges
from .methods import METHODS, Means, check_means, chosen
from .names import output_name
from .page import page
from .pairs import Pair, read_pairs
from .running import Run, run_method
from .scoring import Row, edits_of, row_of_run, rows_of_results, score
from .sources import DEMO, Photos, open_source, pairs_of, texts_of
from .tables import as_csv, as_dict, markdown, mgd

REPORTS = ("table.md", "edits.csv", "report.json", "page.html")
_FEW = 2  # images of a set at least


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, and how.

    Attributes:
        photos: "demo", or a data set as `datasets.open_photos` takes it.
        texts: a data set as `datasets.open_texts` takes it; "" for the demonstration's own, or with `pairs`.
        pairs: a file of pairs from an earlier run; "" to draw them.
        split: of the photos' data set; None for all.
        count: pairs to draw.
        seed: of the pairs.
        variants: methods; empty for all that can be built.
        seconds: every method that takes steps is also run with as many as fit into so much time an edit;
            None for its own number alone.
        only_seconds: leave out such methods at their own number of steps.
        results: folders of other editors' results by name.
        means: what rivals need beside the models.
        at_once: edits that are computed together.
        workers, threads: of the edits.
        address: of a Ray cluster whose machines edit, as many workers as fit; None for this machine.
        judge: a CLIP that no method optimises, as `load_models` takes it; None for none.
        lpips: a file of torchvision's alexnet, vgg16 or squeezenet1_1; None for none.
        inception: a file of torch-fidelity's Inception; None for none.
        layout: "fice" for all columns, "mgd" for MGD's.
        restart: make all edits again.
    """

    photos: str
    texts: str = ""
    pairs: str = ""
    split: str | None = None
    count: int = 64
    seed: int = 0
    variants: tuple[str, ...] = ()
    seconds: float | None = None
    only_seconds: bool = False
    results: Mapping[str, str] = field(default_factory=dict)
    means: Means = field(kw_only=True)
    at_once: int = 8
    workers: int = 1
    address: str | None = None
    threads: int = 1
    judge: str | None = None
    lpips: str | None = None
    inception: str | None = None
    layout: str = "fice"
    restart: bool = False


#: called with what is being done, how much of it is done, and how much there is
Progress = Callable[[str, int, int], None]


def compare(
    plan: Plan,
    output: str | Path,
    source: str,
    device: str,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
    densepose: Path | None = None,
) -> str:
    """Run a comparison and write its reports; returns the table.

    Args:
        plan: what is compared.
        output: the folder; a run that was killed continues there.
        source, device: of the models.
        say: called with remarks.
        progress: see `Progress`.
        densepose: the file of the part network that measures poses; None for that of the models, or the
            bundled judge with the demonstration set.

    Raises:
        FiceError: something is missing or does not fit; what is done stays.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        return _compare(plan, output, source, device, say, progress, densepose)
    finally:
        torch.set_num_threads(before)


def _compare(
    plan: Plan,
    output: str | Path,
    source: str,
    device: str,
    say: Callable[[str], None],
    progress: Progress,
    densepose: Path | None,
) -> str:
    names = chosen(plan.variants, plan.means)
    models = load_models(source, device=device)
    # All files are read before the first edit: after hours, a wrong one would come too late.
    judges, known_by, net = _judges(plan, models, source, densepose)
    extracts = _extracts(plan, judges, models)
    check_means(plan.means, models)
    folder = Folder(output)
    photos, pairs, cases, texts = _pairs(plan, models, say)
    means = replace(plan.means, texts=texts)
    count = len(pairs)
    done = 0

    def one() -> None:
        nonlocal done
        done += 1
        progress("photos and masks", done, count)

    without = set_out(folder, photos, pairs, models, means.settings, one)
    for number, reason in without.items():
        say(f"pair {number} is left out, {pairs[number].photo}: {reason}")
    lacking = {output_name(number): reason for number, reason in without.items()}
    rows: list[Row] = []
    for this in _runs(plan, names):
        setup = Setup(partial(load_models, source), device, plan.threads, this.method, means)
        made = 0

        def more(number: int, this: Run = this) -> None:
            nonlocal made
            made += number
            progress(this.name, made, count)

        failed = run_method(
            this,
            folder,
            pairs,
            setup,
            models,
            plan.at_once,
            plan.workers,
            plan.restart,
            more,
            plan.address,
        )
        failed = {**lacking, **failed}
        rows += [row_of_run(folder, this, s, pairs, failed) for s in setup.stitches]
    for name, place in plan.results.items():
        rows += rows_of_results(folder, name, Path(place), pairs, models, means.settings)
    total = sum(len(row.images) for row in rows)
    done = 0

    def measured() -> None:
        nonlocal done
        done += 1
        progress("measures", done, total)

    score(rows, folder, pairs, judges, known_by, cases, measured)
    _score_sets(rows, folder, extracts)
    return _report(plan, folder, pairs, rows, net)


def _pairs(
    plan: Plan, models: Models, say: Callable[[str], None]
) -> tuple[Photos, list[Pair], Cases | None, tuple[str, ...]]:
    """The photos, the pairs, the people of known truth, and the texts that a mapper is trained with."""
    photos, own = open_source(plan.photos, plan.split, models, plan.count, plan.seed)
    texts: list[str] = []
    if plan.texts and plan.texts != DEMO:
        texts, left = texts_of(plan.texts, models.clip)
        if left:
            say(f"{left} texts are longer than 76 tokens and left out")
    if plan.pairs:
        pairs = read_pairs(plan.pairs)
        known = photos.cases if own == pairs else None
        return photos, pairs, known, tuple(texts or dict.fromkeys(pair.text for pair in pairs))
    if texts:
        return photos, pairs_of(photos, texts, plan.count, plan.seed), None, tuple(texts)
    if own is None:
        raise FiceError("the photos need texts: give them with --texts, or pairs with --pairs")
    others = open_source(plan.photos, None, models, 4 * plan.count, plan.seed + 1)[1] or own
    return photos, own, photos.cases, tuple(dict.fromkeys(pair.text for pair in others))


def _runs(plan: Plan, names: Sequence[str]) -> list[Run]:
    """Every method at its own steps, and those that take steps within the seconds too."""
    if plan.seconds is None:
        return [Run(name) for name in names]
    own = [name for name in names if not (plan.only_seconds and METHODS[name].iterates)]
    timed = [name for name in names if METHODS[name].iterates]
    return [*map(Run, own), *(Run(name, plan.seconds) for name in timed)]


def _judges(
    plan: Plan, models: Models, source: str, densepose: Path | None
) -> tuple[Judges, str, str]:
    """The networks that measure, a text that tells them apart, and the net of LPIPS."""
    demo = source == "demo" or densepose is not None
    parts = load_judge(densepose).to(models.device) if demo else models.densepose
    judge = None if plan.judge is None else LOADERS["clip"](plan.judge, device=str(models.device))
    net, perceptual = "", None
    if plan.lpips is not None:
        net, perceptual = load_lpips(plan.lpips, torch.device(models.device))
    known_by = repr([package_version(), source, plan.judge, plan.lpips, str(densepose)])
    return Judges(models.clip, parts, judge, perceptual), known_by, net


def _extracts(plan: Plan, judges: Judges, models: Models) -> dict[str, sets.Extract]:
    """The networks whose features make distances of sets, by name."""
    extracts: dict[str, sets.Extract] = {}
    if plan.inception is not None:
        extracts["inception"] = sets.inception_features(plan.inception, models.device)
    if judges.judge is not None:
        extracts["clip"] = sets.clip_features(judges.judge)
    return extracts


def _score_sets(rows: Sequence[Row], folder: Folder, extracts: Mapping[str, sets.Extract]) -> None:
    """Distances of whole sets; the photos of all pairs are the other set."""
    known: dict[tuple[str, tuple[int, ...]], sets.Features] = {}
    for row in rows:
        numbers = tuple(sorted(row.images))
        for name, extract in extracts.items() if len(numbers) >= _FEW else ():
            if (name, numbers) not in known:
                photos = (load_pair(folder, number)[0] for number in numbers)
                known[name, numbers] = sets.features_of(photos, extract)
            first, second = sets.features_of(edits_of(row, folder), extract), known[name, numbers]
            row.sets["clip_fid" if name == "clip" else "fid"] = sets.frechet(first, second)
            if name != "clip":
                row.sets["kid"] = 1000 * sets.kernel_distance(first, second)


def _report(
    plan: Plan, folder: Folder, pairs: Sequence[Pair], rows: Sequence[Row], net: str
) -> str:
    table = mgd(rows) if plan.layout == "mgd" else markdown(rows)
    if net and plan.layout != "mgd":
        table += f"\n\nLPIPS: {net}."
    write_bytes(folder.root / REPORTS[0], table.encode() + b"\n")
    write_bytes(folder.root / REPORTS[1], as_csv(rows, len(pairs)))
    said = {"pairs": len(pairs), "seed": plan.seed, "rows": as_dict(rows)}
    write_json(folder.root / REPORTS[2], said)
    write_bytes(folder.root / REPORTS[3], page(folder, pairs, rows))
    return table
