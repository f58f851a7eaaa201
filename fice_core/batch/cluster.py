"""Workers on the machines of a Ray cluster. Photos travel there and results back; no disk is shared."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import FiceError
from .editor import Editor, Outcome, Setup, Work, WorkerDied
from .workers import Hire, accepted


class RayWorker:
    """An actor, wherever Ray has room for it."""

    def __init__(self, ray: Any, setup: Setup, resources: dict[str, int]) -> None:
        self._ray = ray
        self._actor = ray.remote(Editor).options(**resources).remote(setup)

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
def cluster(address: str, setup: Setup) -> Iterator[tuple[Hire, int]]:
    """A connection to a Ray cluster: what makes a worker there, and for how many it has room.

    A worker takes a GPU where the cluster has any, unless the device is the CPU; else as many of its CPUs as
    it has threads.

    Args:
        address: of its head, HOST:PORT; "auto" for the cluster that this machine is part of; "local" for one
            that is made here and ends with the block.

    Raises:
        FiceError: Ray is not installed, there is no such cluster, or it has no room.
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
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
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
    """Find out at once, where Ray would try for minutes, that nobody listens.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
