"""Every mistake a user can make ends in one clear line and exit code 2, and leaves nothing behind."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_writers import VOCABULARY, tiny_clip, tiny_generator, tiny_openai_clip
from click.testing import CliRunner
from command import edit_mistake, mistake
from PIL import Image
from png_files import png

from fice_core import checkpoints, editing
from fice_core.cli import main

ROOT = Path(__file__).parents[2]


# Images


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("This is a text.\n")


def empty(path: Path) -> None:
    path.touch()


def bomb(path: Path) -> None:
    path.write_bytes(png(30000, 30000, 8, 2, b"\0"))


def truncated(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
        path
    )
    path.write_bytes(path.read_bytes()[:1500])


def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


def sliver(path: Path) -> None:
    Image.new("RGB", (10000, 10)).save(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "there is no file"),
        (folder, "there is no image in the folder"),
        (text, "is not an image"),
        (empty, "is empty"),
        (bomb, "million"),
        (truncated, "damaged"),
        (one_pixel, "1 x 1 pixels"),
        (sliver, "10000 x 10 pixels"),
    ],
)
def test_bad_image(
    models: object, tmp_path: Path, photo: Path, make: Callable[[Path], None], words: str
) -> None:
    path, out = tmp_path / "bad.png", tmp_path / "out.png"
    make(path)
    message = edit_mistake(path, out)
    assert words in message
    assert str(path) in message
    assert not out.exists()
    # Among good ones it is named, and nothing is done by halves.
    message = edit_mistake(photo, tmp_path / "edits", path)
    assert str(path) in message
    assert list((tmp_path / "edits").glob("*")) == []


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "CMYK", "1"])
def test_unusual_images_are_edited(models: object, tmp_path: Path, mode: str) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(levels.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(levels).convert(mode)
    path, out = tmp_path / f"in.{'tif' if mode == 'CMYK' else 'png'}", tmp_path / "out.png"
    image.save(path)
    line = ["edit", str(path), "--prompt", "a shirt", "-o", str(out), "--steps", "2"]
    line += ["--frame", "whole"]
    result = CliRunner().invoke(main, line, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert Image.open(out).size == (24, 24)


def test_turned_image_is_edited_upright(models: object, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 24)).save(tmp_path / "in.jpg", exif=exif)
    line = ["edit", str(tmp_path / "in.jpg"), "--prompt", "a", "-o", str(tmp_path / "o.png")]
    result = CliRunner().invoke(main, [*line, "--steps=2", "--frame=whole"], catch_exceptions=False)
    assert result.exit_code == 0
    assert Image.open(tmp_path / "o.png").size == (24, 40)


# Prompts


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_empty_prompt(models: object, photo: Path, tmp_path: Path, prompt: str) -> None:
    assert "prompt is empty" in edit_mistake(photo, tmp_path / "o.png", prompt=prompt)


@pytest.mark.parametrize("kind", ["words", "byte pairs"])
def test_prompt_of_300_words(
    models: dict[str, editing.Models], photo: Path, tmp_path: Path, kind: str
) -> None:
    clip: Any = tiny_clip() if kind == "words" else tiny_openai_clip(residual=False)
    assert clip.tokenizer.context_length == (
        77 if kind != "words" else clip.tokenizer.context_length
    )
    now = models["now"]
    models["now"] = replace(now, clip=clip)
    message = edit_mistake(photo, tmp_path / "o.png", prompt=" ".join(list(VOCABULARY)[:1] * 300))
    assert (
        f"302 tokens, but this CLIP model reads at most {clip.tokenizer.context_length}" in message
    )
    assert len(message) < 250
    assert not (tmp_path / "o.png").exists()


def test_no_prompt(models: object, photo: Path, tmp_path: Path) -> None:
    assert "--prompt" in mistake("edit", photo, "-o", tmp_path / "o.png")


# Numbers and names


@pytest.mark.parametrize("steps", ["0", "-3", "many", "1.5", "", "1000001", "9" * 20])
def test_steps(models: object, photo: Path, tmp_path: Path, steps: str) -> None:
    message = mistake(
        *("edit", photo, "--prompt", "a", "-o", tmp_path / "o.png", f"--steps={steps}")
    )
    assert "steps" in message
    assert not (tmp_path / "o.png").exists()
    assert "steps" in mistake("demo", "-o", tmp_path / "demo", f"--steps={steps}")


@pytest.mark.parametrize("seed", ["-1", "x"])
def test_seed(models: object, photo: Path, tmp_path: Path, seed: str) -> None:
    assert "seed" in edit_mistake(photo, tmp_path / "o.png", f"--seed={seed}")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "", "meta", "nonsense:1"])
def test_device(models: object, photo: Path, tmp_path: Path, device: str) -> None:
    message = edit_mistake(photo, tmp_path / "o.png", "--device", device)
    assert repr(device) in message
    assert "cpu" in message


def test_preset(models: object, photo: Path, tmp_path: Path) -> None:
    message = edit_mistake(photo, tmp_path / "o.png", "--preset", "fast")
    assert "default" in message
    assert "paper" in message


def test_models(models: object, photo: Path, tmp_path: Path) -> None:
    message = edit_mistake(photo, tmp_path / "o.png", "--models", tmp_path / "none")
    assert str(tmp_path / "none") in message
    (tmp_path / "bare").mkdir()
    assert "generator" in edit_mistake(photo, tmp_path / "o.png", "--models", tmp_path / "bare")
    for name in ("generator.pt", "e4e.pt", "densepose.pkl", "segmentator.pt", "RN50x4.pt"):
        (tmp_path / "bare" / name).write_text("hello")
    assert "generator.pt" in edit_mistake(photo, tmp_path / "o.png", "--models", tmp_path / "bare")


@pytest.mark.parametrize(
    "line",
    [["nonsense"], ["--nonsense"], ["edit"], ["edit", "--nonsense"], ["inspect"], ["convert", "a"]],
)
def test_usage(line: list[str]) -> None:
    assert "--help" in mistake(*line)


@pytest.mark.parametrize(
    ("option", "words"),
    [("--count=0", "count"), ("--variant=none", "no pose term"), ("--steps=0", "steps")],
)
def test_evaluate(option: str, words: str) -> None:
    assert words in mistake("evaluate", option)


HUGE = "9" * 20


@pytest.mark.parametrize(
    "line",
    [
        ("evaluate", "--count", HUGE),
        ("evaluate", "--people", HUGE),
        ("evaluate", "--seed", HUGE),
        ("bench", "--batch", HUGE),
        ("bench", "--size", HUGE),
        ("bench", "--repeat", HUGE),
        ("bench", "--threads", HUGE),
        ("batch", ".", "-o", "out", "--workers", HUGE),
        ("batch", ".", "-o", "out", "--threads", HUGE),
    ],
)
def test_numbers_beyond_any_use(line: tuple[str, ...]) -> None:
    assert HUGE in mistake(*line)


@pytest.mark.parametrize(
    ("option", "words"),
    [("--stage=none", "generator"), ("--minutes=0", "minutes"), ("--device=gpu", "'gpu'")],
)
def test_train(tmp_path: Path, option: str, words: str) -> None:
    assert words in mistake("train", "demo", "-o", tmp_path / "run", option)


def test_train_over_an_earlier_run(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "generator.ckpt").touch()
    assert "--resume" in mistake("train", "demo", "-o", tmp_path)
    assert "cannot make the folder" in mistake("train", "demo", "-o", photo)


# Checkpoints


@pytest.mark.parametrize("make", [missing, folder, text, empty])
@pytest.mark.parametrize("name", ["x.pt", "x.pkl", "x.safetensors"])
def test_bad_checkpoint(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    path, out = tmp_path / name, tmp_path / "out.safetensors"
    make(path)
    assert name in mistake("inspect", path)
    assert name in mistake("convert", path, out)
    assert not out.exists()


def test_convert_of_what_is_no_network(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(2)}, tmp_path / "x.pt")
    assert "x.pt" in mistake("convert", tmp_path / "x.pt", tmp_path / "o.safetensors")


def test_convert_output(tmp_path: Path) -> None:
    checkpoints.save(tiny_generator(), tmp_path / "g.safetensors")
    before = (tmp_path / "g.safetensors").read_bytes()
    assert ".safetensors" in mistake("convert", tmp_path / "g.safetensors", tmp_path / "o.pt")
    assert "make the folder" in mistake(
        "convert", tmp_path / "g.safetensors", tmp_path / "none" / "o.safetensors"
    )
    assert (tmp_path / "g.safetensors").read_bytes() == before


def test_real_process_says_one_line(tmp_path: Path) -> None:
    line = ["edit", str(tmp_path / "none.png"), "--prompt", "a", "-o", str(tmp_path / "o.png")]
    run = subprocess.run(
        [sys.executable, "-m", "fice_core", *line], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr == f"fice: there is no file {tmp_path / 'none.png'}\n"
