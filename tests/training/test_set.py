"""`fice train set` on tiny networks and a tiny data set."""

from pathlib import Path

import command
import dataset_files
import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file

from fice_core.models import load_models
from fice_core.training import encoder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small = {"input_size": 32, "stages": ((4, 1), (6, 1), (8, 1), (10, 1)), "head_channels": 6}
    monkeypatch.setitem(encoder.SIZES, "small", small)
    monkeypatch.setattr(encoder, "HELD_OUT", 4)
    labels = np.array([0] * 10 + [2] * 8 + [1] * 14, np.uint8)[:, None].repeat(32, 1)
    for k in range(12):
        dataset_files.photo(tmp_path / "data" / "images" / f"{k}.png", 10 * k + 20, (32, 32))
        dataset_files.labels_file(tmp_path / "data" / "labels" / f"{k}.png", labels)
    dataset_files.text(
        tmp_path / "data" / "labels" / "classes.json", ["background", "body", "head"]
    )
    (tmp_path / "models").mkdir()
    tiny_models.write_models(tmp_path / "models")
    return tmp_path / "data"


def test_a_batch_that_the_generator_refuses_is_refused_first(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    line = command.mistake("train", "set", data, "-o", out, "--device", "cpu", "--batch", 6)
    assert "a batch of 6 serves not all networks" in line and "a multiple of 4" in line
    assert not out.exists()


def test_a_set_is_trained_and_copied_whole_and_goes_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    options = ("--models", tmp_path / "models", "--device", "cpu", "--precision", "float32")
    length = ("--kimg", 0.016, "--steps", 2, "--batch", 8)
    result = command.fice("train", "set", data, "-o", out, *options, *length)
    lines = result.stdout.splitlines()
    for kind in ("segmenter", "generator", "encoder"):
        assert f"{kind}: beginning" in lines
    for kind in ("densepose", "clip"):
        start = tmp_path / "models" / f"{kind}.safetensors"
        assert f"{kind}: copied from {kind}.safetensors" in result.stdout
        assert (out / f"{kind}.safetensors").read_bytes() == start.read_bytes()
    models = load_models(out)
    assert models.generator.resolution == (32, 32)
    before = load_models(tmp_path / "models")
    for kind in ("generator", "segmenter"):
        ours, theirs = getattr(models, kind).state_dict(), getattr(before, kind).state_dict()
        assert not all(torch.equal(ours[key], theirs[key]) for key in ours)
    kept = {path: load_file(path) for path in out.glob("*.safetensors")}
    again = command.fice("train", "set", data, "-o", out, *options, *length)
    assert "generator: going on" in again.stdout
    assert len(kept) == 5
    for path, tensors in kept.items():
        for key, value in load_file(path).items():
            assert torch.equal(value, tensors[key])
