"""Edits a group of jobs at once. Workers get and return the bytes of files, so no disk is shared."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import FiceError
from ..settings import EditSettings
from .jobs import Job
from .subjects import Subject, Subjects

if TYPE_CHECKING:
    from torch import Tensor

    from ..editing.result import EditResult
    from ..images.photo import Photo
    from ..inversion.result import OnStep
    from ..models import Models

#: Each job with its subject. Either all jobs share one subject, or each has its own.
Group = Sequence[tuple[Job, Subject]]


def edit_group(
    models: "Models",
    settings: EditSettings,
    group: Group,
    on_step: "OnStep | None" = None,
    on_warning: Callable[[str], None] = lambda line: None,
) -> "EditResult":
    """Edit the photos of a group at once; raises what `edit` raises.

    Args:
        group: photos of one size, all with a mask or all without, with the same `negative` and `worn`.
        on_step, on_warning: see `edit`.
    """
    import torch

    from .. import editing

    jobs = [job for job, _ in group]
    subjects = list({id(subject): subject for _, subject in group}.values())
    pixels = [subject.photo.pixels[None] for subject in subjects]
    masks = [subject.mask for subject in subjects if subject.mask is not None]
    return editing.edit(
        models,
        torch.cat(pixels) if len(pixels) > 1 else pixels[0],
        [job.prompt for job in jobs],
        settings,
        on_step,
        mask=torch.cat(masks) if masks else None,
        frames=[subject.frame for subject in subjects],
        negative=jobs[0].negative,
        source=jobs[0].worn,
        on_warning=on_warning,
    )


@dataclass(frozen=True)
class Setup:
    """What all groups have in common.

    Attributes:
        load: loads the models onto a device, in the worker.
        device: see `load_models`.
        settings: of every edit.
        threads: CPU threads of a worker. Another number can change the last bits.
    """

    load: "Callable[..., Models]"
    device: str
    settings: EditSettings
    threads: int

    def editor(self) -> "Editor":
        """What a worker answers with."""
        return Editor(self)


class Answering(Protocol):
    """What a worker holds: it answers one group after another."""

    def answer(self, work: "Work") -> "Outcome | FiceError | WorkerDied":
        """The outcome of a group; exceptions are returned, because not every one can be pickled."""
        ...


class Hiring(Protocol):
    """What a worker is made from, in its own process: a `Setup`, or another kind of edits."""

    @property
    def device(self) -> str:
        """See `load_models`."""
        ...

    @property
    def threads(self) -> int:
        """CPU threads of a worker."""
        ...

    def editor(self) -> Answering:
        """What the worker answers with; heavy things are loaded for its first answer."""
        ...


class Task(Protocol):
    """What the driver knows of a job."""

    @property
    def output(self) -> str:
        """The name of its result."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files that are read."""
        ...


@dataclass(frozen=True)
class Work:
    """A group for a worker; `files` holds the bytes of its photos and masks by name."""

    group: int
    jobs: tuple[Any, ...]  # of the kind that the editor knows: `Job` for an `Editor`
    files: dict[str, bytes]


@dataclass
class Outcome:
    """The results of a group: by output, the bytes of the file or the reason why there is none."""

    group: int
    results: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class WorkerDied(Exception):
    """A worker gave no answer to a group; the message says how it ended."""


class Editor:
    """Edits groups. The models are loaded for the first one."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._models: Models | None = None

    def answer(self, work: Work) -> Outcome | FiceError | WorkerDied:
        """Edit a group. Exceptions are returned, because not every exception can be pickled.

        Returns:
            The outcome; or a `FiceError` if the models cannot be loaded; or `WorkerDied` after a defect,
            whose traceback is printed.
        """
        try:
            if self._models is None:
                import torch

                torch.set_num_threads(self._setup.threads)
                self._models = self._setup.load(device=self._setup.device)
            return self._edited(work, self._models)
        except FiceError as error:
            return error
        except Exception as defect:
            traceback.print_exc()
            return WorkerDied("".join(traceback.format_exception_only(defect)).strip())

    def _edited(self, work: Work, models: "Models") -> Outcome:
        from ..images.mask import decode_mask
        from ..images.photo import decode_photo

        outcome = Outcome(work.group)

        def read(name: str) -> "Photo":
            return decode_photo(content(name), name, outcome.warnings.append)

        def read_mask(name: str) -> "Tensor":
            return decode_mask(content(name), name, outcome.warnings.append)

        def content(name: str) -> bytes:
            if name not in work.files:
                raise FiceError(f"cannot read {name}: it was there when the batch began")
            return work.files[name]

        reader = Subjects(read, read_mask, self._setup.settings.framing)
        subjects: dict[object, Subject] = {}
        alike: dict[object, list[tuple[Job, Subject]]] = {}
        for job in work.jobs:
            try:
                if job.subject not in subjects:
                    subjects[job.subject] = reader.read(job, models)
            except FiceError as error:
                outcome.failed[job.output] = str(error)
                continue
            subject = subjects[job.subject]
            # Files of one size can hold photos of two sizes: some are turned upright.
            alike.setdefault(subject.photo.pixels.shape, []).append((job, subject))
        for group in alike.values():
            self._edit(group, models, outcome)
        return outcome

    def _edit(self, group: Group, models: "Models", outcome: Outcome) -> None:
        """Edit photos of one size at once; if an error is raised, edit each alone to find its photo."""
        from ..images.photo import encode_photo, losses
        from ..reporting.edit_report import with_names

        jobs = [job for job, _ in group]
        try:
            result = edit_group(models, self._setup.settings, group)
        except FiceError as error:
            if len(jobs) == 1:
                outcome.failed[jobs[0].output] = f"{jobs[0].photo}: {error}"
                return
            for pair in group:
                self._edit([pair], models, outcome)
            return
        lines = [with_names(line, [job.photo for job in jobs]) for line in result.warnings]
        for (job, subject), image in zip(group, result.images, strict=True):
            photo = replace(subject.photo, pixels=image)
            try:
                outcome.results[job.output] = encode_photo(job.output, photo)
            except FiceError as error:
                outcome.failed[job.output] = str(error)
            else:
                lines += losses(job.output, photo, job.photo)
        outcome.warnings += [line for line in dict.fromkeys(lines) if line not in outcome.warnings]
