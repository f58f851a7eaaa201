"""`fice train set`: all five networks of an edit, for one's own photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FiceError
from . import train_clip, train_densepose, train_encoder, train_generator, train_segmenter
from .console import say
from .names import FILE_NAME, MOST, Number
from .options import device_option, models_option
from .perception_runs import data_argument
from .photos import check_folder
from .training_runs import precision_option, quiet_unless_first, seed_option, split_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..datasets import Sample

#: The networks that judge come first: the features of the segmenter help to train generator and encoder.
_STAGES: dict[str, click.Command] = {
    "segmenter": train_segmenter.command,
    "densepose": train_densepose.command,
    "clip": train_clip.command,
    "generator": train_generator.command,
    "encoder": train_encoder.command,
}


@click.command("set")
@data_argument
@click.option(
    "-o", "--output", type=FILE_NAME, required=True, metavar="DIR", help="The folder of the set."
)
@models_option
@click.option(
    "--teacher",
    type=FILE_NAME,
    metavar="FILE",
    help="A DensePose that teaches the one of the set.  [default: label maps of DensePose in DATA]",
)
@click.option(
    "--resolution",
    type=train_generator.RESOLUTION,
    metavar="H|HxW",
    help="Train a generator of this size from nothing.  [default: train that of --models further]",
)
@click.option(
    "--kimg",
    type=Number(0, MOST, min_open=True),
    help="Thousands of images for the generator.  [default: as `fice train generator`]",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10**8),
    help="Steps of each of the other networks.  [default: each one's own]",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    help="Images of a step, over all processes.  [default: each one's own]",
)
@split_option
@seed_option
@precision_option
@device_option
@click.pass_context
def command(
    context: click.Context,
    data: str,
    output: str,
    source: str,
    teacher: str | None,
    resolution: tuple[int, int] | None,
    kimg: float | None,
    steps: int | None,
    batch: int | None,
    split: str | None,
    seed: int,
    precision: str,
    device: str,
) -> None:
    """Train segmenter, DensePose, CLIP, generator and encoder on DATA, one after the other.

    Networks for which DATA has nothing to learn from (label maps, captions) are copied from --models. The
    folder is a whole set for --models. The same command goes on after a stop.
    """
    from ..datasets.opening import open_photos, parse_spec
    from ..files import check_name, make_folder
    from ..models import model_files
    from ..training.distributed import together

    check_name(output)
    check_folder([str(parse_spec(data).path), source], output)
    with quiet_unless_first(), together(device) as processes:
        _check_batch(batch, processes.count)
        samples = open_photos(data, split)
        starts = model_files(source)
        folder = make_folder(output)
        common: dict[str, Any] = {"seed": seed, "precision": precision, "device": device}
        if batch is not None:
            common["batch"] = batch
        for kind, stage in _STAGES.items():
            target, run = folder / f"{kind}.safetensors", folder / "runs" / kind
            if not _can_learn(kind, samples, teacher):
                if processes.is_first:
                    _copy(starts[kind], target, kind)
                processes.wait()
                continue
            options = common | {
                "output": str(target),
                "run": str(run),
                "resume": (run / f"{kind}.ckpt").exists(),
                "overwrite": True,
            }
            if processes.is_first:
                say(f"{kind}: {'going on' if options['resume'] else 'beginning'}")
                make_folder(run)
            processes.wait()
            if kind == "generator":
                more = {"photos": data, "split": split, "kimg": kimg, "resolution": resolution}
                more["start"] = None if resolution else str(starts[kind])
                more["judge"] = str(folder / "segmenter.safetensors")
            elif kind == "encoder":
                more = {"photos": data, "split": split, "steps": steps}
                more["generator_file"] = str(folder / "generator.safetensors")
                more["segmenter"] = str(folder / "segmenter.safetensors")
            else:
                more = {"data": data, "start": str(starts[kind]), "steps": steps, "split": split}
            if kind == "densepose":
                more["teacher"] = teacher
            context.invoke(stage, **(options | more))
        if processes.is_first:
            say(f"{folder} is a set of models: fice edit photo.jpg --models {folder} --prompt ...")


def _check_batch(batch: int | None, processes: int) -> None:
    """Raise FiceError if the generator's groups do not fit into a batch, before the others are trained."""
    least = train_generator.GROUP * processes
    if batch is not None and batch % least:
        raise FiceError(
            f"a batch of {batch} serves not all networks: the generator needs a multiple of {least} with "
            f"--batch, {train_generator.GROUP} for each process"
        )


def _can_learn(kind: str, samples: Sequence[Sample], teacher: str | None) -> bool:
    """Whether the photos have what a network learns from."""
    if kind == "segmenter":
        return any(sample.read_classes is not None for sample in samples)
    if kind == "densepose":
        return teacher is not None or any(sample.read_densepose is not None for sample in samples)
    return kind != "clip" or any(sample.captions for sample in samples)


def _copy(start: Path, target: Path, kind: str) -> None:
    """Copy a network that is not trained, and say so."""
    from .. import checkpoints
    from ..files import read_bytes, write_bytes

    if start.suffix == ".safetensors":
        write_bytes(target, read_bytes(start))
    else:
        checkpoints.save(checkpoints.load(start), target)
    say(f"{kind}: copied from {start.name}, since the photos have nothing to train it with")
