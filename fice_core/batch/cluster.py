"""Workers on a Ray cluster. Photos are sent to them and results back, so no disk is shared."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import FiceError
from ..ray_cluster import connected
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
        address: see `connected`.
        setup: what every worker is hired for.

    Raises:
        FiceError: Ray is not installed, there is no such cluster, or no worker fits.
    """
    with connected(address) as found:
        kind, need = "CPU", setup.threads
        if setup.device != "cpu" and found.resources.get("GPU", 0) >= 1:
            kind, need = "GPU", 1
        room = int(found.resources.get(kind, 0)) // need
        if room < 1:
            raise FiceError(
                f"no machine of the cluster has room for a worker of {need} {kind}: lower --threads"
            )
        resources = {"num_gpus": 1} if kind == "GPU" else {"num_cpus": need, "num_gpus": 0}

        def hire(number: int) -> RayWorker:
            return RayWorker(found.ray, setup, resources)

        yield hire, room
