"""The loop of a training: wrong folders, checkpoints and networks are told, and nothing is lost."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fice_core.errors import FiceError
from fice_core.files import alone_in
from fice_core.training.loop import Schedule, Stage


def stage_of(folder: Path) -> tuple[Stage, nn.Linear]:
    network = nn.Linear(2, 2)
    generator = torch.Generator().manual_seed(0)
    return Stage("toy", folder, {"network": network}, generator, log_every=1), network


def train(folder: Path, steps: int, spoil: bool = False) -> Stage:
    stage, network = stage_of(folder)
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        if spoil:
            nn.init.constant_(network.weight, torch.nan)
        return {"loss": torch.tensor(1.0)}

    stage.run(Schedule(steps), step)
    return stage


@pytest.mark.parametrize(
    "changes",
    [
        [1],
        None,
        {"options": [1]},
        {"done": None},
        {"done": "x"},
        {"done": -3},
        {"network": [1]},
        {"network": None},
        {"network": {"a": 1}},
        {"generator": None},
        {"generator": torch.zeros(3)},
    ],
)
def test_a_checkpoint_of_another_content_is_one_line(tmp_path: Path, changes: Any) -> None:
    path = train(tmp_path, 1).path
    whole = torch.load(path, weights_only=True)
    torch.save(whole | changes if isinstance(changes, dict) else changes, path)
    with pytest.raises(FiceError, match=r"is damaged: delete it|has other networks"):
        stage_of(tmp_path)[0].resume()


def test_networks_that_are_not_finite_replace_no_checkpoint(tmp_path: Path) -> None:
    path = train(tmp_path, 1).path
    before = path.read_bytes()
    with pytest.raises(FiceError, match="diverged at step 2: continue from the last checkpoint"):
        train(tmp_path, 2, spoil=True)
    assert path.read_bytes() == before


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(FiceError, match="another run is working in"):
        train(tmp_path, 1)
    assert train(tmp_path, 1).done == 1


def test_a_log_of_other_bytes_is_cut_and_a_folder_is_no_log(tmp_path: Path) -> None:
    log = train(tmp_path, 1).log_path
    line = log.read_bytes()
    log.write_bytes(b'\xff\n[]\n{"step": Infinity}\n' + line + b'{"step": 9}\n{"st')
    train(tmp_path, 2)
    assert log.read_bytes().startswith(line + b'{"step": 2,')
    log.unlink()
    log.mkdir()
    with pytest.raises(FiceError, match="is a folder; a log was expected"):
        train(tmp_path, 3)


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = train(tmp_path, 1).path
    before = path.read_bytes()

    def full(content: object, file: Path) -> None:
        raise RuntimeError(f"PytorchStreamWriter failed: {errno.ENOSPC}\nat frame 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FiceError, match=r"cannot write .*PytorchStreamWriter failed: 28$"):
        train(tmp_path, 2)
    assert path.read_bytes() == before
    assert [*tmp_path.glob("*.part")] == []
