"""Makes the edits of one method. Workers of `batch` hold it; photos come as bytes, results go as bytes."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..batch.editor import Outcome, Work, WorkerDied
from ..errors import FiceError
from ..settings import StitchMode
from .methods import METHODS, Means
from .names import edit_name, output_name

if TYPE_CHECKING:
    from torch import Tensor

    from ..models import Models
    from ..rivals.contract import Rival, Task


@dataclass(frozen=True)
class Job:
    """One edit. `number` is that of its pair, `photo` the file of the photo."""

    number: int
    photo: str
    prompt: str
    worn: str = ""

    @property
    def output(self) -> str:
        """The file that says how long the edit took; its images lie beside it."""
        return output_name(self.number)

    @property
    def files(self) -> tuple[str, ...]:
        """What is read."""
        return (self.photo,)


@dataclass(frozen=True)
class Setup:
    """What the edits of one method have in common.

    Attributes:
        load: loads the models onto a device, in the worker.
        device: see `load_models`.
        threads: CPU threads of a worker.
        method: its name in `METHODS`.
        means: what rivals need beside the models.
        steps: replaces the method's own number; None keeps it.
    """

    load: Callable[..., Models]
    device: str
    threads: int
    method: str
    means: Means
    steps: int | None = None

    def editor(self) -> RivalEditor:
        """See `batch.editor.Hiring`."""
        return RivalEditor(self)

    @property
    def stitches(self) -> tuple[StitchMode, ...]:
        """How each edit is brought back to its photo: not, as the authors do, and as this project does."""
        own, ours = METHODS[self.method].own_stitch, self.means.settings.stitch
        return tuple(dict.fromkeys(("none", own, ours)))


class RivalEditor:
    """Answers with the edits of one method.

    Args:
        setup: of the method.
        models: if they are loaded already.
        rival: if it is built already.
    """

    def __init__(
        self, setup: Setup, models: Models | None = None, rival: Rival | None = None
    ) -> None:
        self._setup, self._models, self._rival = setup, models, rival

    def answer(self, work: Work) -> Outcome | FiceError | WorkerDied:
        """See `batch.editor.Answering`."""
        try:
            if self._models is None:
                import torch

                torch.set_num_threads(self._setup.threads)
                self._models = self._setup.load(device=self._setup.device)
            if self._rival is None:
                method = METHODS[self._setup.method]
                self._rival = method.build(self._models, self._setup.means)
            outcome = Outcome(work.group)
            self._edit(list(work.jobs), work.files, outcome)
            return outcome
        except FiceError as error:
            return error
        except Exception as defect:
            traceback.print_exc()
            return WorkerDied("".join(traceback.format_exception_only(defect)).strip())

    def _edit(self, jobs: Sequence[Job], files: dict[str, bytes], outcome: Outcome) -> None:
        """Edit photos of one size at once; after an error, each alone, to find the one it is about."""
        assert self._models is not None
        assert self._rival is not None
        from .timing import clock

        try:
            task = task_of(self._models, jobs, files, self._setup.means)
            now = clock(self._setup.device)
            started = now()
            edited = self._rival.edit(task, self._setup.steps)
            seconds = (now() - started) / len(jobs)
        except FiceError as error:
            if len(jobs) == 1:
                outcome.failed[jobs[0].output] = str(error)
                return
            for job in jobs:
                self._edit([job], files, outcome)
            return
        from ..rivals.stitched import finish
        from .folder import as_png

        sound = edited.images.isfinite().flatten(1).all(dim=1).tolist()
        whole = replace(edited, images=edited.images.nan_to_num()) if not all(sound) else edited
        images: dict[str, Tensor] = {
            stitch: finish(task, whole, stitch, self._setup.means.settings).images
            for stitch in self._setup.stitches
        }
        said = {"seconds": round(seconds, 4), "steps": edited.steps, "together": len(jobs)}
        for k, job in enumerate(jobs):
            if not sound[k]:
                outcome.failed[job.output] = "the generated image is not finite"
                continue
            for stitch, made in images.items():
                outcome.results[edit_name(stitch, job.number)] = as_png(made[k])
            outcome.results[job.output] = json.dumps(said).encode()


def task_of(models: Models, jobs: Sequence[Job], files: dict[str, bytes], means: Means) -> Task:
    """What a rival is given for some jobs whose photos have one size."""
    import torch

    from ..images.photo import decode_photo
    from ..rivals.contract import Task
    from .folder import preparation_of

    photos = torch.stack([decode_photo(files[job.photo], job.photo).pixels for job in jobs])
    prompts = [job.prompt for job in jobs]
    preparation = preparation_of(models, photos, prompts, means.settings)
    return Task(models, preparation, prompts, [job.worn for job in jobs])
