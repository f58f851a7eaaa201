"""Options that several commands have, and the settings and models that they stand for.

An option of a setting bears the name of its field and is None if it is not given.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from ..errors import FiceError
from ..settings import EditSettings, Execution, Framing, Garment, Preset, StitchMode
from .console import bar
from .names import FILE_NAME

if TYPE_CHECKING:
    from ..models import Models

#: Weight of the term `clip_direction`, relative to that of `clip`, if a text says what the person wears.
DIRECTION_WEIGHT = 0.5

_Command = TypeVar("_Command", bound=Callable[..., Any])

negative_option = click.option(
    "--negative", default="", metavar="TEXT", help="What the garment must not be."
)
worn_option = click.option(
    "--from",
    "worn",
    default="",
    metavar="TEXT",
    help="What the person wears now. The edit then also follows the direction from this text to the "
    "prompt.",
)
garment_option = click.option(
    "--garment", type=click.Choice(get_args(Garment)), help="What is edited.  [default: upper]"
)
framing_option = click.option(
    "--frame",
    "framing",
    type=click.Choice(get_args(Framing)),
    help="What the generator sees: the largest person, the whole image, or whichever fits (auto).  "
    "[default: the preset's]",
)
stitch_option = click.option(
    "--stitch",
    type=click.Choice(get_args(StitchMode)),
    help="How the edit is stitched into the photo; head and none alter all of it.  "
    "[default: the preset's]",
)
preset_option = click.option(
    "--preset",
    type=click.Choice(get_args(Preset)),
    default="default",
    show_default=True,
    help="draft: a quick look. default: tuned settings for demonstration models, photo for others. photo: "
    "the paper's objective in fewer steps. paper: the authors' loop of 501 steps.",
)
steps_option = click.option(
    "--steps", type=int, help="Optimisation steps.  [default: the preset's]"
)
refine_option = click.option(
    "--refine-steps",
    type=int,
    help="Steps that fit the encoder's code to each photo before the edit.  [default: 0]",
)
search_option = click.option(
    "--search-steps",
    type=int,
    help="Without an encoder among the models, steps that search the code of each photo.  "
    "[default: the preset's]",
)
tune_option = click.option(
    "--tune-steps",
    type=int,
    help="Steps that then fit a copy of the generator to each photo.  [default: 0]",
)
hold_option = click.option(
    "--hold",
    is_flag=True,
    default=None,
    help="Generate the garment alone; elsewhere the generator keeps the features of the start.",
)
seed_option = click.option("--seed", type=int, help="Seed of the random numbers.  [default: 0]")
execution_option = click.option(
    "--execution",
    type=click.Choice(get_args(Execution)),
    help="How steps run: operation by operation (eager); compiled by torch, which takes up to a minute "
    "first and pays for many edits; or as CUDA graphs. auto takes graphs on CUDA.  [default: auto]",
)
models_option = click.option(
    "--models",
    "source",
    type=FILE_NAME,
    default="demo",
    show_default=True,
    metavar="demo|DIR",
    help="The demonstration models, or a folder with the authors' files.",
)
clip_option = click.option(
    "--clip",
    type=FILE_NAME,
    metavar="FILE|DIR|NAME",
    help="Another CLIP: a file, a folder of a hub download, or open_clip's ARCHITECTURE:WEIGHTS.",
)
clip_architecture_option = click.option(
    "--clip-architecture",
    metavar="NAME",
    help="Architecture of the CLIP file, as open_clip names it, if the file and its folder do not tell: "
    "ViT-L-14-quickgelu, or with the weights, ViT-L-14:datacomp_xl_s13b_b90k.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps..."
)
report_option = click.option(
    "--report", type=FILE_NAME, metavar="FILE.json", help="Write settings, losses and timing here."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there already."
)


def all_of(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """A decorator that adds several options, which `--help` lists in this order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


#: What `fice edit` and `fice batch` share: options of settings, models and device.
edit_options = all_of(
    garment_option,
    framing_option,
    stitch_option,
    preset_option,
    steps_option,
    search_option,
    refine_option,
    tune_option,
    hold_option,
    seed_option,
    execution_option,
    models_option,
    clip_option,
    clip_architecture_option,
    device_option,
)


def settings_of(preset: Preset, source: str = "demo", **given: Any) -> EditSettings:
    """Return the preset for these models, with the fields that are given; None leaves the preset's value."""
    return replace(
        EditSettings.preset(preset, _are_demonstration(source)),
        **{name: value for name, value in given.items() if value is not None},
    )


def _are_demonstration(source: str) -> bool:
    if source == "demo":
        return True
    from ..models import are_demonstration

    return are_demonstration(source)


def directed(settings: EditSettings) -> EditSettings:
    """Return the settings for edits with a text that says what the person wears now."""
    return settings.with_weights(clip_direction=DIRECTION_WEIGHT * settings.weights.clip)


def model_inputs(source: str, clip: str | None) -> list[str]:
    """The files that the models are read from, as far as they exist; no output may replace them."""
    from ..models import model_files

    try:
        files = [str(path) for path in model_files(source, clip).values()]
    except FiceError:  # told when they are loaded
        files = []
    if clip is None:
        return files
    folder = Path(clip)
    return [*files, clip, *(map(str, folder.iterdir()) if os.path.isdir(folder) else ())]


def clip_arguments(clip: str | None, architecture: str | None) -> dict[str, Any]:
    """Return the arguments of `load_models` for CLIP; without an architecture, none is named."""
    return {"clip": clip} | ({} if architecture is None else {"clip_architecture": architecture})


def models_of(
    source: str, clip: str | None, device: str, clip_architecture: str | None = None
) -> Models:
    """Load the models; the name "demo" is the demonstration set, `./demo` a folder."""
    from .. import editing

    with bar("loading the models"):
        return editing.load_models(source, device=device, **clip_arguments(clip, clip_architecture))
