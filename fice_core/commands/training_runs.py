"""What the commands of `fice train` share: options, a run's folder, output of the first process alone."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import FiceError
from ..files import Output, check_paths, make_folder
from .console import say, warn
from .names import FILE_NAME, Number
from .options import all_of, device_option, overwrite_option
from .outputs import replaced

if TYPE_CHECKING:
    from torch import nn

    from ..training.distributed import Processes

_Command = TypeVar("_Command", bound=Callable[..., Any])

minutes_option = click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    help="Stop after this time; --resume continues.",
)
run_option = click.option(
    "--run",
    type=FILE_NAME,
    metavar="DIR",
    help="Folder of the checkpoint, the log and samples.  [default: beside the output]",
)
split_option = click.option("--split", help="Only this part of the data set, such as train.")
resume_option = click.option("--resume", is_flag=True, help="Continue the last run in its folder.")
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True
)
precision_option = click.option(
    "--precision",
    type=click.Choice(("auto", "float32", "bfloat16")),
    default="auto",
    show_default=True,
    help="Of products; auto is bfloat16 where the hardware multiplies it.",
)


def steps_option(defaults: Mapping[str, int] | int) -> Callable[[_Command], _Command]:
    """The option --steps with its default, or with one for each size."""
    if isinstance(defaults, int):
        shown = f"{defaults}"
    else:
        shown = ", ".join(f"{size}: {count}" for size, count in defaults.items())
    return click.option(
        "--steps",
        type=click.IntRange(1, 10**8),
        help=f"Steps of the whole training.  [default: {shown}]",
    )


def batch_option(default: int) -> Callable[[_Command], _Command]:
    """The option --batch with its default."""
    return click.option(
        "--batch",
        type=click.IntRange(1, 4096),
        default=default,
        show_default=True,
        help="Images of a step, over all processes.",
    )


def rate_option(default: str) -> Callable[[_Command], _Command]:
    """The option --rate; `default` is what its help says."""
    return click.option(
        "--rate",
        type=Number(0, 1, min_open=True),
        help=f"Learning rate.  [default: {default}]",
    )


def save_every_option(default: int) -> Callable[[_Command], _Command]:
    """The option --save-every with its default."""
    return click.option(
        "--save-every",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Steps between two checkpoints; each comes with a measurement.",
    )


def run_options(save_every: int) -> Callable[[_Command], _Command]:
    """The options of a run that every training has last; `save_every` is the default of its option."""
    return all_of(
        minutes_option,
        save_every_option(save_every),
        run_option,
        resume_option,
        seed_option,
        precision_option,
        device_option,
        overwrite_option,
    )


def multiplies_half(precision: str) -> bool | None:
    """Whether the option --precision asks for bfloat16; None leaves it to the hardware."""
    return None if precision == "auto" else precision == "bfloat16"


def check_output(
    output: str, inputs: Sequence[str], resume: bool, overwrite: bool, processes: Processes
) -> None:
    """Check the file of the result; the first process warns if it will be replaced.

    Raises:
        FiceError: it is not named as safetensors, is one of the inputs, or cannot be written.
    """
    if Path(output).suffix.lower() != ".safetensors":
        raise FiceError(f"the output is {output}, but its name must end in .safetensors")
    existing = check_paths([Output(output, "-o")], inputs)
    if processes.is_first and not resume:
        for line in replaced(existing, overwrite):
            warn(line)


def prepare_folder(
    run: str | None, output: str, name: str, resume: bool, processes: Processes
) -> Path:
    """The folder of a run, made if it is missing.

    Args:
        run: as given; None for one beside the output, named after it.
        output: the file of the result.
        name: of the run's checkpoint.
        resume: whether a checkpoint is continued.
        processes: of the run; all of them check before any writes.

    Raises:
        FiceError: there is a checkpoint and `resume` is not set, or there is none and it is set, or the
            folder cannot be made.
    """
    path = Path(run) if run else Path(output).with_name(f"{Path(output).stem}-run")
    there = (path / f"{name}.ckpt").exists()
    if there and not resume:
        raise FiceError(
            f"{path} has a checkpoint of an earlier run: add --resume, or give another folder with --run"
        )
    if resume and not there:
        raise FiceError(f"{path} has no {name}.ckpt to continue: leave --resume out")
    processes.wait()
    return make_folder(path)


@contextlib.contextmanager
def quiet_unless_first() -> Iterator[None]:
    """A block in which only the first process of a run prints, also of a mistake that all of them make."""
    if os.environ.get("RANK", "0") == "0":
        logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
        yield
        return
    try:
        yield
    except FiceError as error:
        raise click.exceptions.Exit(2) from error


def tell(processes: Processes, text: str) -> None:
    """Print lines of the first process."""
    if processes.is_first:
        say(text)


def write_result(network: nn.Module, output: str, note: str) -> None:
    """Write a trained network, with a note of where it comes from, and say what it is."""
    from .. import checkpoints

    checkpoints.save(network.cpu(), output, {checkpoints.SOURCE_KEY: note})
    say(checkpoints.describe(output).summary)


def tell_unfinished(finished: bool) -> None:
    """Say how a training goes on, unless all steps are done."""
    if not finished:
        say("not all steps are done: the same command with --resume goes on")
