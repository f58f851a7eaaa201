"""`fice demo`: edit the bundled figures and show every stage."""

from __future__ import annotations

import time
from functools import partial

import click

from .console import bar, say, show_step, warn
from .names import FILE_NAME
from .options import (
    device_option,
    models_of,
    overwrite_option,
    seed_option,
    settings_of,
    steps_option,
)
from .outputs import replaced

COLUMNS = ("original", "initialisation", "generated", "stitched")


@click.command("demo")
@click.option(
    "-o", "--output", type=FILE_NAME, default="fice-demo", show_default=True, metavar="DIR"
)
@steps_option
@seed_option
@device_option
@overwrite_option
def command(output: str, steps: int | None, seed: int | None, device: str, overwrite: bool) -> None:
    """Edit bundled figures and write an image of every stage.

    Needs no photo, no download and no graphics card.
    """
    from .. import editing
    from ..files import Output, check_paths, make_folder
    from ..reporting import plots

    settings = settings_of(
        "default", steps=steps, seed=seed, framing="whole"
    )  # the figures fill it
    folder = make_folder(output)
    sheet, losses = folder / "edits.png", folder / "losses.png"
    existing = check_paths([Output(path, "-o") for path in (sheet, losses)])
    for line in replaced(existing, overwrite, chosen=(sheet, losses)):
        warn(line)
    start = time.monotonic()
    models = models_of("demo", None, device)
    loaded = time.monotonic()
    from ..demo import figures  # renders them, so all checks come first

    samples = figures()
    with bar(f"editing {len(samples.prompts)} figures", settings.steps) as progress:
        result = editing.edit(
            models, samples.images, samples.prompts, settings, partial(show_step, progress)
        )
    done = time.monotonic()
    stages = zip(samples.images, result.initial, result.generated, result.images, strict=True)
    rows = [
        plots.Row(prompt, images) for prompt, images in zip(samples.prompts, stages, strict=True)
    ]
    plots.write_plot(sheet, plots.comparison(COLUMNS, rows, blocks=2))
    plots.write_plot(losses, plots.loss_plot(result.trace))
    say(
        f"{len(rows)} edits of {result.steps} steps took {done - loaded:.0f} s, "
        f"loading the models {loaded - start:.0f} s"
    )
    say(f"{sheet.resolve()}  every stage of every edit")
    say(f"{losses.resolve()}  how the losses fell")
