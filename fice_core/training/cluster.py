"""One training in several processes of a Ray cluster, by Ray Train.

Every process runs the same function in the folder of the caller, and `together` joins them. What the first
one prints is printed here, and the first mistake of any of them ends the training. Imports no torch.
"""

from __future__ import annotations

import io
import os
import platform
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import FiceError, FiceWarning
from ..ray_cluster import Connection, connected

if TYPE_CHECKING:
    from ray.util.queue import Queue

_MISTAKE, _FAILURE = "mistake", "failure"  # what a process tells, besides text for a stream


class TrainingFailedError(RuntimeError):
    """A training on a cluster that ended, but not by a user's mistake; one line."""


def train(
    work: Callable[[], object], address: str, workers: int | None, use_gpus: bool = True
) -> None:
    """Run a function in processes of a Ray cluster, and return when all have ended well.

    Each process has a GPU of its own if the cluster has any, otherwise one CPU. Ray keeps nothing that the
    function could not make again, and a training that fails is not tried again.

    Args:
        work: uses `together`; it can be pickled, and every machine can import it.
        address: see `connected`.
        workers: number of processes; None for as many as the cluster has GPUs.
        use_gpus: whether the training may take GPUs.

    Raises:
        FiceError: Ray Train is not installed, there is no such cluster, it is too small, or the function
            has raised one in any process.
        TrainingFailedError: the function has raised something else, or a process was lost.
    """
    try:
        import ray.train.torch
        from ray.train import WorkerGroupError  # noqa: F401  older releases have none
        from ray.util.queue import Queue
    except ImportError as error:
        raise FiceError(
            "Ray Train is not installed, or is too old: install it with "
            '`pip install -U "ray[train]"`, here and on the other machines'
        ) from error
    from .distributed import PATIENCE

    with (
        tempfile.TemporaryDirectory(prefix="fice-ray-", ignore_cleanup_errors=True) as notes,
        connected(address, show_workers=False) as cluster,
    ):
        kind = "GPU" if use_gpus and cluster.resources.get("GPU", 0) >= 1 else "CPU"
        count = _processes(cluster, kind, workers)
        messages = Queue(actor_options={"num_cpus": 0})
        trainer = ray.train.torch.TorchTrainer(
            partial(_work_in_worker, work, os.getcwd(), messages, kind),
            torch_config=ray.train.torch.TorchConfig(
                backend="nccl" if kind == "GPU" else "gloo",
                timeout_s=int(PATIENCE.total_seconds()),
            ),
            scaling_config=ray.train.ScalingConfig(
                num_workers=count, use_gpu=kind == "GPU", resources_per_worker={kind: 1}
            ),
            run_config=ray.train.RunConfig(storage_path=notes),  # else in the user's home
        )
        _follow(trainer.fit, messages, cluster.logs)


def _processes(cluster: Connection, kind: str, workers: int | None) -> int:
    """The number of processes, one for each GPU or CPU.

    Raises:
        FiceError: it is not known, or the cluster has fewer.
    """
    room = int(cluster.resources.get(kind, 0))
    if workers is None and kind == "CPU":
        raise FiceError("there are no GPUs to count: give the number of processes with --workers")
    count = workers or room
    if count > room:
        raise FiceError(
            f"each process takes one {kind}, and the cluster has {room}: lower --workers from {count}"
        )
    free = int(cluster.ray.available_resources().get(kind, 0))
    if count > free:
        warnings.warn(
            FiceWarning(f"{free} of {room} {kind}s are free: waiting for {count}"), stacklevel=2
        )
    return count


def _follow(fit: Callable[[], object], messages: Queue, logs: Path) -> None:
    """Run a training, and print meanwhile what its first process prints.

    Raises:
        FiceError: told by any process.
        TrainingFailedError: the training failed otherwise.
        KeyboardInterrupt: Ctrl-C; the processes have been stopped.
    """
    told: dict[str, str] = {}
    ended = threading.Event()
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    listener = threading.Thread(target=_listen, args=(messages, streams, told, ended), daemon=True)
    before = signal.getsignal(signal.SIGINT)
    failure: Exception | None = None
    listener.start()
    try:
        fit()
    except SystemExit as stop:  # how Ray Train ends after Ctrl-C, for which it has a handler
        raise KeyboardInterrupt from stop
    except Exception as error:
        failure = error
    finally:
        if signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)
        ended.set()
        listener.join()  # a thread that asks Ray when it is shut down ends this process
    if _MISTAKE in told:
        raise FiceError(told[_MISTAKE])
    if failure is not None:
        reason = told.get(_FAILURE) or _line(_cause(failure))
        raise TrainingFailedError(
            f"the training failed with {reason}; Ray's logs are in {logs}"
        ) from failure


def _listen(
    messages: Queue, streams: dict[str, TextIO], told: dict[str, str], ended: threading.Event
) -> None:
    """Print what the first process prints, and note what any process tells, until the training has ended."""
    last = False
    try:
        while not last:
            last = ended.wait(timeout=0.3)  # what is told before the end is heard after it
            for name, text in messages.get_nowait_batch(messages.size()):
                if name in streams:
                    streams[name].write(text)
                    streams[name].flush()
                else:
                    told.setdefault(name, text)
    except Exception as error:
        # The queue is lost with its machine; then no process can print either.
        told.setdefault(_FAILURE, _line(error))


def _work_in_worker(work: Callable[[], object], folder: str, messages: Queue, kind: str) -> None:
    """Run a function in a process of the cluster, and tell the caller what it prints and how it fails."""
    if kind == "CPU":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray has given this process none
    try:
        _enter(folder)
        if os.environ["RANK"] == "0":
            out, err = _Sent(messages, "stdout"), _Sent(messages, "stderr")
            with redirect_stdout(out), redirect_stderr(err):
                work()
        else:
            work()
    except FiceError as mistake:
        messages.put((_MISTAKE, str(mistake)))
        raise
    except Exception as error:
        messages.put((_FAILURE, _line(error)))
        raise


def _enter(folder: str) -> None:
    """Go to the caller's folder: Ray starts a process in one of its own.

    Raises:
        FiceError: it is not there.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise FiceError(
            f"{platform.node()} has no folder {folder}: start the training in a folder on a disk that all "
            "machines of the cluster share"
        ) from error


class _Sent(io.TextIOBase):
    """A text stream whose text is printed by the caller."""

    def __init__(self, messages: Queue, name: str) -> None:
        self._messages, self._name = messages, name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self._messages.put((self._name, text))
        return len(text)


def _cause(error: Any) -> BaseException:
    """The failure of the first process that failed, or of Ray itself."""
    failures = getattr(error, "worker_failures", None)
    return failures[min(failures)] if failures else error  # type: ignore[no-any-return]


def _line(error: BaseException) -> str:
    """The name of an exception and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
