"""Workers: processes that hold the models and edit one group after the other, here on this machine."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Protocol

from ..errors import FiceError
from .editor import Editor, Outcome, Setup, Work, WorkerDied


class Worker(Protocol):
    """Edits one group at a time, somewhere."""

    def run(self, work: Work) -> Outcome:
        """Edit a group.

        Raises:
            FiceError: the models cannot be loaded.
            WorkerDied: it was killed, or met a defect; it is of no use any more.
        """
        ...

    def close(self) -> None:
        """End it at once, also while another thread waits in `run`."""
        ...


#: Makes a worker in the place of the given number, from 0.
Hire = Callable[[int], Worker]


class LocalWorker:
    """A process on this machine."""

    def __init__(self, setup: Setup) -> None:
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


def accepted(answer: Outcome | FiceError | WorkerDied) -> Outcome:
    """What `Editor.answer` returned, or raised if it is an exception."""
    if isinstance(answer, Outcome):
        return answer
    raise answer


def _serve(connection: Connection, setup: Setup) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver has it, and ends the workers
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    editor = Editor(setup)
    while True:
        connection.send(editor.answer(connection.recv()))


def _end_with_the_driver() -> None:
    driver = parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)  # in the middle of a group that nobody waits for


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """What is started here is deaf to Ctrl-C from its first moment, when it could not yet say so itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # `start` would, and end the blocking with it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
