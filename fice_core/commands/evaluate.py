"""`fice evaluate`: how good the edits are, by measures that know the truth."""

from __future__ import annotations

import click

from .common import (
    bar,
    device_option,
    models_of,
    models_option,
    preset_option,
    say,
    seed_option,
    settings_of,
    steps_option,
)


@click.command("evaluate")
@click.option(
    "--count", type=int, default=64, show_default=True, help="Pairs of figure and prompt."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="Only these rows of the table; repeat it.  [default: all]",
)
@models_option
@preset_option
@steps_option
@seed_option
@device_option
@click.option("--report", metavar="FILE.json", help="Write every figure here.")
def command(
    count: int,
    variants: tuple[str, ...],
    source: str,
    preset: str,
    steps: int | None,
    seed: int,
    device: str,
    report: str | None,
) -> None:
    """Measure edits of drawn figures that no network was trained on.

    Prints a table with one row for each variant of the method.
    """
    from .. import evaluation
    from ..files import check_writable
    from ..report import write_json

    settings = settings_of(preset, steps, seed)
    if report:
        check_writable(report)
    models = models_of(source, None, device)
    with bar("evaluating", 1) as progress:

        def advance(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        result = evaluation.evaluate(
            models, count, settings, variants=list(variants) or None, progress=advance
        )
    say(result.table())
    if report:
        write_json(report, result.to_dict())
        say(f"{report}: every figure")
