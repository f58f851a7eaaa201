"""`fice train encoder` and `fice train generator`: tiny runs, and mistakes in one line."""

import json
from pathlib import Path

import pytest
import torch
from command import fice, mistake
from PIL import Image
from training_toys import SIZE, tiny_generator

from fice_core import checkpoints
from fice_core.networks.segmenter import Segmenter
from fice_core.training import encoder, generator


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = ((4, 1), (6, 1), (8, 1), (10, 1))
    small = {"input_size": 32, "stages": stages, "head_channels": 6}
    monkeypatch.setitem(encoder.SIZES, "small", small)
    monkeypatch.setattr(encoder, "HELD_OUT", 4)
    monkeypatch.setattr(encoder, "_SHOWN", 2)
    monkeypatch.setattr(generator, "_SHOWN", 4)


@pytest.fixture
def generator_file(tmp_path: Path) -> Path:
    path = tmp_path / "generator.safetensors"
    checkpoints.save(tiny_generator(), path)
    return path


@pytest.fixture
def segmenter_file(tmp_path: Path) -> Path:
    path = tmp_path / "segmenter.safetensors"
    network = Segmenter(
        stem_channels=4, width=2, blocks=(1, 1, 1, 1), aspp_channels=4, aspp_rates=(1, 2, 3)
    )
    checkpoints.save(network, path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(4):
        Image.new("RGB", (40, 30), (60 * k, 120, 90)).save(folder / f"{k}.png")
    return folder


def test_an_encoder_is_trained_stopped_and_resumed(
    generator_file: Path, segmenter_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e4e.safetensors"
    line = ["train", "encoder", "--generator", generator_file, "-o", out, "--photos", photos]
    line += ["--segmenter", segmenter_file, "--batch", 2, "--steps", 3, "--device", "cpu"]
    result = fice(*line, "--minutes", 1e-9)
    assert result.exit_code == 0
    assert "training a small encoder for 32 x 32 images, 3 steps of 2 on 1 x cpu" in result.stdout
    assert "the same command with --resume goes on" in result.stdout
    assert "add --resume" in mistake(*line, "--overwrite")
    result = fice(*line, "--resume")
    assert result.exit_code == 0 and "goes on" not in result.stdout
    network = checkpoints.load_encoder(out)
    assert network(torch.rand(1, 3, SIZE, SIZE)).shape == (1, 8, 8)
    lines = [
        json.loads(x) for x in (tmp_path / "e4e-run" / "encoder.jsonl").read_text().splitlines()
    ]
    assert [x["step"] for x in lines if "loss" in x] == [1, 2, 3]
    assert {"psnr", "code_error", "photo_psnr"} <= set(lines[-1])
    assert (tmp_path / "e4e-run" / "encoder-000003.png").exists()
    further = tmp_path / "further.safetensors"
    more = ["train", "encoder", "--generator", generator_file, "-o", further, "--start", out]
    assert fice(*more, "--steps", 1, "--batch", 2, "--device", "cpu").exit_code == 0


def test_a_generator_is_trained_resumed_and_trained_further(
    segmenter_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "own.safetensors"
    line = ["train", "generator", photos, "-o", out, "--resolution", "16x8", "--channel-base", 64]
    line += ["--channel-max", 8, "--latent", 8, "--batch", 4, "--group", 2, "--kimg", 0.008]
    line += ["--judge", segmenter_file, "--measure", 4, "--device", "cpu"]
    result = fice(*line, "--minutes", 1e-9)
    assert result.exit_code == 0
    assert "a generator of 16 x 8 images on 4 photos, 2 steps of 4 on 1 x cpu" in result.stdout
    assert fice(*line, "--resume").exit_code == 0
    assert checkpoints.load_generator(out).resolution == (16, 8)
    run = tmp_path / "own-run"
    lines = [json.loads(x) for x in (run / "generator.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines if "critic" in x] == [1, 2]
    assert "distance" in lines[-1]
    further = ["train", "generator", photos, "-o", tmp_path / "more.safetensors", "--start", out]
    further += ["--start-discriminator", run / "discriminator.safetensors", "--batch", 4]
    further += ["--freeze-discriminator", 2, "--kimg", 0.004, "--judge", segmenter_file]
    further += ["--measure", 2, "--device", "cpu", "--augment", "clothes,hue"]
    assert fice(*further).exit_code == 0


def test_mistakes_are_one_line(
    generator_file: Path, segmenter_file: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    own = ["train", "encoder", "-o", out, "--device", "cpu", "--generator"]
    assert "must end in .safetensors" in mistake(*own[:3], "e4e.pt", "--generator", generator_file)
    assert "generator" in mistake(*own, segmenter_file)
    assert "there is no folder" in mistake(*own, generator_file, "--photos", tmp_path / "none")
    assert "not half photos" in mistake(*own, generator_file, "--photos", photos, "--batch", 3)
    assert "leave --resume out" in mistake(*own, generator_file, "--resume")
    assert "would overwrite an input" in mistake(
        *own[:2], "-o", generator_file, "--generator", generator_file
    )
    data = ["train", "generator", photos, "-o", out, "--device", "cpu"]
    assert "no size of a generator" in mistake(*data, "--resolution", "100")
    assert "no size of a generator" in mistake(*data, "--resolution", "256x64")
    assert "there is no augmentation 'spin'" in mistake(*data, "--augment", "spin")
    assert "add --start-disc" in mistake(*data, "--resolution", 16, "--freeze-discriminator", 4)
    assert "but no generator" in mistake(*data, "--start-discriminator", segmenter_file)
    assert "leave --resolution out" in mistake(*data, "--start", generator_file, "--resolution", 64)
    assert "quarter turns need square images" in mistake(
        *data, "--resolution", "16x8", "--augment", "rotate90"
    )
    assert "give a larger --batch" in mistake(*data, "--resolution", 16, "--batch", 2)
    assert "there is no file" in mistake(*data, "--resolution", 16, "--inception", "none.pt")
    assert "cannot read the discriminator" in mistake(
        *data, "--start", generator_file, "--start-discriminator", segmenter_file.parent
    )
    assert "there is no image in the folder" in mistake(
        "train", "generator", _empty(tmp_path / "empty"), *data[3:], "--resolution", 16
    )
    for name in ("encoder", "generator"):  # nothing was begun
        assert not (tmp_path / "out-run" / f"{name}.ckpt").exists()


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_other_processes_make_a_mistake_in_silence(
    generator_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")  # as torchrun sets it
    result = fice("train", "encoder", "--generator", generator_file, "-o", tmp_path / "e4e.pt")
    assert (result.exit_code, result.output) == (2, "")
