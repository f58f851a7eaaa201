"""Trainings in the processes of a real Ray cluster."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest
import toy_ray

from fice_core.errors import FiceError
from fice_core.training import cluster

pytest.importorskip("ray.train", reason='Ray Train is not installed: pip install "ray[train]"')


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(sys.path)
    )  # for the processes to find the toys
    monkeypatch.setenv("RAY_worker_niceness", "0")


def curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "encoder.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_two_processes_of_ray_give_the_losses_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(name).mkdir()
    toy_ray.short_training(Path("one"))
    cluster.train(partial(toy_ray.short_training, Path("two")), "local", 2)
    one, two = curve(Path("one")), curve(Path("two"))
    assert len(one) == len(two) >= 3
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, abs=1e-6)


def test_a_mistake_of_any_process_ends_all_of_them() -> None:
    with pytest.raises(FiceError, match=r"^there is no folder photos$"):
        cluster.train(toy_ray.second_has_no_photos, "local", 2)
