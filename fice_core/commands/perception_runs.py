"""What the trainings of segmenter, CLIP and DensePose share: options, and how a run begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .console import say
from .names import FILE_NAME, Number
from .options import all_of
from .training_runs import (
    batch_option,
    check_output,
    multiplies_half,
    prepare_folder,
    quiet_unless_first,
    rate_option,
    run_options,
    split_option,
    steps_option,
    tell_unfinished,
    write_result,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..datasets import Sample
    from ..training.fine_tuning import Outcome, Tuning
    from ..training.loop import Schedule

_Command = TypeVar("_Command", bound=Callable[..., Any])

data_argument = click.argument("data", metavar="DATA")
height_option = click.option(
    "--height",
    type=click.IntRange(32, 2048),
    help="Height of the images in training, in pixels.  [default: that of the first photo]",
)
held_out_option = click.option(
    "--held-out",
    type=Number(0, 0.9, min_open=True),
    default=0.1,
    show_default=True,
    help="Share of the photos that is measured on and never trained on.",
)


def output_option(what: str) -> Callable[[_Command], _Command]:
    """The option -o of a network."""
    return click.option(
        "-o",
        "--output",
        type=FILE_NAME,
        required=True,
        metavar="OUT.safetensors",
        help=f"The {what}, written at the end of every run.",
    )


def start_option(what: str) -> Callable[[_Command], _Command]:
    """The option --start of a network."""
    return click.option(
        "--start",
        type=FILE_NAME,
        default="demo",
        show_default=True,
        metavar="FILE|demo",
        help=f"The {what} to train further; demo is the bundled one.",
    )


def tuning_options(steps: int, batch: int, rate: str) -> Callable[[_Command], _Command]:
    """All options after those of a kind of network; arguments are defaults, `rate` as its help says it."""
    return all_of(
        split_option,
        height_option,
        held_out_option,
        steps_option(steps),
        batch_option(batch),
        rate_option(rate),
        run_options(500),
    )


class Run:
    """A run of a training, as a context in which it happens.

    Args:
        kind: of the network, as its file in the demonstration set is named.
        data: the spec of the data set.
        start: the option --start.
        options: the other options of the command.

    Attributes:
        start: the file of the network to start from.
        samples: of the data set.
        folder: of checkpoint and log.
        processes: that train together.
    """

    def __init__(
        self, kind: str, data: str, start: str, options: Mapping[str, Any], *inputs: str
    ) -> None:
        from ..models import DEMO_WEIGHTS

        self.kind, self._data, self._options, self._inputs = kind, data, options, inputs
        self.start = str(DEMO_WEIGHTS / f"{kind}.safetensors") if start == "demo" else start
        self._stack = ExitStack()

    def __enter__(self) -> Run:
        from ..datasets.opening import open_photos, parse_spec
        from ..training.distributed import together

        options = self._options
        with ExitStack() as stack:
            stack.enter_context(quiet_unless_first())
            self.processes = stack.enter_context(together(options["device"]))
            self.output = options["output"]
            inputs = [self.start, str(parse_spec(self._data).path), *self._inputs]
            check_output(
                self.output, inputs, options["resume"], options["overwrite"], self.processes
            )
            self.samples: Sequence[Sample] = open_photos(self._data, options["split"])
            self.folder = prepare_folder(
                options["run"], self.output, self.kind, options["resume"], self.processes
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def schedule(self, steps: int) -> Schedule:
        """The length of the run; `steps` is the default."""
        from ..training.loop import Schedule

        options = self._options
        return Schedule(options["steps"] or steps, options["minutes"], options["save_every"])

    def tuning(self, rate: float) -> Tuning:
        """How the network is trained; `rate` is the default."""
        from ..training.fine_tuning import Tuning

        options = self._options
        return Tuning(
            batch=options["batch"],
            rate=options["rate"] or rate,
            seed=options["seed"],
            half=multiplies_half(options["precision"]),
        )

    def finish(self, outcome: Outcome[Any], what: str) -> None:
        """Write the network, and tell what `what` was on held-out photos before and after."""
        if not self.processes.is_first:
            return
        note = f"trained by `fice train {self.kind}` from {Path(self.start).name}"
        write_result(outcome.network, self.output, note)
        for name, value in outcome.after.items():
            before = f"{outcome.before[name]:.3f} -> " if name in outcome.before else ""
            say(f"{what} on held-out photos, {name}: {before}{value:.3f}")
        tell_unfinished(outcome.finished)
