"""Runs the methods of a comparison. Each is a batch with a journal, so that a kill loses nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..batch.cluster import cluster
from ..batch.driver import run
from ..batch.journal import Journal, failures
from ..batch.workers import Hire, LocalWorker, OwnWorker
from ..errors import FiceError
from ..files import make_folder, read_bytes, write_json
from ..images.photo import stored_size
from ..models import Models
from ..rivals.contract import Rival
from .editor import Job, RivalEditor, Setup, task_of
from .folder import Folder
from .methods import METHODS
from .names import edit_name
from .pairs import Pair
from .timing import clock

# Steps of the two runs that measure how long a step takes: the terms that are not computed at every step are
# due as often between them as in a long run.
_TRIAL = (1, 5)
_STEPS = "steps.json"  # file that keeps what was measured, so that a resumed run takes the same


@dataclass(frozen=True)
class Run:
    """One method at its own number of steps, or at what fits into some seconds an edit."""

    method: str
    seconds: float | None = None

    @property
    def name(self) -> str:
        """Its name in tables and, with dashes, of its folder."""
        return self.method if self.seconds is None else f"{self.method} in {self.seconds:g} s"


def jobs_of(folder: Folder, pairs: Sequence[Pair]) -> list[Job]:
    """One job a pair, but for those that were left out, see `folder.set_out`."""
    return [
        Job(number, str(folder.photo(number)), pair.text, pair.worn)
        for number, pair in enumerate(pairs)
        if folder.mask(number).exists()
    ]


def grouped(jobs: Sequence[Job], at_once: int) -> list[list[Job]]:
    """The jobs in groups of one photo size, in a fixed order."""
    alike: dict[object, list[Job]] = {}
    for job in jobs:
        alike.setdefault(stored_size(read_bytes(job.photo)), []).append(job)
    return [
        same[start : start + at_once]
        for same in alike.values()
        for start in range(0, len(same), at_once)
    ]


def run_method(
    this: Run,
    folder: Folder,
    pairs: Sequence[Pair],
    setup: Setup,
    models: Models,
    at_once: int,
    workers: int,
    restart: bool = False,
    on_done: Callable[[int], None] = lambda count: None,
    address: str | None = None,
) -> dict[str, str]:
    """Make the edits of one method that are not there yet.

    Args:
        this: the method; `seconds` sets its steps, by two trials on the first group.
        folder: with photos, see `folder.set_out`.
        pairs: all of them.
        setup: of the method.
        models: for the trials, and for a single worker.
        at_once: edits that are computed together; a result's last bits depend on it.
        workers: processes.
        restart: forget earlier edits of this method.
        on_done: called with the number of edits that were made, or were there.
        address: of a Ray cluster, see `batch.cluster`; None for this machine.

    Returns:
        The reason for every edit that failed, by output.

    Raises:
        FiceError: the folder has edits of this method with other settings, or it cannot be built.
    """
    jobs = jobs_of(folder, pairs)
    if not jobs:
        raise FiceError("nobody was found in any of the photos, so there is nothing to edit")
    groups = grouped(jobs, at_once)
    place = make_folder(folder.edits(this.name))
    rival = METHODS[this.method].build(models, setup.means)
    if this.seconds is not None:
        setup = replace(setup, steps=_steps(this, place, groups[0], setup, models, restart))
    identity = {
        "pairs": _digest([asdict(pair) for pair in pairs]),
        "settings": _digest(asdict(replace(setup.means, cache=None)) | {"steps": setup.steps}),
        "device, threads or number at once": _digest([setup.device, setup.threads, at_once]),
    }
    outputs = [job.output for job in jobs]
    outputs += [edit_name(stitch, job.number) for job in jobs for stitch in setup.stitches]
    with Journal(place, identity, restart, outputs) as journal:
        on_done(sum(len(groups[number]) for number in journal.entries))
        with _hired(setup, models, rival, workers, address) as (hire, count):
            lost = run(groups, journal, hire, count, on_done)
        return {**failures(journal.entries.values()), **journal.unplaced, **lost}


@contextmanager
def _hired(
    setup: Setup, models: Models, rival: Rival, workers: int, address: str | None
) -> Iterator[tuple[Hire, int]]:
    """A function that makes a worker, and the number of workers."""
    if address is not None:
        with cluster(address, setup) as (hire, room):
            yield hire, min(workers, room) if workers > 1 else room
    elif workers == 1:
        editor = RivalEditor(setup, models, rival)
        yield lambda number: OwnWorker(editor), 1
    else:
        yield lambda number: LocalWorker(setup), workers


def _steps(
    this: Run, place: Path, group: Sequence[Job], setup: Setup, models: Models, restart: bool
) -> int:
    """How many steps fit into the seconds of an edit: time is measured at two numbers of steps."""
    path = place / _STEPS
    if path.exists() and not restart:
        try:
            return int(json.loads(read_bytes(path))["steps"])
        except (ValueError, KeyError, TypeError) as error:
            raise FiceError(f"{path} is damaged: delete it to measure again") from error
    rival = METHODS[this.method].build(models, setup.means)
    files = {job.photo: read_bytes(job.photo) for job in group}
    task = task_of(models, group, files, setup.means)
    rival.edit(task, 1)  # what is computed once for all edits
    now = clock(setup.device)
    took = []
    for steps in _TRIAL:
        started = now()
        rival.edit(task, steps)
        took.append((now() - started) / len(group))
    each = max((took[1] - took[0]) / (_TRIAL[1] - _TRIAL[0]), 1e-6)
    before = max(took[0] - _TRIAL[0] * each, 0.0)
    assert this.seconds is not None
    steps = max(1, int((this.seconds - before) / each))
    write_json(path, {"steps": steps, "seconds_a_step": each, "seconds_before": before})
    return steps


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
