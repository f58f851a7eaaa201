"""Which jobs are edited at once, and how a batch is recognised when it is resumed.

Edits that are computed at once can differ in their last bits from edits computed alone. So the groups
depend on the jobs and the photos only: a result depends neither on the number of workers nor on where a
run was killed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import FiceError
from ..files import read_bytes
from ..settings import EditSettings
from .jobs import Job

#: Most pixels of all photos that are in memory at once; a larger photo is there alone.
MAX_PIXELS = 16_000_000

Size = tuple[int, int]


@dataclass(frozen=True)
class Input:
    """The hash of a photo or mask file, and its (H, W) before it is turned upright; None for no image."""

    digest: str
    size: Size | None


def look(jobs: Sequence[Job], seen: Callable[[], object] = lambda: None) -> dict[str, Input]:
    """Return every photo and mask by its name; `seen` is called after each job.

    Raises:
        FiceError: a file cannot be read.
    """
    from ..images.photo import stored_size

    inputs: dict[str, Input] = {}
    for job in jobs:
        for name in job.files:
            if name in inputs:
                continue
            try:
                data = read_bytes(name, "an image file")
            except FiceError as error:
                raise FiceError(f"{job.place}: {error}") from error
            inputs[name] = Input(hashlib.sha256(data).hexdigest(), stored_size(data))
        seen()
    return inputs


def grouped(
    jobs: Sequence[Job], sizes: Mapping[str, Size | None], apart: bool, limit: int | None = None
) -> list[list[Job]]:
    """Return the jobs in groups that are edited at once, in the order of the first job of each.

    Several prompts for one photo are in a group, so that the photo is prepared once. Photos with one
    prompt are grouped by size.

    Args:
        sizes: (H, W) by photo; None if unknown.
        apart: no group has two photos; needed if a generator is tuned to each photo.
        limit: most jobs of a group, and every job counts the pixels of its photo. Without a limit, a photo
            counts once, so all its prompts are in one group.
    """
    prompts = Counter(_all_but_prompt(job) for job in jobs)
    alike: dict[object, list[Job]] = {}
    for job in jobs:
        key, size = _all_but_prompt(job), sizes[job.photo]
        if prompts[key] == 1 and not apart and size is not None:
            key = size, job.mask is None, job.negative, job.worn
        alike.setdefault(key, []).append(job)
    groups: list[list[Job]] = []
    for members in alike.values():
        count = _most(members, sizes[members[0].photo], limit)
        groups += [members[start : start + count] for start in range(0, len(members), count)]
    return groups


def identity(
    jobs: Sequence[Job],
    inputs: Mapping[str, Input],
    settings: EditSettings,
    models: Mapping[str, str | None],
    computed: Mapping[str, object],
) -> dict[str, str]:
    """Return a hash, by name, of each thing that the results of a batch depend on.

    Args:
        models: a description of each model's file.
        computed: device, number of threads and version of the program.
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


def _all_but_prompt(job: Job) -> tuple[object, ...]:
    return job.subject, job.negative, job.worn


def _most(members: Sequence[Job], size: Size | None, limit: int | None) -> int:
    """How many of these jobs, on photos of one size, may be in one group."""
    height, width = size or (1, 1)
    fitting = max(1, MAX_PIXELS // (height * width))
    if limit is not None:
        return min(limit, fitting)
    one_photo = len({job.photo for job in members}) == 1
    return len(members) if one_photo else fitting


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
