"""`fice models`: which networks there are, which are on this machine, and what is missing."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import FiceError
from .console import bar, say, warn
from .names import FILE_NAME
from .options import device_option, models_of

if TYPE_CHECKING:
    from ..catalogue.kinds import Kind
    from ..catalogue.search import Located

_PROMPT = "a red shirt"


@click.group("models", invoke_without_command=True)
@click.option(
    "--in",
    "more",
    multiple=True,
    type=FILE_NAME,
    metavar="DIR",
    help="Look here too. Repeat it for several folders.",
)
@click.pass_context
def command(context: click.Context, more: tuple[str, ...]) -> None:
    """Show which networks an edit needs, where they are published, and which are on this machine.

    Looks into FICE's own folder (~/fice-models, or FICE_MODELS), into ComfyUI's folders and those of its
    packs, and into the cache of the Hugging Face Hub. Nothing is downloaded.
    """
    if context.invoked_subcommand is not None:
        return
    from ..catalogue.kinds import KINDS
    from ..catalogue.places import places
    from ..catalogue.search import search

    for folder in more:
        if not os.path.isdir(folder):
            raise FiceError(f"there is no folder {folder}")
    looked = places(tuple(Path(folder) for folder in more))
    with bar("looking for models") as progress:
        found = search(looked, lambda path: progress.update())
    for kind in KINDS:
        _show(kind, [each for each in found if each.kind == kind.name])
    counts = Counter(place.name for place in looked)
    say(
        "looked into "
        + (
            ", ".join(n if k == 1 else f"{n} ({k} folders)" for n, k in counts.items())
            or "no folder"
        )
    )
    _show_missing({each.kind for each in found if not each.problem})


@command.command("check")
@click.argument("folder", type=FILE_NAME)
@device_option
def check(folder: str, device: str) -> None:
    """Load the networks in FOLDER and take one step of an edit with them.

    The photo is an image of the generator's own, so the result says nothing about quality.
    """
    import torch

    from .. import editing
    from ..checkpoints import describe
    from ..extraction.extractors import synthesize
    from ..models import model_files
    from ..ops.autograd import without_grad
    from ..settings import EditSettings

    files = model_files(folder)
    for kind, path in files.items():
        say(f"{kind:<10} {describe(path).summary}")
    if "encoder" not in files:
        say("encoder    none: the code of a photo is searched")
    start = time.monotonic()
    models = models_of(folder, None, device)
    loaded = time.monotonic()
    settings = EditSettings(steps=1, search_steps=2, start_candidates=0, framing="whole")
    with without_grad():
        z = torch.randn(1, models.generator.z_dim, generator=torch.Generator().manual_seed(0))
        codes = models.generator.map(z.to(models.device), 0.5)
        photo = synthesize(models.generator, codes, clamp=True).cpu()
    with bar("taking a step"):
        result = editing.edit(models, photo, _PROMPT, settings)
    for line in result.warnings:
        warn(line)
    if not bool(result.generated.isfinite().all()):
        raise FiceError(f"the networks of {folder} give NaN or infinite images")
    total = float(result.trace.total[-1].mean())
    say(
        f"loaded in {loaded - start:.1f} s, one step on {models.device} in {time.monotonic() - loaded:.1f} s "
        f"with all that comes before it; its loss is {total:.3f}"
    )


@command.command("get")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=FILE_NAME,
    metavar="DIR",
    help="Folder of models.  [default: ~/fice-models, or FICE_MODELS]",
)
@click.option("--offline", is_flag=True, help="Open no connection; say what to fetch elsewhere.")
def get(name: str, output: str | None, offline: bool) -> None:
    """Download the published network NAME from the Hugging Face Hub.

    Run `fice models` for the names, and read the licence of the network first. A download that was cut goes
    on with the same command.
    """
    from ..catalogue.download import fetch
    from ..catalogue.places import own_folder
    from ..catalogue.published import BY_NAME
    from ..checkpoints import describe

    model = BY_NAME.get(name)
    if model is None:
        names = ", ".join(each.name for each in BY_NAME.values() if each.repository)
        raise FiceError(f"nothing is published as {name!r} here: get one of {names}")
    folder = Path(output) if output else own_folder()
    say(f"{model.name}: {model.what}; licence: {model.licence}; {model.page}")
    path = fetch(model, folder, offline, bars=sys.stderr.isatty(), tell=say)
    found = describe(path)
    say(found.summary)
    if problem := found.details.get("not usable here"):
        warn(f"it cannot be used as it is: {problem}")


def _show(kind: Kind, found: list[Located]) -> None:
    """What is known of one kind: on this machine, then published."""
    from ..catalogue.published import published_of

    say(f"{kind.name}: {kind.does}{'' if kind.required else ' (optional)'}")
    for each in found:
        say(f"  here       {each.path}  [{each.place}]  {each.what}")
        if each.problem:
            say(f"             not usable: {each.problem}")
    if not found:
        say("  here       none")
    for published in published_of(kind.name):
        size = "" if published.megabytes is None else f", {published.megabytes} MB"
        say(f"  published  {published.name}  {published.what} ({published.form}{size})")
        say(f"             {published.page}  licence: {published.licence}")
    say("")


def _show_missing(usable: set[str]) -> None:
    """What a working set still lacks, and what could be fetched for it."""
    from ..catalogue.kinds import KINDS
    from ..catalogue.published import published_of

    lacking = [kind for kind in KINDS if kind.required and kind.name not in usable]
    if not lacking:
        say(
            "a working set is here: put one of each kind into a folder and run `fice models check` on it"
        )
    for kind in lacking:
        names = [each.name for each in published_of(kind.name) if each.repository]
        say(f"missing: a {kind.name}; fice models get {' | '.join(names)}")
