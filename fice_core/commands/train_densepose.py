"""`fice train densepose`: fine-tune a DensePose by a teacher or by label maps."""

from __future__ import annotations

import click

from .names import FILE_NAME
from .perception_runs import Run, data_argument, output_option, start_option, tuning_options

STEPS = 6000


@click.command("densepose")
@data_argument
@output_option("DensePose")
@start_option("DensePose")
@click.option(
    "--teacher",
    type=FILE_NAME,
    metavar="FILE",
    help="A DensePose, such as detectron2's, whose findings in DATA are learned.  [default: label maps of "
    "DensePose in DATA]",
)
@tuning_options(STEPS, 8, "5e-4")
def command(
    data: str,
    start: str,
    teacher: str | None,
    height: int | None,
    held_out: float,
    **options: object,
) -> None:
    """Fine-tune a DensePose on the photos of DATA, by a teacher or by label maps.

    So a small network learns what a published one sees in one's own photos. At the end, the overlap of the
    parts on held-out photos is printed.
    """
    from .. import checkpoints
    from ..training import densepose

    inputs = [] if teacher is None else [teacher]
    with Run("densepose", data, start, options, *inputs) as run:
        outcome = densepose.train(
            checkpoints.load_densepose(run.start),
            None if teacher is None else checkpoints.load_densepose(teacher),
            run.samples,
            run.folder,
            run.schedule(STEPS),
            run.tuning(5e-4),
            run.processes,
            height,
            held_out,
        )
        run.finish(outcome, "intersection over union")
