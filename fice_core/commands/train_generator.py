"""`fice train generator`: a StyleGAN2 generator of one's own photos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import FiceError
from .names import FILE_NAME, MOST, Number
from .training_runs import (
    batch_option,
    check_output,
    multiplies_half,
    prepare_folder,
    quiet_unless_first,
    rate_option,
    run_options,
    split_option,
    tell,
    tell_unfinished,
    write_result,
)

if TYPE_CHECKING:
    from torch import device as Device

    from ..networks.stylegan2 import Generator
    from ..training.frechet import Embedding

#: thousands of images from nothing, and from a given generator
_KIMG, _KIMG_FURTHER = 5000.0, 1000.0
_MAX_CHANNELS = 2**20
#: images that the discriminator compares, by default
GROUP = 4


class _Resolution(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Height and width in pixels."""

    name = "resolution"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width) of "256" or "512x256"; a usage error if there is no such generator."""
        found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", str(value))
        height = int(found[1]) if found else 0
        width = int(found[2] or height) if found else 0
        if (
            height < 8
            or height > 2048
            or height & (height - 1)
            or width not in (height, height // 2)
        ):
            self.fail(
                f"{value} is no size of a generator: give a power of two such as 256, or 512x256 for "
                "images half as wide as high",
                param,
                ctx,
            )
        return height, width


RESOLUTION = _Resolution()


@click.command("generator")
@click.argument("photos", type=FILE_NAME, metavar="DATA")
@click.option(
    "-o",
    "--output",
    type=FILE_NAME,
    required=True,
    metavar="OUT.safetensors",
    help="The generator, written at the end of every run.",
)
@click.option(
    "--resolution",
    type=RESOLUTION,
    metavar="H|HxW",
    help="Of the images, in pixels.  [default: 256, or that of --start]",
)
@click.option(
    "--start",
    type=FILE_NAME,
    metavar="FILE",
    help="Train this generator further.  [default: from nothing]",
)
@click.option(
    "--start-discriminator",
    type=FILE_NAME,
    metavar="FILE",
    help="With --start: a discriminator.safetensors of an earlier run.",
)
@click.option(
    "--freeze-discriminator",
    "freeze",
    type=click.IntRange(0, 64),
    default=0,
    show_default=True,
    metavar="N",
    help="With --start-discriminator: keep its first N layers as they are; 4 is usual.",
)
@click.option(
    "--kimg",
    type=Number(0, MOST, min_open=True),
    help=f"Thousands of images to show.  [default: {_KIMG:g}, with --start {_KIMG_FURTHER:g}]",
)
@batch_option(32)
@click.option(
    "--group",
    type=click.IntRange(1, 64),
    default=GROUP,
    show_default=True,
    help="Images that the discriminator compares; divides the images of a step of each process.",
)
@rate_option("0.0025")
@click.option(
    "--gamma",
    type=Number(min=0),
    help="Weight of the R1 penalty.  [default: 0.0002 x pixels / batch]",
)
@click.option(
    "--augment",
    default="clothes",
    show_default=True,
    metavar="LIST",
    help="Adaptive augmentations, with commas: none, clothes, flip, shift, scale, rotate, aniso, fraction, "
    "brightness, contrast, saturation, and beyond clothes rotate90, luma, hue.",
)
@click.option(
    "--mirror/--no-mirror", default=True, show_default=True, help="Flip photos at random."
)
@click.option(
    "--channel-base",
    type=click.IntRange(8, _MAX_CHANNELS),
    help="Channels of a block times its height.  [default: 16384, from 512 pixels on 32768]",
)
@click.option("--channel-max", type=click.IntRange(1, 4096), default=512, show_default=True)
@click.option(
    "--latent",
    type=click.IntRange(1, 4096),
    default=512,
    show_default=True,
    help="Size of z and w.",
)
@click.option("--mapping-layers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--judge",
    type=FILE_NAME,
    metavar="FILE|DIR",
    help="Segmenter, DensePose or CLIP whose features the progress number compares.  [default: the bundled "
    "segmenter]",
)
@click.option(
    "--inception",
    type=FILE_NAME,
    metavar="FILE.pt",
    help="Inception as TorchScript (inception-2015-12-05.pt): the progress number is then the FID.",
)
@click.option(
    "--measure",
    "measured",
    type=click.IntRange(2, 10**6),
    default=2000,
    show_default=True,
    metavar="N",
    help="Images of the progress number; published FIDs take 50000.",
)
@split_option
@run_options(1000)
def command(
    photos: str,
    output: str,
    resolution: tuple[int, int] | None,
    start: str | None,
    start_discriminator: str | None,
    freeze: int,
    kimg: float | None,
    batch: int,
    group: int,
    rate: float | None,
    gamma: float | None,
    augment: str,
    mirror: bool,
    channel_base: int | None,
    channel_max: int,
    latent: int,
    mapping_layers: int,
    judge: str | None,
    inception: str | None,
    measured: int,
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
    """Train a StyleGAN2 generator on the photos in DATA, a folder or a data set.

    Photos of other proportions are padded as edits pad them. Checkpoints, the log, sample images and the
    discriminator go to a folder beside the output. The same command with --resume goes on after a stop.

    On several GPUs: torchrun --nproc-per-node 4 -m fice_core train generator DATA -o ...
    """
    from .. import checkpoints
    from ..datasets import open_photos
    from ..latents import generator_id
    from ..training.discriminator import load_discriminator, save_discriminator
    from ..training.distributed import together
    from ..training.generator import (
        GeneratorTraining,
        Recipe,
        build,
        build_critic,
        kinds_of,
        train,
    )
    from ..training.loop import Schedule
    from ..training.photos import Photos

    with quiet_unless_first(), together(device) as processes:
        kinds = kinds_of(augment)
        inputs = [*filter(None, (start, start_discriminator, judge, inception))]
        check_output(output, inputs, resume, overwrite, processes)
        folder = prepare_folder(run, output, "generator", resume, processes)
        if start is None:
            if start_discriminator is not None:
                raise FiceError("a discriminator is given, but no generator: add --start")
            size = resolution or (256, 256)
            network = build(size, channel_base, channel_max, mapping_layers, latent, seed)
        else:
            network = checkpoints.load_generator(start)
            _check_size(network, resolution, start)
        size = network.resolution
        if freeze and start_discriminator is None:
            raise FiceError(
                "the layers of a random discriminator would be frozen: add --start-discriminator"
            )
        if "rotate90" in kinds and size[0] != size[1]:
            raise FiceError("quarter turns need square images: leave rotate90 out of --augment")
        if start_discriminator is not None:
            critic = load_discriminator(start_discriminator, group)
            if critic.resolution != size:
                raise FiceError(
                    f"{start_discriminator} judges images of {_shown(critic.resolution)} "
                    f"pixels, but the generator makes {_shown(size)}"
                )
        else:
            critic = build_critic(network, group, seed)
        number = "distance" if inception is None else "fid"
        embedding = _embedding(judge, inception, processes.device)
        training = GeneratorTraining(
            network,
            critic,
            Photos(open_photos(photos, split), size),
            Recipe(
                rate=0.0025 if rate is None else rate,
                gamma=gamma,
                augmentations=kinds,
                adaptive=500.0 if start is None else 100.0,
                mirror=mirror,
                freeze=freeze,
                measured=measured,
            ),
            batch,
            seed,
            processes,
            multiplies_half(precision),
        )
        shown = kimg or (_KIMG if start is None else _KIMG_FURTHER)
        steps = max(1, round(1000 * shown / batch))
        tell(
            processes,
            f"training a generator of {_shown(size)} images on {len(training.photos)} photos, {steps} steps "
            f"of {batch} on {processes.count} x {processes.device}; log and samples in {folder}",
        )
        name = "nothing" if start is None else generator_id(network)
        schedule = Schedule(steps, minutes, save_every)
        every = min(25, max(1, steps // 40))
        average, finished = train(training, folder, schedule, embedding, number, every, name)
        if processes.is_first:
            write_result(average, output, "trained by `fice train generator`")
            save_discriminator(training.critic, folder / "discriminator.safetensors")
            tell_unfinished(finished)


def _check_size(network: Generator, wanted: tuple[int, int] | None, source: str) -> None:
    if wanted is not None and wanted != network.resolution:
        raise FiceError(
            f"{source} makes images of {_shown(network.resolution)} pixels, not {_shown(wanted)}: leave "
            "--resolution out"
        )


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _embedding(judge: str | None, inception: str | None, device: Device) -> Embedding:
    """The features of the progress number."""
    from .. import checkpoints
    from ..models import DEMO_WEIGHTS
    from ..training.frechet import load_inception
    from ..training.generator import embedding_of

    if inception is not None:
        return load_inception(inception, device)
    source = DEMO_WEIGHTS / "segmenter.safetensors" if judge is None else Path(judge)
    return embedding_of(checkpoints.load(source), device)
