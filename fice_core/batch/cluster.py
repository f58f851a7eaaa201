"""Workers on a Ray cluster. Photos are sent to them and results back, so no disk is shared."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import FiceError
from .editor import Hiring, Outcome, Work, WorkerDied
from .workers import Hire, accepted


class _Actor:
    """Answers in a process of the cluster."""

    def __init__(self, setup: Hiring) -> None:
        self._editor = setup.editor()

    def answer(self, work: Work) -> Any:
        return self._editor.answer(work)


class RayWorker:
    """A worker in an actor; Ray chooses the machine."""

    def __init__(self, ray: Any, setup: Hiring, resources: dict[str, int]) -> None:
        self._ray = ray
        self._actor = ray.remote(_Actor).options(**resources).remote(setup)

    def run(self, work: Work) -> Outcome:
        """See `Worker`."""
        try:
            answer = self._ray.get(self._actor.answer.remote(work))
        except self._ray.exceptions.RayError as error:
            raise WorkerDied(str(error).strip().splitlines()[0]) from error
        return accepted(answer)

    def close(self) -> None:
        """See `Worker`."""
        self._ray.kill(self._actor)


@contextmanager
def cluster(address: str, setup: Hiring) -> Iterator[tuple[Hire, int]]:
    """Connect to a Ray cluster; yield a function that makes a worker, and the number of workers that fit.

    A worker takes one GPU if the cluster has any and the device is not the CPU. Otherwise it takes one
    CPU for each of its threads.

    Args:
        address: HOST:PORT of the head; "auto" for the cluster of this machine; "local" for a cluster that
            is started here and ends with the block.

    Raises:
        FiceError: Ray is not installed, there is no such cluster, or no worker fits.
    """
    try:
        import ray
    except ImportError as error:
        raise FiceError(
            "Ray is not installed: install it with `pip install ray`, here and on the other machines"
        ) from error
    try:
        _reach(address)
        ray.init(
            address=address,
            log_to_driver=True,
            logging_level="ERROR",
            include_dashboard=False if address == "local" else None,
        )
    except Exception as error:  # Ray may raise anything where it cannot start or connect
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise FiceError(f"there is no Ray cluster at {address}: {reason}") from error
    try:
        total = ray.cluster_resources()
        kind, need = "CPU", setup.threads
        if setup.device != "cpu" and total.get("GPU", 0) >= 1:
            kind, need = "GPU", 1
        room = int(total.get(kind, 0)) // need
        if room < 1:
            raise FiceError(
                f"no machine of the cluster has room for a worker of {need} {kind}: lower --threads"
            )
        resources = {"num_gpus": 1} if kind == "GPU" else {"num_cpus": need, "num_gpus": 0}

        def hire(number: int) -> RayWorker:
            return RayWorker(ray, setup, resources)

        yield hire, room
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Check at once that the head answers; Ray tries for minutes.

    Raises:
        OSError: it does not.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
