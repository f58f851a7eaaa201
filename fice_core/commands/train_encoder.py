"""`fice train encoder`: an e4e encoder for a generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import FiceError
from .names import FILE_NAME
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
    tell,
    tell_unfinished,
    write_result,
)

if TYPE_CHECKING:
    from torch import nn

STEPS = {"full": 200_000, "small": 20_000}


@click.command("encoder")
@click.option(
    "--generator",
    "generator_file",
    type=FILE_NAME,
    required=True,
    metavar="FILE|demo",
    help="The StyleGAN2 generator whose codes the encoder finds; demo is the bundled one.",
)
@click.option(
    "-o",
    "--output",
    type=FILE_NAME,
    required=True,
    metavar="OUT.safetensors",
    help="The encoder, written at the end of every run.",
)
@click.option(
    "--photos",
    type=FILE_NAME,
    metavar="DATA",
    help="Photos that every second image of a batch is taken from.  [default: none]",
)
@click.option(
    "--segmenter", type=FILE_NAME, metavar="FILE|DIR", help="Compare a segmenter's features too."
)
@click.option(
    "--densepose", type=FILE_NAME, metavar="FILE", help="Compare a DensePose's features too."
)
@click.option("--clip", type=FILE_NAME, metavar="FILE|DIR", help="Compare CLIP's features too.")
@click.option(
    "--size",
    type=click.Choice(("auto", "full", "small")),
    default="auto",
    show_default=True,
    help="full is the IR-SE-50 of e4e, for published generators; small has a hundredth of the operations.",
)
@click.option("--start", type=FILE_NAME, metavar="FILE", help="Train this encoder further.")
@split_option
@steps_option(STEPS)
@batch_option(8)
@rate_option("1e-4, small: 2e-3")
@run_options(1000)
def command(
    generator_file: str,
    output: str,
    photos: str | None,
    segmenter: str | None,
    densepose: str | None,
    clip: str | None,
    size: str,
    start: str | None,
    steps: int | None,
    batch: int,
    rate: float | None,
    split: str | None,
    minutes: float | None,
    save_every: int,
    run: str | None,
    resume: bool,
    seed: int,
    precision: str,
    device: str,
    overwrite: bool,
) -> None:
    """Train an encoder for a generator, with or without photos.

    The generator makes exact pairs of images and codes. Checkpoints, the log and sample images go to a
    folder beside the output. The same command with --resume goes on after a stop.

    On several GPUs: torchrun --nproc-per-node 4 -m fice_core train encoder --generator ...
    """
    from .. import checkpoints
    from ..datasets import open_photos
    from ..models import DEMO_WEIGHTS
    from ..training import encoder
    from ..training.distributed import together
    from ..training.loop import Schedule
    from ..training.photos import Photos

    with quiet_unless_first(), together(device) as processes:
        demo = DEMO_WEIGHTS / "generator.safetensors"
        source = demo if generator_file == "demo" else Path(generator_file)
        inputs = [str(source), *filter(None, (segmenter, densepose, clip, start))]
        check_output(output, inputs, resume, overwrite, processes)
        folder = prepare_folder(run, output, "encoder", resume, processes)
        generator = checkpoints.load_generator(source)
        critics: list[nn.Module] = []
        if segmenter is not None:
            critics.append(checkpoints.load_segmenter(segmenter))
        if densepose is not None:
            critics.append(checkpoints.load_densepose(densepose))
        if clip is not None:
            critics.append(checkpoints.load_clip(clip))
        shown = None
        if photos is not None:
            shown = Photos(open_photos(photos, split), generator.resolution)
        encoder.check_batch(batch, shown, processes)
        kind = encoder.size_for(generator) if size == "auto" else size
        if start is None:
            network = encoder.build(generator, kind, seed)
        else:
            network = checkpoints.load_encoder(start).train().requires_grad_(True)
            wanted = (generator.num_ws, generator.w_dim)
            if (network.num_styles, network.style_dim) != wanted:
                raise FiceError(
                    f"{start} finds codes of {network.num_styles} styles of {network.style_dim}, but "
                    f"the generator takes {wanted[0]} of {wanted[1]}: give an encoder of this generator"
                )
        total = STEPS[kind] if steps is None else steps
        tell(
            processes,
            f"training a {kind} encoder for {generator.resolution[0]} x {generator.resolution[1]} "
            f"images, {total} steps of {batch} on {processes.count} x {processes.device}; log and "
            f"samples in {folder}",
        )
        network, finished = encoder.train(
            network,
            generator,
            folder,
            Schedule(total, minutes, save_every),
            critics=critics,
            photos=shown,
            batch=batch,
            rate=encoder.RATES[kind] if rate is None else rate,
            seed=seed,
            processes=processes,
            half=multiplies_half(precision),
            log_every=min(25, max(1, total // 40)),
        )
        if processes.is_first:
            write_result(network, output, f"trained by `fice train encoder` for {source.name}")
            tell_unfinished(finished)
