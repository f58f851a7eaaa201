"""Any folder of images, and files of texts."""

from pathlib import Path

import dataset_files as layouts
import numpy as np
import pytest
import torch
from PIL import Image

from fice_core.datasets import held_out, open_photos, open_texts
from fice_core.datasets.labels import UNKNOWN, fit_labels
from fice_core.errors import FiceError
from fice_core.framing import Frame
from fice_core.networks.regions import NAMED


def test_images_of_a_folder_and_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "more/a.png", ".hidden.png", ".git/c.png", "a.webp"):
        layouts.photo(tmp_path / name)
    (tmp_path / "notes.md").write_text("no image")
    names = [sample.name for sample in open_photos(str(tmp_path))]
    assert names == ["a.png", "a.webp", "b", "more/a"]  # a suffix only where two would be the same


def test_captions_beside_images_and_in_files(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        layouts.photo(tmp_path / name)
    (tmp_path / "a.txt").write_text("a red  shirt\n\na shirt\n")
    (tmp_path / "captions.csv").write_text("file;caption\nb.jpg;a blue, long coat\n")
    layouts.text(tmp_path / "captions.json", {"c": ["one", "two"], "nobody.jpg": "x"})
    captions = {sample.name: sample.captions for sample in open_photos(str(tmp_path))}
    assert captions == {
        "a": ("a red shirt", "a shirt"),
        "b": ("a blue, long coat",),
        "c": ("one", "two"),
        "d": (),
    }
    texts = open_texts(str(tmp_path))
    assert [text.text for text in texts] == [
        "a red shirt", "a shirt", "a blue, long coat", "one", "two",
    ]  # fmt: skip
    assert len({text.name for text in texts}) == 5


def test_the_form_that_prepare_writes(tmp_path: Path) -> None:
    layouts.photo(tmp_path / "images" / "a.png")
    layouts.photo(tmp_path / "images" / "b.png")
    layouts.labels_file(tmp_path / "labels" / "a.png", layouts.label_map([0, 1, 2, 255]))
    layouts.text(tmp_path / "labels" / "classes.json", ["background", "Upper-clothes", "Hair"])
    (tmp_path / "masks").mkdir()
    Image.fromarray(layouts.label_map([0, 255])).save(tmp_path / "masks" / "b.png")
    layouts.labels_file(tmp_path / "densepose" / "b.png", layouts.label_map([0, 24]))
    layouts.text(tmp_path / "attributes.json", {"a": {"sleeve": "long"}})
    layouts.text(tmp_path / "captions.json", {"a.png": "a top"})
    first, second = open_photos(str(tmp_path))
    classes = first.classes()
    assert classes is not None
    expected = [NAMED.index(name) for name in ("background", "upper", "hair")]
    assert classes.unique().tolist() == sorted([*expected, UNKNOWN])
    person = first.person()
    assert person is not None
    assert person.mean() == 0.5  # what is unknown does not count
    assert first.attributes == {"sleeve": "long"}
    assert first.captions == ("a top",)
    assert second.classes() is None
    mask, parts = second.person(), second.densepose()
    assert mask is not None
    assert parts is not None
    assert mask.mean() == 0.5
    assert parts.max() == 24


def test_label_maps_need_their_names(tmp_path: Path) -> None:
    layouts.photo(tmp_path / "a.png")
    layouts.labels_file(tmp_path / "labels" / "a.png", layouts.label_map([0, 1]))
    with pytest.raises(FiceError, match=r"there is no .*classes\.json, which names the labels"):
        open_photos(str(tmp_path))
    layouts.text(tmp_path / "labels" / "classes.json", {"0": "background"})
    with pytest.raises(FiceError, match="a list of names was expected"):
        open_photos(str(tmp_path))


def test_splits_are_subfolders(tmp_path: Path) -> None:
    layouts.photo(tmp_path / "train" / "a.png")
    layouts.photo(tmp_path / "test" / "b.png")
    assert [sample.name for sample in open_photos(str(tmp_path), "test")] == ["b"]
    with pytest.raises(FiceError, match="no folder val"):
        open_photos(str(tmp_path), "val")


def test_an_empty_or_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="there is no image in the folder"):
        open_photos(str(tmp_path))
    with pytest.raises(FiceError, match="does not exist"):
        open_photos(str(tmp_path / "nowhere"))
    with pytest.raises(FiceError, match="there is no layout 'viton_hd' and no file"):
        open_photos(f"viton_hd:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\n\n two  words \n", {"1": "one", "3": "two words"}),
        ("a.json", '["one", "two words"]', {"1": "one", "2": "two words"}),
        ("a.json", '{"x": "one", "y": ["two", "three"]}', {"x": "one", "y": "two", "y#1": "three"}),
        ("a.jsonl", '{"file_name": "x", "text": "one"}\n', {"x": "one"}),
        ("a.csv", '\ufefftext\none\n"two, three"\n', {"1": "one", "2": "two, three"}),
        ("a.tsv", "name\tdescription\nx\tone\n", {"x": "one"}),
    ],
)
def test_texts_of_a_file(tmp_path: Path, name: str, content: str, expected: dict[str, str]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert {text.name: text.text for text in open_texts(str(tmp_path / name))} == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "\n", "there is no text"),
        ("a.json", "{", "is not JSON"),
        ("a.json", '{"x": 3}', "a text was expected, not int"),
        ("a.csv", "a,b\n1,2\n", "has no column of texts"),
        ("a.json", "9" * 5000, "is not JSON"),
        ("a.jsonl", "9" * 5000, "line 1: a JSON object was expected"),
        ("a.jsonl", "[" * 10**5, "line 1: a JSON object was expected"),
        ("a.jsonl", "3\n", "line 1: a JSON object was expected"),
        ("a.doc", "x", "texts are read from files that end in"),
    ],
)
def test_files_without_texts_are_one_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(FiceError, match=message):
        open_texts(str(tmp_path / name))


