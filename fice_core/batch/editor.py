"""What a worker does: edit the photos of a group, from bytes to bytes, so that it needs no shared disk."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import FiceError
from ..settings import EditSettings
from .jobs import Job

if TYPE_CHECKING:
    import torch

    from ..framing import Frame
    from ..images.photo import Photo
    from ..models import Models


@dataclass(frozen=True)
class Setup:
    """What all groups have in common.

    Attributes:
        load: loads the models onto a device, in the worker.
        device: see `load_models`.
        threads: of the CPU that a worker computes with. Other numbers give other last bits.
    """

    load: "Callable[..., Models]"
    device: str
    settings: EditSettings
    threads: int


@dataclass(frozen=True)
class Work:
    """A group for a worker; `files` holds the bytes of its photos and masks, by name."""

    group: int
    jobs: tuple[Job, ...]
    files: dict[str, bytes]


@dataclass
class Outcome:
    """What became of a group: the bytes of each result or the reason why there is none, by its name."""

    group: int
    results: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class WorkerDied(Exception):
    """A worker gave no answer to a group; the message says how it ended."""


@dataclass(frozen=True)
class _Subject:
    """A photo that was read, the person in it, and where the edit may go."""

    photo: "Photo"
    frame: "Frame"
    mask: "torch.Tensor | None"


class Editor:
    """Edits groups with models that are loaded for the first one."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._models: Models | None = None

    def answer(self, work: Work) -> Outcome | FiceError | WorkerDied:
        """Edit a group; nothing is raised, because not every exception can travel.

        Returns:
            What became of it, or a `FiceError` if the models cannot be loaded. A defect is printed, and
            returned as `WorkerDied`.
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
        outcome = Outcome(work.group)
        subjects: dict[object, _Subject] = {}
        alike: dict[object, list[Job]] = {}
        for job in work.jobs:
            key = job.photo, job.mask, job.person
            try:
                if key not in subjects:
                    subjects[key] = self._subject(job, work.files, models, outcome.warnings.append)
                # Of one size in their files, they may be turned to different ones.
                alike.setdefault(subjects[key].photo.pixels.shape, []).append(job)
            except FiceError as error:
                outcome.failed[job.output] = str(error)
        for jobs in alike.values():
            pairs = [(job, subjects[job.photo, job.mask, job.person]) for job in jobs]
            self._edit(pairs, models, outcome)
        return outcome

    def _subject(
        self, job: Job, files: dict[str, bytes], models: "Models", note: Callable[[str], None]
    ) -> _Subject:
        from ..images.photo import decode_photo
        from ..persons.selection import choose_frame

        def read(name: str) -> "Photo":
            if name not in files:
                raise FiceError(f"cannot read {name}: it was there when the batch began")
            return decode_photo(files[name], name, note)

        photo = read(job.photo)
        mask = None if job.mask is None else read(job.mask).pixels.mean(dim=0)[None, None]
        if mask is not None and mask.shape[2:] != photo.pixels.shape[1:]:
            sizes = [f"{size[-1]} x {size[-2]}" for size in (mask.shape, photo.pixels.shape)]
            raise FiceError(
                f"the mask {job.mask} has {sizes[0]} pixels, but {job.photo} has {sizes[1]}: a mask "
                "must be of the photo's size"
            )
        if mask is not None and not bool(mask.any()):
            raise FiceError(
                f"the mask {job.mask} is black everywhere: white marks where it applies"
            )
        framing = self._setup.settings.framing
        if job.person is not None and framing == "whole":
            framing = "auto"
        pixels = photo.pixels[None]
        try:
            frame = choose_frame(
                models.generator, models.segmenter, pixels, framing, job.person or 0
            )
        except FiceError as error:
            raise FiceError(f"{job.photo}: {error}") from error
        return _Subject(photo, frame, mask)

    def _edit(
        self, pairs: Sequence[tuple[Job, _Subject]], models: "Models", outcome: Outcome
    ) -> None:
        """Edit photos of one size at once; if that is refused, find out of which by editing each alone."""
        import torch

        from ..editing.pipeline import edit
        from ..images.photo import encode_photo
        from ..reporting.edit_report import with_names

        jobs = [job for job, _ in pairs]
        subjects = list({id(subject): subject for _, subject in pairs}.values())
        masks = [subject.mask for subject in subjects if subject.mask is not None]
        try:
            result = edit(
                models,
                torch.stack([subject.photo.pixels for subject in subjects]),
                [job.prompt for job in jobs],
                self._setup.settings,
                mask=torch.cat(masks) if masks else None,
                frames=[subject.frame for subject in subjects],
                negative=jobs[0].negative,
                source=jobs[0].worn,
            )
        except FiceError as error:
            if len(jobs) == 1:
                outcome.failed[jobs[0].output] = f"{jobs[0].photo}: {error}"
                return
            for pair in pairs:
                self._edit([pair], models, outcome)
            return
        for (job, subject), image in zip(pairs, result.images, strict=True):
            outcome.results[job.output] = encode_photo(
                job.output, replace(subject.photo, pixels=image)
            )
        lines = [with_names(line, [job.photo for job in jobs]) for line in result.warnings]
        outcome.warnings += [line for line in lines if line not in outcome.warnings]
