"""`fice train --ray`: the same command in every process, and how it ends."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import fice, mistake
from toy_ray import ToyRay
from training_toys import tiny_generator

from fice_core import checkpoints
from fice_core.commands import train
from fice_core.training import encoder

TORCHRUN = "torchrun --nproc-per-node N -m fice_core train"


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyRay]:
    before = list(logging.getLogger().handlers)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    found = ToyRay(folder)
    found.install(monkeypatch)
    yield found
    logging.getLogger().handlers[:] = before
    assert list(folder.iterdir()) == []
    if found.started:
        assert found.storage is not None and not found.storage.exists()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """Rank, folder and options of each call of the command."""
    found: list[tuple[str, str, dict[str, Any]]] = []

    def called(**options: Any) -> None:
        found.append((os.environ["RANK"], os.getcwd(), options))

    monkeypatch.setattr(train.command.commands["encoder"], "callback", called)
    return found


LINE = ("encoder", "--generator", "g.safetensors", "-o", "e.safetensors")


def test_every_process_runs_the_command_where_it_was_called(
    ray: ToyRay, calls: list[tuple[str, str, dict[str, Any]]]
) -> None:
    more = ("--batch", 4, "--photos", "-odd name", "--steps", 3, "--resume")
    assert fice("train", "--ray", "local", "--workers", 2, *LINE, *more).exit_code == 0
    assert [rank for rank, _, _ in calls] == ["0", "1"]
    for _, folder, options in calls:
        assert folder == os.getcwd()
        assert options["generator_file"] == "g.safetensors"
        assert (options["batch"], options["steps"], options["resume"]) == (4, 3, True)
        assert options["photos"] == "-odd name"
    assert ray.started[0]["scaling_config"]["resources_per_worker"] == {"CPU": 1}
    assert ray.started[0]["torch_config"]["backend"] == "gloo"


def test_by_default_every_gpu_has_a_process(
    ray: ToyRay, calls: list[tuple[str, str, dict[str, Any]]]
) -> None:
    ray.resources = {"CPU": 8.0, "GPU": 3.0}
    assert fice("train", "--ray", "auto", *LINE).exit_code == 0
    assert len(calls) == 3
    assert ray.started[0]["scaling_config"]["use_gpu"] is True
    assert ray.started[0]["torch_config"]["backend"] == "nccl"
    assert fice("train", "--ray", "auto", "--workers", 8, *LINE, "--device", "cpu").exit_code == 0
    assert ray.started[1]["scaling_config"]["use_gpu"] is False
    assert "the cluster has 3: lower --workers from 4" in mistake(
        "train", "--ray", "auto", "--workers", 4, *LINE
    )


def test_a_training_is_that_of_the_command_alone(
    ray: ToyRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"input_size": 32, "stages": ((4, 1), (6, 1), (8, 1), (10, 1)), "head_channels": 6}
    monkeypatch.setitem(encoder.SIZES, "small", small)
    monkeypatch.setattr(encoder, "HELD_OUT", 4)
    checkpoints.save(tiny_generator(), "g.safetensors")
    more = ("--batch", 2, "--steps", 2, "--device", "cpu")
    alone = fice("train", *LINE, *more, "--run", "alone")
    there = fice(
        "train", "--ray", "local", "--workers", 1, *LINE, *more, "--run", "there", "--overwrite"
    )
    assert there.exit_code == 0
    assert there.stdout == alone.stdout.replace("in alone", "in there")
    logs = []
    for name in ("alone", "there"):
        lines = (Path(name) / "encoder.jsonl").read_text().splitlines()
        logs.append([{**json.loads(line), "seconds": 0} for line in lines])
    assert logs[0] == logs[1] and len(logs[0]) >= 2


def test_a_mistake_in_a_process_is_the_line_that_it_is_without_ray(ray: ToyRay) -> None:
    assert mistake("train", "--ray", "local", "--workers", 1, *LINE[:3], "-o", "e.pt") == mistake(
        "train", *LINE[:3], "-o", "e.pt"
    )


def test_a_mistake_of_another_process_than_the_first_is_told(
    ray: ToyRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.command.commands["encoder"], "callback", _second_sees_no_file)
    line = ("train", "--ray", "local", "--workers", 2, *LINE)
    assert mistake(*line) == "there is no file g.safetensors"


def _second_sees_no_file(**_: Any) -> None:
    from fice_core.commands.training_runs import quiet_unless_first
    from fice_core.errors import FiceError

    with quiet_unless_first():
        if os.environ["RANK"] == "1":
            raise FiceError("there is no file g.safetensors")


def test_a_failure_is_one_line_with_its_name_and_the_place_of_the_logs(
    ray: ToyRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: Any) -> None:
        raise ZeroDivisionError("division by zero\nin a deep place")

    line = ("train", "--ray", "local", "--workers", 2, *LINE)
    monkeypatch.setattr(train.command.commands["encoder"], "callback", fails)
    result = fice(*line)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "fice: the training failed with ZeroDivisionError: division by zero; Ray's logs are in "
        "/tmp/ray/session/logs\n"
    )

    def lost() -> None:
        error = RuntimeError("Training failed due to worker errors:\nlong text")
        error.worker_failures = {1: OSError("the machine is gone")}  # type: ignore[attr-defined]
        raise error

    ray.fails = lost
    result = fice(*line)
    assert result.exit_code == 1
    assert "failed with OSError: the machine is gone; Ray's logs" in result.stderr


def test_ctrl_c_is_one_line(ray: ToyRay) -> None:
    def interrupted() -> None:
        raise SystemExit(0)  # as Ray Train's handler of the signal does

    ray.fails = interrupted
    result = fice("train", "--ray", "local", "--workers", 2, *LINE)
    assert (result.exit_code, result.output) == (130, "fice: interrupted\n")


def test_a_folder_that_other_machines_lack(
    ray: ToyRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "of this machine"
    place.mkdir()
    monkeypatch.chdir(place)
    ray.fails = place.rmdir
    found = mistake("train", "--ray", "local", "--workers", 1, *LINE)
    assert f"has no folder {place}: start the training in a folder on a disk" in found


def test_what_cannot_be_asked_for(ray: ToyRay, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TORCHRUN in mistake("train", "--workers", 2, *LINE)
    assert "leave --ray out" in mistake("train", "--ray", "local", "--workers", 2, "demo")
    assert "give the number of processes with --workers" in mistake(
        "train", "--ray", "local", *LINE
    )
    assert "takes one CPU, and the cluster has 2: lower --workers from 3" in mistake(
        "train", "--ray", "local", "--workers", 3, *LINE
    )
    assert "no such option" in mistake("train", "--ray", "local", *LINE, "--stepz", 3).lower()
    assert ray.started == []
    for name in ("ray", "ray.train"):  # all of it, or what its part for trainings needs
        monkeypatch.setitem(sys.modules, name, None)
        found = mistake("train", "--ray", "local", "--workers", 2, *LINE)
        assert '`pip install -U "ray[train]"`' in found
