"""The edits of one `fice edit`: group by group, to files and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..batch.editor import Group, edit_group
from ..batch.jobs import Job
from ..batch.subjects import Subjects
from .console import say, show_step, warn

if TYPE_CHECKING:
    from ..editing.result import EditInterrupted, EditResult
    from ..models import Models
    from ..settings import EditSettings


@dataclass
class Run:
    """What all edits have in common, and what is reported about them.

    Attributes:
        source: the name of the models.
        subjects: reads photo, mask and frame of a job.
        folder: where the results go.
        texts: `negative` and `source` of `edit`, for the report.
        keep: after Ctrl-C, write the best result so far.
        report: the file for settings, losses and timing.
    """

    models: Models
    settings: EditSettings
    source: str
    subjects: Subjects
    folder: Path
    texts: dict[str, str]
    keep: bool
    report: str | None

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.entries: list[dict[str, Any]] = []

    def edit(self, jobs: Sequence[Job], progress: Any) -> None:
        """Edit the photos of one group and write the results."""
        from ..editing.result import EditInterrupted

        firsts = {job.photo: job for job in jobs}
        subjects = {name: self.subjects.read(job, self.models) for name, job in firsts.items()}
        group = [(job, subjects[job.photo]) for job in jobs]
        try:
            result = edit_group(
                self.models,
                self.settings,
                group,
                on_step=partial(show_step, progress),
                on_warning=lambda line: self._warn(group, line, progress),
            )
        except EditInterrupted as interrupt:
            self._interrupted(group, interrupt, progress)
        self._write(group, result, progress)

    def finish(self) -> None:
        """Print what was done and write the report."""
        self._write_report()
        for entry in self.entries:
            say(f"{entry['output']}: {entry['prompt']}")
        if self.report is not None:
            say(f"{self.report}: settings, losses and timing")

    def _interrupted(self, group: Group, interrupt: EditInterrupted, progress: Any) -> NoReturn:
        message = "interrupted"
        if self.keep:
            self._write(group, interrupt.result, progress)
            self._write_report()
            places = ", ".join(str(self.folder / job.output) for job, _ in group)
            message = f"interrupted; the best result so far is in {places}"
        raise KeyboardInterrupt(message) from interrupt

    def _warn(self, group: Group, line: str, progress: Any) -> None:
        """Print a warning at once, the first time it comes up."""
        from ..reporting.edit_report import with_names

        line = with_names(line, [job.photo for job, _ in group])
        if line not in self.warnings:
            self.warnings.append(line)
            progress.clear()
            warn(line)

    def _write(self, group: Group, result: EditResult, progress: Any) -> None:
        from ..images.photo import write_photo
        from ..reporting.edit_report import edit_report

        for (job, subject), image in zip(group, result.images, strict=True):
            write_photo(self.folder / job.output, replace(subject.photo, pixels=image))
        jobs = [job for job, _ in group]
        photos = [job.photo for job in jobs]
        outputs = [str(self.folder / job.output) for job in jobs]
        self.entries += edit_report(result, photos, [job.prompt for job in jobs], outputs)
        for line in result.warnings:
            self._warn(group, line, progress)

    def _write_report(self) -> None:
        from ..files import write_json
        from ..reporting.edit_report import run_report

        if self.report is not None:
            device = str(self.models.device)
            report = run_report(self.entries, self.settings, self.source, device, self.warnings)
            write_json(self.report, {**report, "texts": self.texts})
