"""What the commands share: options, the progress bar, lines for the user."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, get_args

import click

from ..settings import EditSettings, Execution, Framing, Garment, Preset, StitchMode

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..models import Models

negative_option = click.option(
    "--negative", default="", metavar="TEXT", help="What the garment shall not be."
)
worn_option = click.option(
    "--from",
    "worn",
    default="",
    metavar="TEXT",
    help="What the person wears now; the edit is then judged by the way from this to the prompt, too.",
)
garment_option = click.option(
    "--garment", type=click.Choice(get_args(Garment)), help="What is edited.  [default: upper]"
)
framing_option = click.option(
    "--frame",
    "framing",
    type=click.Choice(get_args(Framing)),
    help="What the generator sees: the largest person, the whole picture, or whichever fits.  "
    "[default: the preset's]",
)
stitch_option = click.option(
    "--stitch",
    type=click.Choice(get_args(StitchMode)),
    help="How the edit joins the picture; head and none alter all of it.  [default: the preset's]",
)
models_option = click.option(
    "--models",
    "source",
    default="demo",
    show_default=True,
    metavar="demo|DIR",
    help="The demonstration models, or a folder with the authors' files.",
)
clip_option = click.option(
    "--clip",
    metavar="FILE|NAME",
    help="Another CLIP: a file, or open_clip's ARCHITECTURE:WEIGHTS.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps..."
)
preset_option = click.option(
    "--preset",
    type=click.Choice(get_args(Preset)),
    default="default",
    show_default=True,
    help="A quick look, the project's settings, or the authors' loop of 501 steps.",
)
steps_option = click.option(
    "--steps", type=int, help="Optimisation steps.  [default: the preset's]"
)
refine_option = click.option(
    "--refine-steps",
    type=int,
    default=0,
    show_default=True,
    help="Steps that first fit the encoder's code to each picture.",
)
tune_option = click.option(
    "--tune-steps",
    type=int,
    default=0,
    show_default=True,
    help="Steps that then fit a copy of the generator to each picture.",
)
hold_option = click.option(
    "--hold", is_flag=True, help="Generate the garment alone; everywhere else the start stays."
)
execution_option = click.option(
    "--execution",
    type=click.Choice(get_args(Execution)),
    default="auto",
    show_default=True,
    help="Steps operation by operation; compiled by torch, which takes up to a minute first and pays for "
    "many edits; or as CUDA graphs, which is what auto takes on CUDA.",
)
seed_option = click.option("--seed", type=int, default=0, show_default=True)


#: Weight of the way from what is worn to the prompt, against that of the prompt itself.
DIRECTION_WEIGHT = 0.5


def settings_of(
    preset: Preset,
    steps: int | None,
    seed: int,
    refine_steps: int = 0,
    tune_steps: int = 0,
    hold: bool = False,
    execution: Execution = "auto",
    framing: Framing | None = None,
    garment: Garment | None = None,
    stitch: StitchMode | None = None,
    directed: bool = False,
) -> EditSettings:
    """The settings that the options stand for; None leaves the preset's.

    Args:
        directed: a text says what the person wears now.
    """
    from dataclasses import replace

    settings = EditSettings.preset(preset)
    settings = replace(
        settings,
        seed=seed,
        steps=settings.steps if steps is None else steps,
        refine_steps=refine_steps,
        tune_steps=tune_steps,
        hold=hold,
        execution=execution,
        framing=framing or settings.framing,
        garment=garment or settings.garment,
        stitch=stitch or settings.stitch,
    )
    if directed:
        settings = settings.with_weights(clip_direction=DIRECTION_WEIGHT * settings.weights.clip)
    return settings


def models_of(source: str, clip: str | None, device: str) -> Models:
    """The models that the options stand for; "demo" is a name, `./demo` a folder."""
    from .. import editing

    with bar("loading the models"):
        return editing.load_models(source, device=device, clip=clip)


def bar(what: str, total: int | None = None, unit: str = "step") -> tqdm[Any]:
    """A progress bar on stderr that vanishes when done; none where stderr is not a terminal."""
    from tqdm import tqdm

    layout = None if total else "{desc}..."
    return tqdm(
        desc=what,
        total=total,
        unit=unit,
        bar_format=layout,
        leave=False,
        disable=None,
        file=sys.stderr,
    )


def say(line: str) -> None:
    """A line of the command's result."""
    click.echo(line)


def warn(line: str) -> None:
    """A line that the user should know, in addition to the result."""
    click.echo(f"fice: warning: {' '.join(line.split())}", err=True)
