"""`fice train`: train networks. The commands for one's own networks are in `train_*.py`."""

import copy
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import FiceError
from . import (
    train_clip,
    train_densepose,
    train_encoder,
    train_generator,
    train_segmenter,
    train_set,
)
from .console import complain, show_own_warnings
from .names import FILE_NAME, PROCESSORS, Number
from .options import device_option

_FAILED = 1
_ALONE = "demo"  # has no form for several processes


class _Trainings(click.Group):
    """A group whose commands run in processes of a Ray cluster if an address is given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or one with the same options that runs it on the cluster."""
        name, chosen, rest = super().resolve_command(ctx, args)
        address = ctx.params.get("address")
        if name is None or chosen is None or address is None:
            return name, chosen, rest
        if name == _ALONE:
            raise FiceError(f"`fice train {name}` runs in one process: leave --ray out")
        there = copy.copy(chosen)
        there.callback = partial(_launch, name, tuple(rest), address, ctx.params["workers"])
        return name, there, rest


def _launch(
    name: str,
    arguments: Sequence[str],
    address: str,
    workers: int | None,
    *,
    device: str,
    **_: Any,  # options that only the workers need
) -> None:
    """Run a command in the processes of a Ray cluster."""
    from ..training import cluster

    try:
        cluster.train(partial(_work, name, arguments), address, workers, use_gpus=device != "cpu")
    except cluster.TrainingFailedError as failure:
        complain(str(failure))
        raise click.exceptions.Exit(_FAILED) from failure


def _work(name: str, arguments: Sequence[str]) -> None:
    """Run a command in one of these processes.

    Raises:
        FiceError: also in those that would stay silent under torchrun.
    """
    logging.getLogger().handlers.clear()  # with Ray's own, the log would stay on this machine
    show_own_warnings()
    chosen = command.commands[name]
    try:
        with chosen.make_context(f"fice train {name}", list(arguments)) as context:
            chosen.invoke(context)
    except click.ClickException as mistake:
        raise FiceError(mistake.format_message()) from mistake
    except click.exceptions.Exit as end:
        if isinstance(end.__cause__, FiceError):
            raise end.__cause__ from None
        raise


@click.group("train", cls=_Trainings)
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Train on a Ray cluster: HOST:PORT, auto for that of this machine, or local.",
)
@click.option(
    "--workers",
    type=PROCESSORS,
    help="With --ray, the number of processes.  [default: as many as the cluster has GPUs]",
)
def command(address: str | None, workers: int | None) -> None:
    """Train networks.

    On a Ray cluster, --ray and --workers come before the command: fice train --ray auto encoder ...
    Files are then on a disk that all machines share.
    """
    if workers is not None and address is None:
        raise FiceError(
            "--workers counts processes of a Ray cluster: add --ray, or start them without Ray by "
            "torchrun --nproc-per-node N -m fice_core train ..."
        )


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
