"""`fice evaluate`: the quality of edits of people whose true attributes are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FiceError
from .comparison import comparison_options, print_votes, run_comparison
from .console import bar, say, warn
from .names import COUNT, FILE_NAME
from .options import (
    device_option,
    model_inputs,
    models_of,
    models_option,
    overwrite_option,
    settings_of,
    steps_option,
)
from .outputs import replaced

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.cases import Person
    from ..models import Models

#: options that do nothing without `--photos` and have no default
_COMPARING = (
    *("texts", "pairs", "split", "output", "seconds", "only_seconds", "results", "judge", "lpips"),
    *("inception", "own_clip", "trunk", "address", "restart"),
)


@click.command("evaluate")
@click.option(
    "--count", type=COUNT, default=64, show_default=True, help="Pairs of person and prompt."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="Only this row of the table, as in 'default' or 'no pose term'. Repeat it for several.  "
    "[default: all]",
)
@models_option
@steps_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    default=0,
    show_default=True,
    help="Seed of the choice of pairs.",
)
@device_option
@click.option("--report", type=FILE_NAME, metavar="FILE.json", help="Write every figure here.")
@click.option("--bare", is_flag=True, help="Only edits from long sleeves to short ones or none.")
@click.option("--masks", is_flag=True, help="Measure the masks instead of the edits.")
@click.option(
    "--people",
    "extra",
    type=COUNT,
    default=0,
    show_default=True,
    help="Render so many people beside the gallery's, none of them in a training set. Needs the extra "
    "'people'.",
)
@click.option(
    "--renders",
    type=FILE_NAME,
    metavar="DIR",
    help="Where rendered people are kept.  [default: FICE_PEOPLE, else the user's cache]",
)
@click.option(
    "--images",
    "--pictures",
    "images",
    type=FILE_NAME,
    metavar="DIR",
    help="Write a sheet of all edits of every variant here.",
)
@comparison_options
@overwrite_option
def command(
    count: int,
    variants: tuple[str, ...],
    source: str,
    steps: int | None,
    seed: int,
    device: str,
    report: str | None,
    bare: bool,
    masks: bool,
    extra: int,
    renders: str | None,
    images: str | None,
    overwrite: bool,
    photos: str | None,
    votes: str | None,
    **compared: Any,  # options of a comparison
) -> None:
    """Measure edits of people that no network was trained on, or compare FICE with its rivals.

    Prints two tables with a row for each variant of the method: how well the text is followed, and what
    changed around the garment. With --masks, prints one table with a row for each mask, before and after
    its refinement.

    With --photos, makes the same edits by FICE and by other editors on the same generator, measures all of
    them, and writes the tables and a page to look and vote at into the folder of -o.
    """
    if votes is not None:
        print_votes(votes)
        return
    if photos is not None:
        if masks or bare or extra or renders or report or images:
            raise FiceError(
                "--photos makes a comparison: leave out --masks, --bare, --people, --renders, --report and "
                "--images, or --photos"
            )
        run_comparison(
            photos,
            source=source,
            device=device,
            steps=steps,
            overwrite=overwrite,
            count=count,
            seed=seed,
            variants=variants,
            **compared,
        )
        return
    if any(compared[name] for name in _COMPARING):
        raise FiceError("these options are for a comparison: give its photos with --photos")
    from .. import evaluation
    from ..files import Output, check_paths, make_folder, write_json

    if masks and (variants or images or bare or extra or steps is not None):
        raise FiceError(
            "--masks edits nothing: leave out --variant, --steps, --bare, --people and --images, or --masks"
        )
    if extra < 0:
        raise FiceError(f"--people is {extra}, but must be at least 0")
    settings = settings_of("default", source, steps=steps)
    sheets = {}
    if images:
        names = [name for name in evaluation.variants(settings) if name in (variants or (name,))]
        sheets = {name: Path(images) / f"{name.replace(' ', '-')}.png" for name in names}
    outputs = [Output(path, "--images") for path in sheets.values()]
    outputs += [Output(report, "--report")] if report else []
    existing = check_paths(outputs, model_inputs(source, None), makes=images)
    for line in replaced(existing, overwrite, chosen=sheets.values(), option="--images"):
        warn(line)
    if images:
        make_folder(images)
    models = models_of(source, None, device)
    if masks:
        _evaluate_masks(models, count, seed, report)
        return
    people = _people(extra, renders) if extra else None
    edits: dict[str, list[tuple[str, tuple[Tensor, Tensor]]]] = {}

    def keep(variant: str, prompts: list[str], originals: Tensor, edited: Tensor) -> None:
        pairs = zip(originals, edited, strict=True)
        edits.setdefault(variant, []).extend(zip(prompts, pairs, strict=True))

    with bar("evaluating", count, unit="edit") as progress:

        def advance(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        found = evaluation.evaluate(
            models,
            count,
            settings,
            variants=list(variants) or None,
            progress=advance,
            seed=seed,
            keep=keep if sheets else None,
            bare=bare,
            people=people,
            judge=_judge(source),
        )
    say(found.table())
    say("")
    say(found.surroundings())
    if report:
        write_json(report, found.to_dict())
        say(f"{report}: every figure")
    for variant, pairs in edits.items():
        _write_sheet(sheets[variant], pairs)
        say(f"{sheets[variant]}: the edits of {variant!r}")


def _evaluate_masks(models: Models, count: int, seed: int, report: str | None) -> None:
    """Print a table of the accuracy of the masks."""
    from ..evaluation.mask_quality import measure_masks
    from ..files import write_json

    with bar("evaluating", count, unit="figure") as progress:
        found = measure_masks(
            models, count, seed, progress=lambda done, _: progress.update(done - progress.n)
        )
    say(found.table())
    if report:
        write_json(report, found.to_dict())
        say(f"{report}: every figure")


def _people(extra: int, renders: str | None) -> list[Person]:
    """The gallery's people, and so many rendered ones."""
    from ..demo.gallery import gallery
    from ..evaluation.held_out import held_out_people

    return [*gallery(), *held_out_people(extra, Path(renders) if renders else None)]


def _judge(source: str) -> Path | None:
    """The judge that lies with the models; None for the bundled one."""
    path = Path(source) / "judge.safetensors"
    return path if source != "demo" and path.exists() else None


def _write_sheet(path: Path, pairs: list[tuple[str, tuple[Tensor, Tensor]]]) -> None:
    """Write an image of every original beside its edit."""
    from ..reporting import plots

    rows = [plots.Row(prompt, pair) for prompt, pair in pairs]
    columns = ("original", "edited")
    plots.write_plot(path, plots.comparison(columns, rows, height=192, blocks=min(len(rows), 6)))
