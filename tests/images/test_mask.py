"""Mask files: brightness, transparency, and what is told of a mask that can hardly be meant."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from png_files import png16

from fice_core.errors import FiceError
from fice_core.images.mask import read_mask, remarks
from fice_core.images.photo import read_image

SIZE = 16
INSIDE = np.zeros((SIZE, SIZE), bool)
INSIDE[4:12, 6:14] = True
rng = np.random.default_rng(0)


def layered(colours: np.ndarray, alpha: np.ndarray) -> Image.Image:
    colours = np.broadcast_to(np.uint8(colours), (SIZE, SIZE, 3))
    return Image.fromarray(np.dstack([colours, np.uint8(alpha)]))


def palette() -> Image.Image:
    image = Image.fromarray(np.uint8(INSIDE))
    image.putpalette([255, 255, 255] * 2)
    image.info["transparency"] = 0
    return image


def read(path: Path, image: Image.Image) -> tuple[torch.Tensor, list[str]]:
    image.save(path)
    notes: list[str] = []
    return read_mask(path, notes.append), notes


def test_an_opaque_mask_is_the_brightness(tmp_path: Path) -> None:
    levels = rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    for image in (Image.fromarray(levels), layered(levels[..., None], np.full((SIZE, SIZE), 255))):
        mask, notes = read(tmp_path / "m.png", image)
        assert torch.equal(mask, read_image(tmp_path / "m.png").mean(dim=0))
        assert (mask.numpy() * 255).round().astype(np.uint8).tolist() == levels.tolist()
        assert notes == []


@pytest.mark.parametrize(
    "image",
    [
        layered([255, 255, 255], INSIDE * 255),
        layered(INSIDE[..., None] * [255, 255, 255], INSIDE * 255),
        Image.merge(
            "LA", [Image.new("L", (SIZE, SIZE), 255), Image.fromarray(np.uint8(INSIDE * 255))]
        ),
        palette(),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_what_is_transparent_is_black(tmp_path: Path, image: Image.Image, suffix: str) -> None:
    mask, notes = read(tmp_path / f"m.{suffix}", image)
    assert (mask.numpy() == INSIDE).all()
    assert len(notes) == 1
    assert "count as black" in notes[0]


def test_half_transparent_white_is_half(tmp_path: Path) -> None:
    mask, _ = read(tmp_path / "m.png", layered([255] * 3, np.where(INSIDE, 102, 0)))
    assert torch.allclose(mask, torch.from_numpy(INSIDE * 0.4).float())


def test_a_16_bit_mask_with_transparency(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(png16(np.dstack([np.full((SIZE, SIZE), 65535), INSIDE * 65535])))
    assert (read_mask(path).numpy() == INSIDE).all()


@pytest.mark.parametrize(
    "image",
    [
        layered(rng.integers(0, 256, (SIZE, SIZE, 3)), ~INSIDE * 255),  # a photo with a hole
        layered(rng.integers(0, 256, (SIZE, SIZE, 1)), ~INSIDE * 255),  # a grey one
        layered([255, 0, 0], INSIDE * 255),
        layered([128, 128, 128], INSIDE * 255),
    ],
)
def test_transparency_without_a_clear_meaning_is_refused(
    tmp_path: Path, image: Image.Image
) -> None:
    image.save(tmp_path / "m.png")
    with pytest.raises(FiceError, match="cannot be told which part is meant") as caught:
        read_mask(tmp_path / "m.png")
    assert str(tmp_path / "m.png") in str(caught.value)


def test_colours_are_told(tmp_path: Path) -> None:
    image = Image.fromarray(np.uint8(INSIDE[..., None] * [255, 85, 0]))
    mask, notes = read(tmp_path / "m.png", image)
    assert torch.allclose(mask, torch.from_numpy(INSIDE * (340 / 765)).float())
    assert len(notes) == 1
    assert notes[0].endswith(
        "the mask is coloured: its brightness counts, and only white counts fully"
    )
    image.convert("L").save(tmp_path / "grey.jpg")
    assert read(tmp_path / "g.jpg", Image.open(tmp_path / "grey.jpg").convert("RGB"))[1] == []


def test_a_mask_of_zeros_and_ones_is_told(tmp_path: Path) -> None:
    _, notes = read(tmp_path / "m.png", Image.fromarray(np.uint8(INSIDE)))
    assert len(notes) == 1
    assert "nowhere brighter than 1/255" in notes[0]
    assert remarks(torch.zeros(1, 1, 4, 4)) == []  # refused elsewhere
    assert remarks(torch.full((4, 4), 0.5)) == []


def test_damage_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    with pytest.raises(FiceError):
        read_mask(tmp_path / "m.png")
    with pytest.raises(FiceError, match="there is no file"):
        read_mask(tmp_path / "none.png")
