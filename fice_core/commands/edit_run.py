"""The edits of one `fice edit`: in groups that fit into memory, to files and a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..batch.groups import MAX_PIXELS
from .common import say, warn
from .photos import Photos

if TYPE_CHECKING:
    import torch

    from ..editing.result import EditInterrupted, EditResult
    from ..framing import Frame
    from ..images.photo import Photo
    from ..inversion.result import Step
    from ..models import Models
    from ..settings import EditSettings


@dataclass(frozen=True)
class Job:
    """One edit to be made."""

    input: str
    prompt: str
    output: Path


def together(jobs: list[Job], photos: Photos, apart: bool) -> Iterator[list[Job]]:
    """The jobs in groups that are computed as one batch.

    Those of one photo are together, so that what is done to it before the edit is done once. Where
    each photo has one edit, photos of one size are together, as many as `MAX_PIXELS` holds, unless
    they have to be `apart`.
    """
    single = len({job.input for job in jobs}) == len(jobs)
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        key = photos.sizes[job.input] if single and not apart else job.input
        groups.setdefault(key, []).append(job)
    for group in groups.values():
        height, width = photos.sizes[group[0].input]
        count = max(1, MAX_PIXELS // (height * width)) if single else len(group)
        for start in range(0, len(group), count):
            yield group[start : start + count]


@dataclass
class Run:
    """What all edits have in common, and what they say at the end.

    Attributes:
        source: the name of the models.
        photos: with a frame in each of them.
        mask: the edits stay within it, (1, 1, H, W) in [0, 1].
        texts: `negative` and `source` of `edit`.
        keep: after Ctrl-C, write the edits as far as they have come.
        report: the file for settings, losses and timing.
    """

    models: Models
    settings: EditSettings
    source: str
    photos: Photos
    frames: dict[str, Frame]
    mask: torch.Tensor | None
    texts: dict[str, str]
    keep: bool
    report: str | None

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.entries: list[dict[str, Any]] = []

    def edit(self, jobs: list[Job], progress: Any) -> None:
        """Edit the photos of one group and write the results."""
        import torch

        from .. import editing

        inputs = list(dict.fromkeys(job.input for job in jobs))
        photos = {path: self.photos.read(path) for path in inputs}
        pixels = [photos[path].pixels[None] for path in inputs]

        def forward(step: Step) -> None:
            progress.update()

        try:
            result = editing.edit(
                self.models,
                torch.cat(pixels) if len(pixels) > 1 else pixels[0],
                [job.prompt for job in jobs],
                self.settings,
                forward,
                mask=self.mask,
                frames=[self.frames[path] for path in inputs],
                negative=self.texts["negative"],
                source=self.texts["source"],
            )
        except editing.EditInterrupted as interrupt:
            self._interrupted(jobs, photos, interrupt)
        self._write(jobs, photos, result)

    def _interrupted(
        self, jobs: list[Job], photos: dict[str, Photo], interrupt: EditInterrupted
    ) -> NoReturn:
        message = "interrupted"
        if self.keep:
            self._write(jobs, photos, interrupt.result)
            self._write_report()
            places = ", ".join(str(job.output) for job in jobs)
            message = f"interrupted; the best result so far is in {places}"
        raise KeyboardInterrupt(message) from interrupt

    def _write(self, jobs: list[Job], photos: dict[str, Photo], result: EditResult) -> None:
        from ..images.photo import write_photo
        from ..reporting.edit_report import edit_report, with_names

        for job, image in zip(jobs, result.images, strict=True):
            write_photo(job.output, replace(photos[job.input], pixels=image))
        self.entries += edit_report(
            result,
            [job.input for job in jobs],
            [job.prompt for job in jobs],
            [str(job.output) for job in jobs],
        )
        inputs = [job.input for job in jobs]
        lines = [with_names(line, inputs) for line in result.warnings]
        self.warnings += [line for line in lines if line not in self.warnings]

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
        from ..files import write_json
        from ..reporting.edit_report import run_report

        if self.report:
            device = str(self.models.device)
            report = run_report(self.entries, self.settings, self.source, device, self.warnings)
            write_json(self.report, {**report, "texts": self.texts})
