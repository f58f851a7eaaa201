"""Runs a measurement in a new process, so that imports, caches and memory do not affect the next one."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import FiceError

_T = TypeVar("_T")


class OutOfMemoryError(Exception):
    """The system killed the process, as it does if memory runs out, or the device's memory was full."""


def in_fresh_process(
    function: Callable[..., _T], *arguments: Any, progress: Callable[[], None]
) -> _T:
    """The result of `function(*arguments, progress)`, called in a new process.

    Args:
        function: a function of a module, so that the other process can import it.
        arguments: its arguments.
        progress: called in this process for every call in the other one.

    Raises:
        FiceError: the function raised it.
        OutOfMemoryError: the process was killed or ran out of memory.
        RuntimeError: the function failed otherwise; the other process has written the cause to stderr.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        while (message := receiver.recv()) is None:
            progress()
    except EOFError:  # the process ended without a result
        process.join()
        if process.exitcode is not None and process.exitcode < 0:
            raise OutOfMemoryError(f"killed by signal {-process.exitcode}") from None
        raise RuntimeError(f"the measurement failed with exit code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()
    if isinstance(message, Exception):
        raise message
    result: _T = message[0]
    return result


def _send(sender: Connection, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    try:
        sender.send((function(*arguments, lambda: sender.send(None)),))
    except FiceError as error:
        sender.send(error)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        sender.send(OutOfMemoryError(str(error).splitlines()[0]))


def _is_out_of_memory(error: Exception) -> bool:
    # By name, because not all functions import torch. On the CPU, torch raises a plain RuntimeError.
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool({"OutOfMemoryError", "MemoryError"} & names) or "allocate memory" in str(error)
