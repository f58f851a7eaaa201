"""What trainings use of Ray, in this process; and functions for the processes of a real one."""

import contextlib
import os
import queue
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from training_toys import tiny_generator

from fice_core.errors import FiceError
from fice_core.training import encoder
from fice_core.training.distributed import together
from fice_core.training.loop import Schedule


@dataclass
class ToyRay:
    """A cluster whose processes run one after the other, each in a folder of Ray's.

    Attributes:
        resources: of the cluster.
        folder: where processes start.
        started: the arguments of each trainer.
        fails: called by `fit` before the processes start.
    """

    folder: Path
    resources: dict[str, float] = field(default_factory=lambda: {"CPU": 2.0})
    started: list[dict[str, Any]] = field(default_factory=list)
    fails: Callable[[], None] = lambda: None
    storage: Path | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand for the modules of Ray."""
        cluster = self

        class Queue(queue.SimpleQueue):  # type: ignore[type-arg]
            def __init__(self, actor_options: dict[str, int]) -> None:
                super().__init__()

            def size(self) -> int:
                return self.qsize()

            def get_nowait_batch(self, count: int) -> list[Any]:
                return [self.get_nowait() for _ in range(count)]

        class TorchTrainer:
            def __init__(self, work: Callable[[], None], **options: Any) -> None:
                self.work = work
                cluster.started.append(options)

            def fit(self) -> None:
                home = os.getcwd()
                options = cluster.started[-1]
                cluster.storage = Path(options["run_config"]["storage_path"])
                assert cluster.storage.is_dir()
                cluster.fails()
                try:
                    for rank in range(options["scaling_config"]["num_workers"]):
                        os.chdir(cluster.folder)
                        monkeypatch.setenv("RANK", str(rank))
                        self.work()
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.chdir(home)

        def module(name: str, **content: Any) -> Any:
            found = types.ModuleType(name)
            found.__dict__.update(content)
            monkeypatch.setitem(sys.modules, name, found)
            return found

        torch = module("ray.train.torch", TorchTrainer=TorchTrainer, TorchConfig=dict)
        train = module(
            "ray.train",
            torch=torch,
            ScalingConfig=dict,
            RunConfig=dict,
            WorkerGroupError=RuntimeError,
        )
        found = module("ray.util.queue", Queue=Queue)
        util = module("ray.util", queue=found)
        context = types.SimpleNamespace(address_info={"session_dir": "/tmp/ray/session"})
        module(
            "ray",
            train=train,
            util=util,
            init=lambda **_: context,
            shutdown=lambda: None,
            cluster_resources=lambda: self.resources,
            available_resources=lambda: self.resources,
        )


def short_training(folder: Path, steps: int = 3) -> None:
    """A training of a tiny encoder in 64 bits: rounding is far below its losses."""
    generator = tiny_generator().double()
    with together("cpu") as processes:
        encoder.train(
            encoder.build(generator, "small").double(),
            generator,
            folder,
            Schedule(steps),
            batch=4,
            processes=processes,
            half=False,
            log_every=1,
        )


def second_has_no_photos() -> None:
    with together("cpu") as processes:
        if not processes.is_first:
            raise FiceError("there is no folder photos")
        processes.wait()
