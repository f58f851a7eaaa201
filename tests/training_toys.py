"""A tiny generator, and two processes that train together."""

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from fice_core.networks.stylegan2 import Generator
from fice_core.training.distributed import Processes, together

SIZE = 32


def tiny_generator(seed: int = 0, resolution: tuple[int, int] = (SIZE, SIZE)) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(resolution, 8, 8, channel_base=128, channel_max=8, conv_clamp=None)


def _run(
    rank: int, port: int, work: Callable[..., Any], folder: Path, more: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        with together("cpu") as processes:
            result = work(processes, folder, *more)
        torch.save(result, folder / f"rank{rank}.pt")
    except Exception:
        (folder / f"rank{rank}.txt").write_text(traceback.format_exc())
        raise
    assert not dist.is_initialized()


def on_two(work: Callable[..., Any], folder: Path, *more: Any) -> list[Any]:
    """What `work(processes, folder, *more)` returns on each of two gloo processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.start_processes(_run, (port, work, folder, more), nprocs=2, start_method="fork")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def on_one(work: Callable[..., Any], folder: Path, *more: Any) -> Any:
    """The same in this process alone."""
    folder.mkdir(parents=True, exist_ok=True)
    return work(Processes(), folder, *more)
