"""Workers: processes on this machine that hold the models and edit one group after another."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Protocol

from ..errors import FiceError
from .editor import Answering, Hiring, Outcome, Work, WorkerDied


class Worker(Protocol):
    """Edits one group at a time."""

    def run(self, work: Work) -> Outcome:
        """Edit a group.

        Raises:
            FiceError: the models cannot be loaded.
            WorkerDied: it was killed, or has a defect; it must not be used again.
        """
        ...

    def close(self) -> None:
        """End the worker at once, even while another thread waits in `run`."""
        ...


#: Makes the worker of a given number, counted from 0.
Hire = Callable[[int], Worker]


class LocalWorker:
    """A worker in a process on this machine."""

    def __init__(self, setup: Hiring) -> None:
        context = get_context("spawn")  # torch does not survive a fork
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
        with _no_ctrl_c():
            self._process.start()
        theirs.close()

    def run(self, work: Work) -> Outcome:
        """See `Worker`."""
        try:
            self._connection.send(work)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(timeout=5)
            raise WorkerDied(f"the worker ended with {self._process.exitcode}") from error
        return accepted(answer)

    def close(self) -> None:
        """See `Worker`."""
        self._process.kill()
        self._process.join()


class OwnWorker:
    """A worker in this process, for one that is enough: nothing is loaded twice."""

    def __init__(self, editor: Answering) -> None:
        self._editor = editor

    def run(self, work: Work) -> Outcome:
        """See `Worker`."""
        return accepted(self._editor.answer(work))

    def close(self) -> None:
        """See `Worker`."""


def accepted(answer: Outcome | FiceError | WorkerDied) -> Outcome:
    """Return the answer of an `Editor`, or raise it if it is an exception."""
    if isinstance(answer, Outcome):
        return answer
    raise answer


def _serve(connection: Connection, setup: Hiring) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver gets it and ends the workers
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    editor = setup.editor()
    while True:
        connection.send(editor.answer(connection.recv()))


def _end_with_the_driver() -> None:
    driver = parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)  # no one waits for the group in work


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Let a process that is started here ignore Ctrl-C from its first moment, before its own code runs."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else `start` does it, and unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
