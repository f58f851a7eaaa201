"""`fice drift`: one pair or folders of pairs; line, JSON, CSV and heat map; and its mistakes."""

import csv
import json
from pathlib import Path

import pytest
import torch
from command import fice, mistake
from moved_edits import box_mask, textured

from fice_core.images import read_image, write_image

SIZE = (64, 80)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("before", "after", "masks"):
        (tmp_path / name).mkdir()
    for number in range(2):
        photo = (textured(*SIZE, seed=number) * 255).round() / 255
        edited = photo.clone()
        edited[:, 30:40, 30:40] = number  # inside the mask
        edited[0, 0, 0] += 0.2 * number  # the second drifts by one pixel
        write_image(tmp_path / "before" / f"{number}.png", photo)
        write_image(tmp_path / "after" / f"{number}.bmp", edited)
        write_image(tmp_path / "masks" / f"{number}.png", box_mask(*SIZE).expand(3, -1, -1))
    return tmp_path


def test_folders_pair_up_by_name(folders: Path) -> None:
    write_image(folders / "after" / "alone.png", torch.zeros(3, 8, 8))
    result = fice(
        "drift", folders / "before", folders / "after", "--mask", folders / "masks",
        "--report", folders / "r.json", "--csv", folders / "r.csv", "--heat", folders / "heat",
    )  # fmt: skip
    assert "left out alone" in result.stderr
    assert result.stdout.count("are equal") == 2
    pairs = json.loads((folders / "r.json").read_text())["pairs"]
    assert pairs[0]["equal"] == 1
    assert pairs[0]["psnr"] is None
    outside = int((box_mask(*SIZE) == 0).sum())
    assert pairs[1]["equal"] == pytest.approx(1 - 1 / outside)
    with (folders / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["before"]).name for row in rows] == ["0.png", "1.png"]
    assert rows[0]["largest"] == "0.0"
    assert float(rows[1]["largest"]) == pytest.approx(51, abs=0.5)
    assert read_image(folders / "heat" / "1.png")[:, 0, 0].max() > 0.8


def test_one_pair_with_the_demonstration_networks(folders: Path) -> None:
    result = fice(
        "drift", folders / "before" / "0.png", folders / "before" / "0.png", "--models", "demo",
        "--text", "a red shirt", "--heat", folders / "h.png",
    )  # fmt: skip
    assert "pose IoU 1.000" in result.stdout
    assert "similarity to the text" in result.stdout
    assert "PSNR inf" in result.stdout
    assert (folders / "h.png").exists()


def test_mistakes(folders: Path) -> None:
    before, after = folders / "before" / "0.png", folders / "after" / "0.bmp"
    (folders / "empty").mkdir()
    (folders / "twice").mkdir()
    for name in ("0.png", "0.bmp"):
        write_image(folders / "twice" / name, torch.zeros(3, 8, 8))
    (folders / "others").mkdir()
    write_image(folders / "others" / "x.png", torch.zeros(3, 8, 8))
    write_image(folders / "white.png", torch.ones(3, *SIZE))
    for words, told in (
        ((before, folders), "both be images or both be folders"),
        ((folders / "empty", folders / "after"), "no image in the folder"),
        ((folders / "twice", folders / "after"), "have one name"),
        ((folders / "before", folders / "others"), "the name of one"),
        ((folders / "before", folders / "after", "--mask", folders / "others"), "no mask for"),
        ((before, after, "--mask", folders / "masks"), "is a folder"),
        ((before, after, "--mask", folders / "white.png"), "whole photo"),
        ((before, after, "--text", "a"), "needs a CLIP"),
        ((before, after, "--text", " ", "--models", "demo"), "is empty"),
        ((before, after, "--clip", "x.pt"), "--text"),
        ((before, after, "--device", "privateuseone"), "unknown or not usable here"),
        ((before, after, "--heat", before), "overwrite an input"),
        ((before, after, "--heat", folders / "h.xyz"), ".png"),
        ((before, after, "--report", folders / "a", "--csv", folders / "a"), "also that of"),
        ((before, folders / "none.png"), "there is no file"),
    ):
        assert told in mistake("drift", *words)