def test_chunks_of_multimodal_files(tmp_path: Path) -> None:
    path = layouts.text(tmp_path / "captions.json", {"03195": ["red top", "dots", "cotton"]})
    assert [text.text for text in open_texts(f"viton-hd:{path}")] == ["red top, dots, cotton"]


def test_what_is_held_out_depends_on_names_alone(tmp_path: Path) -> None:
    for number in range(40):
        layouts.photo(tmp_path / f"{number}.png")
    samples = open_photos(str(tmp_path))
    kept, out = held_out(samples, 0.25)
    assert len(kept) + len(out) == 40
    assert 4 <= len(out) <= 18
    fewer = [sample for sample in samples if sample.name != kept[0].name]
    assert [s.name for s in held_out(fewer, 0.25)[1]] == [s.name for s in out]
    assert {s.name for s in held_out(samples, 0.25, seed=1)[1]} != {s.name for s in out}
    assert held_out(samples, 0.0) == ([*samples], [])
    for share in (1e-9, 0.999999):
        both = held_out(samples[:2], share)
        assert [len(part) for part in both] == [1, 1]


def test_labels_are_framed_by_the_larger_share() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, :, 3:] = 5  # the second of four columns is half 0, half 5; the rest is clear
    frame = Frame((8, 8), (4, 4), (0, 0, 8, 8))
    framed = fit_labels(labels, frame, 6)
    assert framed.dtype == torch.uint8
    assert framed[:, 0].tolist() == [0] * 4
    assert framed[:, 2:].unique().tolist() == [5]
    beyond = fit_labels(labels, Frame((8, 8), (8, 8), (-4, 0, 4, 8)), 6)
    assert beyond[0].tolist() == [UNKNOWN] * 4 + [0, 0, 0, 5]
    labels[:] = UNKNOWN
    assert np.unique(fit_labels(labels, frame, 6).numpy()).tolist() == [UNKNOWN]


@pytest.mark.parametrize("split", ["", " ", "..", "a/../..", "/"])
def test_a_split_lies_in_its_data_set(tmp_path: Path, split: str) -> None:
    with pytest.raises(FiceError, match="is no name of a split"):
        open_photos(str(tmp_path), split)
