"""`fice train clip`: fine-tune a CLIP on captions."""

from __future__ import annotations

import click

from .names import Number
from .options import clip_architecture_option
from .perception_runs import Run, data_argument, output_option, start_option, tuning_options

STEPS = 4000


@click.command("clip")
@data_argument
@output_option("CLIP")
@start_option("CLIP")
@clip_architecture_option
@click.option(
    "--freeze",
    type=Number(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the layers of both towers, from below, that keep their weights.",
)
@click.option(
    "--attack",
    type=Number(0, 32),
    help="Make the network robust against changes of so many of 255 levels, so that edits follow it to "
    "visible changes; doubles the time.  [default: 6 for the bundled one, 0 for others]",
)
@tuning_options(STEPS, 32, "3e-4 for networks with their own vocabulary, 1e-5 for others")
def command(
    data: str,
    start: str,
    clip_architecture: str | None,
    freeze: float,
    attack: float | None,
    height: int | None,
    held_out: float,
    **options: object,
) -> None:
    """Fine-tune a CLIP on the captions of DATA.

    DATA is a folder of images with captions, or any data set that has some, see the page on data sets. At
    the end, the share of captions that find their photo among held-out ones is printed, and the other way
    round.
    """
    from .. import checkpoints
    from ..training import clip

    with Run("clip", data, start, options) as run:
        network = checkpoints.load_clip(run.start, clip_architecture)
        small = clip.is_small(network)
        levels = (6.0 if small else 0.0) if attack is None else attack
        outcome = clip.train(
            network,
            run.samples,
            run.folder,
            run.schedule(STEPS),
            run.tuning(clip.RATES["small" if small else "published"]),
            run.processes,
            height,
            held_out,
            freeze,
            levels / 255,
        )
        run.finish(outcome, "share found")
