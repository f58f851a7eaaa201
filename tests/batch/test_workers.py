"""Batches in real processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_batch
from PIL import Image

from fice_core.batch import driver
from fice_core.batch.editor import Editor, Outcome, Work, WorkerDied
from fice_core.batch.journal import NAME, Journal
from fice_core.batch.workers import LocalWorker

COUNT = 12


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for k in range(COUNT):
        pixels = rng.integers(0, 256, (40, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02}.png")
    return folder


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}


def done(out: Path) -> list[int]:
    path = out / NAME
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["group"] for line in lines[1:]]


@pytest.fixture(scope="module")
def uninterrupted(photos: Path) -> dict[str, bytes]:
    """The results without workers, journal and kills."""
    threads, editor = torch.get_num_threads(), Editor(toy_batch.setup())
    made: dict[str, bytes] = {}
    for number, jobs in enumerate(toy_batch.groups(photos)):
        files = {job.photo: Path(job.photo).read_bytes() for job in jobs}
        outcome = editor.answer(Work(number, tuple(jobs), files))
        assert isinstance(outcome, Outcome)
        made |= outcome.results
    torch.set_num_threads(threads)
    assert len(made) == COUNT
    return made


def test_after_kills_of_everything_and_of_a_worker_the_results_are_those_of_one_run(
    photos: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    for least in (3, 7):
        process = subprocess.Popen([sys.executable, toy_batch.__file__, photos, tmp_path, "1"])
        while len(done(tmp_path)) < least:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert least <= len(done(tmp_path)) < COUNT

    hired: list[LocalWorker] = []

    def hire(place: int) -> LocalWorker:
        hired.append(LocalWorker(toy_batch.setup()))
        if len(hired) == 1:
            os.kill(hired[0]._process.pid, signal.SIGKILL)
        return hired[-1]

    with Journal(tmp_path, {"batch": "toy"}) as journal:
        assert driver.run(toy_batch.groups(photos), journal, hire, 2) == {}
    assert len(hired) == 3
    assert not any(worker._process.is_alive() for worker in hired)
    assert sorted(done(tmp_path)) == list(range(COUNT))  # none twice
    assert results(tmp_path) == uninterrupted
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            image.load()
            assert image.size == (32, 40)
    assert list(tmp_path.glob(".*.part")) == []


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows sends it otherwise")
def test_a_worker_hears_no_ctrl_c_from_its_first_moment_on() -> None:
    worker = LocalWorker(toy_batch.setup())
    os.kill(worker._process.pid, signal.SIGINT)
    worker._process.join(timeout=0.5)
    assert worker._process.is_alive()
    worker.close()
    assert worker._process.exitcode == -signal.SIGKILL


class Mortal:
    """Dies of group 1, as often as it is given it."""

    hired = 0

    def __init__(self) -> None:
        type(self).hired += 1

    def run(self, work: Work) -> Outcome:
        if work.group == 1:
            raise WorkerDied("the worker ended with -9")
        return Outcome(work.group, {job.output: b"result" for job in work.jobs})

    def close(self) -> None:
        pass


def test_a_group_that_kills_is_given_out_twice_and_told(photos: Path, tmp_path: Path) -> None:
    groups = toy_batch.groups(photos)[:4]
    with Journal(tmp_path, {}) as journal:
        lost = driver.run(groups, journal, lambda place: Mortal(), 1)
        assert lost == {"01.png": "the worker ended with -9"}
        assert sorted(journal.entries) == [0, 2, 3]  # the next run tries it again
    assert Mortal.hired == 3
    assert sorted(results(tmp_path)) == ["00.png", "02.png", "03.png"]


def test_an_interrupt_leaves_no_worker(photos: Path, tmp_path: Path) -> None:
    closed = []

    class Idle(Mortal):
        def close(self) -> None:
            closed.append(self)

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    groups = [toy_batch.groups(photos)[0]]
    with Journal(tmp_path, {}) as journal, pytest.raises(KeyboardInterrupt):
        driver.run(groups, journal, lambda place: Idle(), 3, interrupt)
    assert len(closed) >= 1
    assert list(results(tmp_path)) == ["00.png"]


def test_ray_gives_the_same_bytes(
    photos: Path,
    uninterrupted: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for its workers to find the toys
    from fice_core.batch.cluster import cluster

    groups = toy_batch.groups(photos)
    with (
        cluster("local", toy_batch.setup()) as (hire, _),
        Journal(tmp_path, {}) as journal,
    ):
        assert driver.run(groups, journal, hire, 2) == {}
    assert results(tmp_path) == uninterrupted
