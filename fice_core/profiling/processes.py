"""Work in a process of its own: imports, caches and memory of one measurement do not reach the next."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import FiceError

_T = TypeVar("_T")


class OutOfMemoryError(Exception):
    """The process was killed, as systems do when memory runs out, or the device's memory was full."""


def in_fresh_process(
    function: Callable[..., _T], *arguments: Any, progress: Callable[[], None]
) -> _T:
    """`function(*arguments, progress)` in a new process; `progress()` there is called here.

    Args:
        function: of a module, so that the other process can import it.

    Raises:
        FiceError: the function raised it.
        OutOfMemoryError: see there.
        RuntimeError: it failed otherwise; the other process has written why on stderr.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        while (message := receiver.recv()) is None:
            progress()
    except EOFError:  # it ended without an answer
        process.join()
        if process.exitcode is not None and process.exitcode < 0:
            raise OutOfMemoryError(f"killed by signal {-process.exitcode}") from None
        raise RuntimeError(f"the measurement failed with exit code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()
    if isinstance(message, Exception):
        raise message
    answer: _T = message[0]
    return answer


def _send(sender: Connection, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    try:
        sender.send((function(*arguments, lambda: sender.send(None)),))
    except FiceError as error:
        sender.send(error)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        sender.send(OutOfMemoryError(str(error).splitlines()[0]))


def _is_out_of_memory(error: Exception) -> bool:
    # By name: not all work needs torch. On the CPU it raises a RuntimeError like any other.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool({"OutOfMemoryError", "MemoryError"} & names) or "allocate memory" in str(error)
