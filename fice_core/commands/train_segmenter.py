"""`fice train segmenter`: fine-tune a segmenter on label maps."""

from __future__ import annotations

import click

from .perception_runs import Run, data_argument, output_option, start_option, tuning_options

STEPS = 4000


@click.command("segmenter")
@data_argument
@output_option("segmenter")
@start_option("segmenter")
@tuning_options(STEPS, 8, "5e-4")
def command(data: str, start: str, height: int | None, held_out: float, **options: object) -> None:
    """Fine-tune a segmenter on the label maps of DATA.

    DATA is a folder that `fice prepare` made, or any data set with label maps, see the page on data sets.
    At the end, the overlap of body and head with the label maps of held-out photos is printed. Checkpoints
    and the log go to a folder beside the output.
    """
    from .. import checkpoints
    from ..training import segmenter

    with Run("segmenter", data, start, options) as run:
        network = checkpoints.load_segmenter(run.start)
        outcome = segmenter.train(
            network,
            run.samples,
            run.folder,
            run.schedule(STEPS),
            run.tuning(5e-4),
            run.processes,
            height,
            held_out,
        )
        run.finish(outcome, "intersection over union")
