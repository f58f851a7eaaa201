"""`fice restore`: files in, a file out, bit for bit outside the mask; and its mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import fice, mistake
from moved_edits import box_mask, recoloured, seen_by, textured

from fice_core.images import Photo, read_photo, write_image, write_photo
from fice_core.registration import Alignment

SIZE = (120, 150)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A photo of 16 bits, an edit of it, a mask."""
    photo = (textured(*SIZE) * 65535).round() / 65535
    mask = box_mask(*SIZE)
    truth = Alignment(SIZE, (180, 200), (1.03, 1.03), 0.0, (3.0, 2.5))
    write_photo(tmp_path / "photo.png", Photo(photo, bits=16))
    write_image(tmp_path / "edited.png", seen_by(recoloured(photo, mask), truth))
    write_image(tmp_path / "mask.png", mask.expand(3, -1, -1))
    return tmp_path


def test_a_restored_file_of_16_bits(files: Path) -> None:
    result = fice(
        "restore", files / "photo.png", files / "edited.png", "-o", files / "out.png",
        "--mask", files / "mask.png", "--report", files / "report.json", "--stitch", "mask",
    )  # fmt: skip
    assert "shifted" in result.stdout
    before, after = read_photo(files / "photo.png"), read_photo(files / "out.png")
    assert after.bits == 16
    outside = (box_mask(*SIZE) == 0).expand(3, -1, -1)
    assert torch.equal(before.pixels[outside], after.pixels[outside])
    assert not torch.equal(before.pixels, after.pixels)
    report = json.loads((files / "report.json").read_text())
    assert report["shift_px"] == pytest.approx([3, 2.5], abs=0.2)
    assert report["zoom_percent"] == pytest.approx([103, 103], abs=0.2)


def test_without_a_mask_it_is_found(files: Path) -> None:
    result = fice("restore", files / "photo.png", files / "edited.png", "-o", files / "out.png")
    assert result.exit_code == 0
    before, after = (read_photo(files / name).pixels for name in ("photo.png", "out.png"))
    changed = (before != after).any(dim=0)
    assert changed[50:70, 60:90].all()
    assert not changed[:20].any()


def test_what_is_lost_or_replaced_is_told(files: Path) -> None:
    result = fice("restore", files / "photo.png", files / "edited.png", "-o", files / "out.jpg")
    assert "16 bits" in result.stderr
    fice("restore", files / "photo.png", files / "edited.png", "-o", files / "o.png")
    again = fice("restore", files / "photo.png", files / "edited.png", "-o", files / "o.png")
    assert "will be replaced" in again.stderr


def test_mistakes(files: Path) -> None:
    photo, edited, out = files / "photo.png", files / "edited.png", files / "out.png"
    write_image(files / "small.png", torch.zeros(3, 20, 20))
    write_image(files / "black.png", torch.zeros(3, *SIZE))
    write_image(files / "other.png", textured(*SIZE, seed=3))
    for words, told in (
        ((photo, files / "other.png", "-o", out), "do not match"),
        ((photo, files / "small.png", "-o", out), "at least 32"),
        ((photo, files / "none.png", "-o", out), "there is no file"),
        ((photo, edited, "-o", photo), "overwrite an input"),
        ((photo, edited, "-o", files / "out.xyz"), ".png"),
        ((photo, edited, "-o", files / "no" / "out.png"), "make the folder"),
        ((photo, edited, "-o", out, "--mask", files / "small.png"), "photo's size"),
        ((photo, edited, "-o", out, "--mask", files / "black.png"), "black everywhere"),
        ((photo, edited, "-o", out, "--mask", photo, "--models", "demo"), "leave one"),
        ((photo, edited, "-o", out, "--models", files / "none"), "no folder of models"),
        ((photo, edited, "-o", out, "--feather", "2"), "feather"),
        ((photo, edited, "-o", out, "--least-confidence", "-1"), "least_confidence"),
        ((photo, edited), "Missing option"),
    ):
        assert told in mistake("restore", *words)
    assert not out.exists()


def test_a_grey_photo_of_8_bits_stays_equal(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (3, *SIZE))
    smooth = (textured(*SIZE) * 255).round()
    photo = torch.where(torch.from_numpy(levels) > 250, 255.0, smooth) / 255
    write_image(tmp_path / "p.png", photo)
    write_image(tmp_path / "e.png", recoloured(photo, box_mask(*SIZE)))
    write_image(tmp_path / "m.png", box_mask(*SIZE).expand(3, -1, -1))
    mask = ("--mask", tmp_path / "m.png")
    fice("restore", tmp_path / "p.png", tmp_path / "e.png", "-o", tmp_path / "o.png", *mask)
    result = fice("drift", tmp_path / "p.png", tmp_path / "o.png", "--mask", tmp_path / "m.png")
    assert "100.00 % of the pixels outside the mask are equal" in result.stdout
