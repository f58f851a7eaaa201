"""Which jobs are computed at once, and by what a batch is known again.

What is computed together has an influence on the last bits, so the groups follow from the jobs and the
photos alone: neither the number of workers nor where a run was killed changes a result.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FiceError
from ..settings import EditSettings
from .jobs import Job

#: Photos of more pixels than this, in all, are not in memory at once; one of them always is.
MAX_PIXELS = 16_000_000


@dataclass(frozen=True)
class Input:
    """A photo or mask: the hash of its bytes, and (H, W) as its head says, None if it is no picture."""

    digest: str
    size: tuple[int, int] | None


def look(jobs: Sequence[Job], seen: Callable[[], object] = lambda: None) -> dict[str, Input]:
    """Every photo and mask, by name; `seen` is called after each job.

    Raises:
        FiceError: one cannot be read.
    """
    from ..images.photo import stored_size

    inputs: dict[str, Input] = {}
    for job in jobs:
        for name in (job.photo, job.mask):
            if name is None or name in inputs:
                continue
            try:
                data = Path(name).read_bytes()
            except OSError as error:
                reason = error.strerror or error
                raise FiceError(f"{job.place}: cannot read {name}: {reason}") from error
            inputs[name] = Input(hashlib.sha256(data).hexdigest(), stored_size(data))
        seen()
    return inputs


def grouped(
    jobs: Sequence[Job], inputs: Mapping[str, Input], settings: EditSettings
) -> list[list[Job]]:
    """The jobs in groups of at most `max_batch`, in the order of the first job of each.

    Several prompts for one photo are together, so that what is done to it before the edit is done once.
    The other photos are with those of their size, but each alone if a generator is tuned to it.
    """
    prompts: dict[object, int] = {}
    for job in jobs:
        prompts[_subject(job)] = prompts.get(_subject(job), 0) + 1
    alike: dict[object, list[Job]] = {}
    for job in jobs:
        size = inputs[job.photo].size
        single = prompts[_subject(job)] == 1 and settings.tune_steps == 0 and size is not None
        several = (size, job.mask is None, job.negative, job.worn)
        alike.setdefault(several if single else _subject(job), []).append(job)
    groups: list[list[Job]] = []
    for members in alike.values():
        height, width = inputs[members[0].photo].size or (1, 1)
        count = max(1, min(settings.max_batch, MAX_PIXELS // (height * width)))
        groups += [members[start : start + count] for start in range(0, len(members), count)]
    return groups


def identity(
    jobs: Sequence[Job],
    inputs: Mapping[str, Input],
    settings: EditSettings,
    models: Mapping[str, str | None],
    computed: Mapping[str, object],
) -> dict[str, str]:
    """By what a batch is known again: a hash of everything that its results depend on, by its name.

    Args:
        models: what is known of each model's file.
        computed: by what program, on what device...
    """
    rows = [
        (
            job.output,
            inputs[job.photo].digest,
            inputs[job.mask].digest if job.mask else None,
            job.prompt,
            job.negative,
            job.worn,
            job.person,
        )
        for job in jobs
    ]
    parts = {
        "jobs or photos": rows,
        "settings": settings.as_dict(),
        "models": dict(models),
        "device, threads or version": dict(computed),
    }
    return {name: _digest(value) for name, value in parts.items()}


def _subject(job: Job) -> tuple[object, ...]:
    """All of a job but its prompt and output."""
    return job.photo, job.mask, job.person, job.negative, job.worn


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
