"""The connection to a Ray cluster, for batches and for trainings."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .errors import FiceError


class Connection(NamedTuple):
    """A connected cluster.

    Attributes:
        ray: the module `ray`.
        logs: the folder of Ray's logs, on each machine of the cluster.
        resources: what all machines have together, such as {"CPU": 4.0}.
    """

    ray: Any
    logs: Path
    resources: dict[str, float]


@contextmanager
def connected(address: str, show_workers: bool = True) -> Iterator[Connection]:
    """Connect to a Ray cluster for a block.

    Args:
        address: HOST:PORT of the head; "auto" for the cluster of this machine; "local" for a cluster that
            is started here and ends with the block.
        show_workers: print here what the workers print.

    Raises:
        FiceError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise FiceError(
            "Ray is not installed: install it with `pip install ray`, here and on the other machines"
        ) from error
    if address == "local":  # the user's own cluster follows the user's choice
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _reach(address)
        context = ray.init(
            address=address,
            log_to_driver=show_workers,
            logging_level="ERROR",
            include_dashboard=False if address == "local" else None,
        )
    except Exception as error:  # Ray may raise anything where it cannot start or connect
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise FiceError(f"there is no Ray cluster at {address}: {reason}") from error
    try:
        logs = Path(context.address_info["session_dir"], "logs")
        yield Connection(ray, logs, ray.cluster_resources())
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
