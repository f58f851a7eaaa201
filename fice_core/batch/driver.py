"""Gives the groups of a batch to workers and commits what comes back. It alone writes."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .editor import Outcome, Work, WorkerDied
from .jobs import Job
from .journal import Entry, Journal
from .workers import Hire, Worker

#: How often a group is given to a worker before it is given up.
ATTEMPTS = 2


def run(
    groups: Sequence[Sequence[Job]],
    journal: Journal,
    hire: Hire,
    workers: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> dict[str, str]:
    """Edit all groups that the journal does not have.

    Args:
        groups: in an order that stays the same: the journal knows them by number.
        journal: open.
        workers: how many at once.
        on_done: called with the number of jobs of a group, after each.

    Returns:
        Why groups were given up, by the names of their results. They are not in the journal, so that the
        next run tries them again.

    Raises:
        FiceError: the models cannot be loaded, or the results not be written.
    """
    todo: queue.Queue[int] = queue.Queue()
    for number in range(len(groups)):
        if number not in journal.entries:
            todo.put(number)
    count = todo.qsize()
    lost: dict[str, str] = {}
    with _Shift(groups, todo, hire, min(workers, count)) as shift:
        for number, outcome in shift.outcomes(count):
            if isinstance(outcome, WorkerDied):
                lost.update(dict.fromkeys((job.output for job in groups[number]), str(outcome)))
            else:
                entry = Entry(number, failed=outcome.failed, warnings=outcome.warnings)
                journal.commit(entry, outcome.results)
            on_done(len(groups[number]))
    return lost


class _Shift:
    """Workers, each with a thread that feeds it; none is left when the `with` ends."""

    def __init__(
        self, groups: Sequence[Sequence[Job]], todo: "queue.Queue[int]", hire: Hire, count: int
    ) -> None:
        self._groups, self._todo, self._hire = groups, todo, hire
        self._over = threading.Event()
        self._workers: dict[int, Worker] = {}
        self._done: queue.Queue[tuple[int, Outcome | WorkerDied] | BaseException] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._feed, args=(place,), daemon=True)
            for place in range(count)
        ]

    def __enter__(self) -> "_Shift":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for worker in list(self._workers.values()):
            worker.close()
        for thread in self._threads:
            thread.join()

    def outcomes(self, count: int) -> Iterator[tuple[int, Outcome | WorkerDied]]:
        """That many of them, as they come."""
        while count:
            try:
                item = self._done.get(timeout=1)  # without one, Windows would not hear Ctrl-C
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            yield item
            count -= 1

    def _feed(self, place: int) -> None:
        try:
            while not self._over.is_set():
                try:
                    number = self._todo.get_nowait()
                except queue.Empty:
                    return
                self._done.put((number, self._attempt(place, number)))
        except BaseException as error:
            self._done.put(error)
        finally:
            self._dismiss(place)

    def _attempt(self, place: int, number: int) -> Outcome | WorkerDied:
        jobs = tuple(self._groups[number])
        work = Work(number, jobs, _contents(jobs))
        death = WorkerDied("interrupted")
        for _ in range(ATTEMPTS):
            if place not in self._workers:
                self._workers[place] = self._hire(place)
            if self._over.is_set():  # asked after it is among those that the end closes
                break
            try:
                return self._workers[place].run(work)
            except WorkerDied as end:
                death = end
                self._dismiss(place)
        return death

    def _dismiss(self, place: int) -> None:
        worker = self._workers.pop(place, None)
        if worker is not None:
            worker.close()


def _contents(jobs: Sequence[Job]) -> dict[str, bytes]:
    """The bytes of photos and masks, by name; of those that can be read."""
    files: dict[str, bytes] = {}
    for name in {name for job in jobs for name in job.files}:
        try:
            files[name] = Path(name).read_bytes()
        except OSError:
            continue  # the editor misses it
    return files
