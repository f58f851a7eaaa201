"""Pairs: drawn by a seed, written and read."""

from pathlib import Path

import pytest
import torch
from toys import toy_clip

from fice_core.comparison.pairs import Pair, draw, read_pairs, write_pairs
from fice_core.comparison.sources import Photos, open_source, pairs_of, texts_of
from fice_core.errors import FiceError
from fice_core.networks.tokenizer import WordTokenizer

PHOTOS = [f"photo {k}" for k in range(5)]
WORN = [f"worn {k}" for k in range(5)]
TEXTS = [f"text {k}" for k in range(7)]


def test_every_photo_and_text_comes_before_one_comes_again() -> None:
    pairs = draw(PHOTOS, WORN, TEXTS, 12, seed=3)
    assert sorted(pair.photo for pair in pairs[:5]) == PHOTOS
    assert sorted(pair.photo for pair in pairs[5:10]) == PHOTOS
    assert sorted(pair.text for pair in pairs[:7]) == TEXTS
    assert all(pair.worn[-1] == pair.photo[-1] for pair in pairs)


def test_the_seed_decides_everything() -> None:
    first = draw(PHOTOS, WORN, TEXTS, 10, seed=0)
    assert first == draw(PHOTOS, WORN, TEXTS, 10, seed=0)
    assert first != draw(PHOTOS, WORN, TEXTS, 10, seed=1)
    assert first[:4] == draw(PHOTOS, WORN, TEXTS, 4, seed=0)  # more pairs are the same and others


@pytest.mark.parametrize(
    ("photos", "texts", "count"), [([], TEXTS, 2), (PHOTOS, [], 2), (PHOTOS, TEXTS, 0)]
)
def test_what_cannot_be_drawn(photos: list[str], texts: list[str], count: int) -> None:
    with pytest.raises(FiceError):
        draw(photos, WORN[: len(photos)], texts, count, 0)


def test_pairs_are_read_as_they_were_written(tmp_path: Path) -> None:
    pairs = [
        Pair("dir/a b.jpg", 'a "red", striped\tshirt', "a é blouse", "red", "stripes", "long"),
        Pair("2", "x, y"),
    ]
    write_pairs(tmp_path / "pairs.csv", pairs)
    assert read_pairs(tmp_path / "pairs.csv") == pairs


def test_a_table_of_others(tmp_path: Path) -> None:
    """From a spreadsheet: a mark of the encoding, another order, a column more."""
    path = tmp_path / "pairs.csv"
    path.write_bytes("\ufefftext,note,photo\r\na red shirt,x,1\r\n".encode())
    assert read_pairs(path) == [Pair("1", "a red shirt")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no pairs"),
        ("photo,text\n", "has no pairs"),
        ("photo,prompt\n1,a shirt\n", "row 2 has no text"),
        ("photo,text\n1,a shirt\n,a shirt\n", "row 3 has no photo"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(FiceError, match=said):
        read_pairs(path)


def test_names_that_utf8_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="cannot be written in UTF-8: rename the photo"):
        write_pairs(tmp_path / "pairs.csv", [Pair("\udcff.png", "a shirt")])
    assert not (tmp_path / "pairs.csv").exists()


def test_long_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([" ".join(["red"] * n) for n in (74, 75, 3, 3)]))
    clip = toy_clip()
    clip.tokenizer = WordTokenizer(["red"], 77)  # two more tokens begin and end a text
    kept, left = texts_of(str(path), clip)
    assert [len(text.split()) for text in kept] == [74, 3]
    assert left == 1


def test_photos_of_a_folder_with_captions(tmp_path: Path) -> None:
    from toys import toy_models

    from fice_core.images import write_image

    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", torch.rand(3, 16, 16))
    (tmp_path / "captions.csv").write_text("file,text\na.png,a blue shirt\n")
    photos, pairs = open_source(str(tmp_path), None, toy_models(), 2, 0)
    assert pairs is None
    assert photos.cases is None
    found = {pair.photo: pair.worn for pair in pairs_of(photos, ["a red shirt"], 2, 0)}
    assert sorted(found) == sorted(photos.worn)
    assert sorted(found.values()) == ["", "a blue shirt"]
    assert photos.image(next(iter(found))).shape == (3, 16, 16)
    with pytest.raises(FiceError, match="none of the name 'c'"):
        photos.image("c")


def test_a_photo_that_is_not_there() -> None:
    with pytest.raises(FiceError, match="'x'"):
        Photos({}, {}).image("x")
