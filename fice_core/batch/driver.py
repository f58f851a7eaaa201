"""Gives the groups of a batch to workers and commits their results. Only the driver writes files."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from ..errors import FiceError
from ..files import read_bytes
from .editor import Outcome, Task, Work, WorkerDied
from .journal import Entry, Journal
from .workers import Hire, Worker

#: How often a group is given to a worker before it counts as lost.
ATTEMPTS = 2


def run(
    groups: Sequence[Sequence[Task]],
    journal: Journal,
    hire: Hire,
    workers: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> dict[str, str]:
    """Edit all groups that are not in the journal.

    Args:
        groups: in the same order in every run, because the journal holds their numbers.
        journal: open.
        hire: makes a worker.
        workers: the number of workers.
        on_done: called after each group with its number of jobs.

    Returns:
        The reason for every lost group, by output. Lost groups are not in the journal, so the next run
        tries them again.

    Raises:
        FiceError: the models cannot be loaded, or the results cannot be written.
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
    """Workers, each with a thread that gives it groups. All have ended when the `with` block ends."""

    def __init__(
        self, groups: Sequence[Sequence[Task]], todo: "queue.Queue[int]", hire: Hire, count: int
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
        """Yield `count` outcomes, each with the number of its group, in the order of completion."""
        while count:
            try:
                item = self._done.get(
                    timeout=1
                )  # without a timeout, Ctrl-C has no effect on Windows
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
            if self._over.is_set():  # checked once `__exit__` can close the worker
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


def _contents(jobs: Sequence[Task]) -> dict[str, bytes]:
    """The bytes of photos and masks by name, without those that cannot be read."""
    files: dict[str, bytes] = {}
    for name in {name for job in jobs for name in job.files}:
        with contextlib.suppress(FiceError):  # the editor reports that it is missing
            files[name] = read_bytes(name)
    return files
