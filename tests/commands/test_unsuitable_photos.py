"""What the command says of photos that the models do not suit, before the long part: one line each."""

import shutil
from pathlib import Path

import pytest
import unsuitable_photos as photos
from click.testing import CliRunner
from command import mistake
from PIL import Image

from fice_core.cli import main
from fice_core.models import DEMO_WEIGHTS

LINE = ("--prompt", "a red shirt", "--steps", "1", "--device", "cpu", "--preset", "photo")


def warnings(tmp_path: Path, image: Image.Image, *more: str) -> list[str]:
    """What is on stderr."""
    image.save(tmp_path / "photo.png")
    arguments = ["edit", str(tmp_path / "photo.png"), *LINE, "-o", str(tmp_path / "out.png"), *more]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    ("image", "more"),
    [
        (photos.drawing(), ()),
        (photos.photograph(), ("--frame", "whole")),
        (photos.photograph(), ("--box", "60,0,420,360")),
    ],
)
def test_a_drawing_and_a_photograph(
    tmp_path: Path, image: Image.Image, more: tuple[str, ...]
) -> None:
    (line,) = warnings(tmp_path, image, *more)
    assert line.startswith("fice: warning: ")
    assert "photo.png is unlike the images that these models know" in line
    assert "docs/models.md" in line


def test_a_landscape(tmp_path: Path) -> None:
    photos.landscape().save(tmp_path / "hills.png")
    out = tmp_path / "out.png"
    line = mistake("edit", tmp_path / "hills.png", *LINE, "-o", out)
    assert "hills.png: no person of at least 32 pixels was found in the image" in line
    assert not out.exists()


def test_a_person_from_behind(tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(DEMO_WEIGHTS, models)
    photos.write_densepose_of_backs(models / "densepose.safetensors")
    (line,) = warnings(tmp_path, photos.known(), "--models", str(models))
    assert "photo.png shows the person from behind" in line


def test_an_image_that_the_models_know(tmp_path: Path) -> None:
    assert warnings(tmp_path, photos.known()) == []
