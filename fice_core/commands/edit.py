"""`fice edit`: dress the persons in one's own pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..errors import FiceError
from .common import (
    bar,
    clip_option,
    device_option,
    models_of,
    models_option,
    preset_option,
    refine_option,
    say,
    seed_option,
    settings_of,
    steps_option,
    tune_option,
    warn,
)

if TYPE_CHECKING:
    import torch

    from ..editing import EditInterrupted, EditResult, Models
    from ..inversion import Step
    from ..settings import EditSettings


@click.command("edit")
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    required=True,
    metavar="TEXT",
    help="The garment, as in 'a red striped shirt'. Repeat it for several edits of every picture.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="A picture file, or for several edits a folder.",
)
@models_option
@clip_option
@preset_option
@steps_option
@refine_option
@tune_option
@seed_option
@device_option
@click.option("--report", metavar="FILE.json", help="Write settings, losses and timing here.")
@click.option(
    "--keep-on-interrupt", is_flag=True, help="After Ctrl-C, write the best result so far."
)
def command(
    inputs: tuple[str, ...],
    prompts: tuple[str, ...],
    output: str,
    source: str,
    clip: str | None,
    preset: str,
    steps: int | None,
    refine_steps: int,
    tune_steps: int,
    seed: int,
    device: str,
    report: str | None,
    keep_on_interrupt: bool,
) -> None:
    """Dress the person in each picture IN as the prompt says.

    PNG, WebP, BMP and TIFF outputs keep every pixel outside of the edit as it is.
    """
    from ..files import check_writable
    from ..images import is_lossy, read_image

    settings = settings_of(preset, steps, seed, refine_steps, tune_steps)
    jobs = _plan(inputs, prompts, output)
    images = {path: read_image(path, note=warn) for path in dict.fromkeys(inputs)}
    for job in jobs:
        check_writable(job.output)
    if report:
        check_writable(report)
    if any(is_lossy(job.output) for job in jobs):
        warn("JPEG alters every pixel a little: use .png to keep all but the garment exactly")

    models = models_of(source, clip, device)
    _check_sizes(images, models)
    run = _Run(models, settings, source, keep_on_interrupt, report)
    groups = list(_together(jobs, images, apart=tune_steps > 0))
    steps_of_group = refine_steps + tune_steps + settings.steps
    with bar("editing", steps_of_group * len(groups)) as progress:
        for number, group in enumerate(groups):
            progress.n = number * steps_of_group  # a group may have ended early
            run.edit(group, images, progress)
    run.finish()


@dataclass(frozen=True)
class Job:
    """One edit to be made."""

    input: str
    prompt: str
    output: Path


def _plan(inputs: tuple[str, ...], prompts: tuple[str, ...], output: str) -> list[Job]:
    """Every picture with every prompt, and where the results go.

    Raises:
        FiceError: a result would overwrite another one or an input.
    """
    from ..files import make_folder
    from ..images import check_suffix

    inputs, prompts = tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(prompts))
    single = len(inputs) == len(prompts) == 1
    out = Path(output)
    is_folder = out.is_dir() or output.endswith("/") or not out.suffix
    if not is_folder and not single:
        raise FiceError(
            f"{len(inputs) * len(prompts)} edits do not fit into the one file {output}: "
            "give a folder with -o"
        )
    if not is_folder:
        check_suffix(out)
        jobs = [Job(inputs[0], prompts[0], out)]
    else:
        names = ["" if len(prompts) == 1 else f"-{k + 1}" for k in range(len(prompts))]
        jobs = [
            Job(path, prompt, out / f"{Path(path).stem}{name}.png")
            for path in inputs
            for prompt, name in zip(prompts, names, strict=True)
        ]
    _check_collisions(jobs)
    if is_folder:
        make_folder(out)
    return jobs


def _check_collisions(jobs: list[Job]) -> None:
    taken = {Path(job.input).resolve(): f"the input {job.input}" for job in jobs}
    for job in jobs:
        target = job.output.resolve()
        if target in taken:
            raise FiceError(
                f"the edit of {job.input} would overwrite {taken[target]}: rename one of them"
            )
        taken[target] = f"the edit of {job.input}"


def _check_sizes(images: dict[str, torch.Tensor], models: Models) -> None:
    """Name the file that is too small or too narrow, before anything is computed."""
    from ..framing import Frame

    for path, image in images.items():
        try:
            Frame.around((image.shape[1], image.shape[2]), models.generator.resolution)
        except FiceError as error:
            raise FiceError(f"{path}: {error}") from error


def _together(jobs: list[Job], images: dict[str, torch.Tensor], apart: bool) -> Iterator[list[Job]]:
    """The jobs in groups that are computed as one batch: of one size, or `apart`, of one picture."""
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.input if apart else images[job.input].shape, []).append(job)
    yield from groups.values()


class _Run:
    """The edits of one command line, and what they say at the end."""

    def __init__(
        self,
        models: Models,
        settings: EditSettings,
        source: str,
        keep: bool,
        report: str | None,
    ) -> None:
        self.models = models
        self.settings = settings
        self.source = source
        self.keep = keep
        self.report = report
        self.warnings: list[str] = []
        self.entries: list[dict[str, Any]] = []

    def edit(self, jobs: list[Job], images: dict[str, torch.Tensor], progress: Any) -> None:
        """Edit pictures of one size and write the results."""
        import torch

        from .. import editing

        inputs = [job.input for job in jobs]
        if len(set(inputs)) == 1:  # whatever is done to the picture before the edit is done once
            inputs = inputs[:1]
        batch = torch.stack([images[path] for path in inputs])
        prompts = [job.prompt for job in jobs]

        def forward(step: Step) -> None:
            progress.update()

        try:
            result = editing.edit(
                self.models, batch, prompts, self.settings, forward, on_prepare=forward
            )
        except editing.EditInterrupted as interrupt:
            self._interrupted(jobs, interrupt)
        self._write(jobs, result)

    def _interrupted(self, jobs: list[Job], interrupt: EditInterrupted) -> NoReturn:
        message = "interrupted"
        if self.keep:
            self._write(jobs, interrupt.result)
            self._write_report()
            places = ", ".join(str(job.output) for job in jobs)
            message = f"interrupted; the best result so far is in {places}"
        raise KeyboardInterrupt(message) from interrupt

    def _write(self, jobs: list[Job], result: EditResult) -> None:
        from ..images import write_image
        from ..report import edit_report

        for job, image in zip(jobs, result.images, strict=True):
            write_image(job.output, image)
        self.entries += edit_report(
            result,
            [job.input for job in jobs],
            [job.prompt for job in jobs],
            [str(job.output) for job in jobs],
        )
        self.warnings += [line for line in result.warnings if line not in self.warnings]

    def finish(self) -> None:
        """Tell what was done."""
        for line in self.warnings:
            warn(line)
        self._write_report()
        for entry in self.entries:
            say(f"{entry['output']}: {entry['prompt']}")
        if self.report:
            say(f"{self.report}: settings, losses and timing")

    def _write_report(self) -> None:
        from ..report import whole_report, write_json

        if self.report:
            device = str(self.models.device)
            write_json(
                self.report,
                whole_report(self.entries, self.settings, self.source, device, self.warnings),
            )
