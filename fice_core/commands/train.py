"""`fice train`: train networks. The commands for one's own networks are in `train_*.py`."""

import logging
import sys
from pathlib import Path

import click

from . import (
    train_clip,
    train_densepose,
    train_encoder,
    train_generator,
    train_segmenter,
    train_set,
)
from .names import FILE_NAME, Number
from .options import device_option


@click.group("train")
def command() -> None:
    """Train networks."""


@command.command("demo")
@click.option(
    "-o", "--output", type=FILE_NAME, default="runs/demo", show_default=True, metavar="DIR"
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="NAME",
    help="Only this stage. Repeat it for several.",
)
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="Stop a stage after this time; --resume continues it.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Steps of every stage.  [default: each stage's own]",
)
@click.option(
    "--renders",
    type=FILE_NAME,
    metavar="DIR",
    help="Folder of rendered people, filled by the stage 'render'.  [default: DIR of -o, /renders]",
)
@click.option(
    "--people", type=click.IntRange(min=1), help="People to render in all.  [default: 3072]"
)
@click.option("--resume", is_flag=True, help="Continue the last run in DIR.")
@click.option(
    "--start",
    type=FILE_NAME,
    metavar="DIR",
    help="Start from the networks in DIR.  [default: from nothing]",
)
@device_option
def demo(
    output: str,
    stages: tuple[str, ...],
    minutes: float | None,
    steps: int | None,
    renders: str | None,
    people: int | None,
    resume: bool,
    start: str | None,
    device: str,
) -> None:
    """Train the demonstration networks from nothing.

    People are rendered first (extra "people"). Checkpoints, sample images and the finished set go to DIR.
    The same command with --resume goes on after a stop.
    """
    from ..files import make_folder
    from ..training.demonstration import stages as demonstration_stages

    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    demonstration_stages.run(
        out=make_folder(output),
        stages=list(stages) or None,
        minutes=minutes,
        resume=resume,
        device=device,
        start=None if start is None else Path(start),
        steps=steps,
        renders=None if renders is None else Path(renders),
        count=people or demonstration_stages.RENDERS,
    )


for _command in (
    train_generator,
    train_encoder,
    train_segmenter,
    train_clip,
    train_densepose,
    train_set,
):
    command.add_command(_command.command)
