"""`fice mask`: the garment of a photo as an image."""

from pathlib import Path

import pytest
from command import fice
from PIL import Image

from fice_core.demo.scenes import scene
from fice_core.images import read_image, write_image


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_image(path, scene((360, 500), [(120, 40, 300)], seed=6).image[0])
    return path


def test_the_mask_has_the_photos_size(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.png"
    result = fice("mask", photo, "-o", out, "--grow", 0, "--feather", 0)
    assert result.exit_code == 0 and "% of the image" in result.stdout
    mask = read_image(out)
    assert mask.shape == (3, 360, 500)
    assert 0.02 < float(mask.mean()) < 0.4 and float(mask.max()) == 1
    again = fice("mask", photo, "-o", out, "--reach", "--grow", 0, "--feather", 0)
    assert "exists and will be replaced" in again.stderr
    assert float(read_image(out).mean()) >= float(mask.mean())


def test_mistakes_take_one_line(photo: Path, tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.new("RGB", (200, 200), "grey").save(grey)
    for line in (
        ("mask", grey, "-o", tmp_path / "o.png"),
        ("mask", photo, "-o", photo),
        ("mask", photo, "-o", tmp_path / "o.json"),
        ("mask", photo, "-o", tmp_path / "o.png", "--grow", 3),
    ):
        result = fice(*line)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert not (tmp_path / "o.png").exists()
