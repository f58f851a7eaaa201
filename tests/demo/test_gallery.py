"""The bundled people: that they are all there, varied, true, and readable without torch or the renderer."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from fice_core.demo import people
from fice_core.demo.gallery import FOLDER, LIST, TRUTH, Gallery, gallery
from fice_core.errors import FiceError
from fice_core.networks.tokenizer import split_words
from fice_core.people.attributes import PATTERNS
from fice_core.people.captions import facts, vocabulary
from fice_core.people.cast import CAST
from fice_core.people.classes import CLASSES
from fice_core.people.compose import own_image
from fice_core.people.dressing import dressed
from fice_core.people.portrait import Portrait
from fice_core.people.sampling import person_from_code
from fice_core.people.wording import KINDS, SLEEVES

SOME = (0, 6, 20, 41)  # people who are looked at closely


@pytest.fixture(scope="module")
def portraits() -> list[Portrait]:
    return [gallery()[k].portrait() for k in SOME]


def test_the_gallery_is_small_and_whole() -> None:
    files = sorted(path.name for path in FOLDER.iterdir())
    assert files == sorted([*(f"{who.name}.jpg" for who in gallery()), LIST, TRUTH])
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000
    assert len(gallery()) == len(CAST) >= 48


def test_its_people_are_varied() -> None:
    known = [who.facts for who in gallery()]
    genders = Counter(fact.gender for fact in known)
    assert min(genders[0], genders[1]) >= 20
    assert {fact.kind for fact in known} - {None} == set(KINDS)
    assert {fact.sleeve for fact in known} - {None} == set(SLEEVES)
    assert {fact.pattern for fact in known} - {None} == set(PATTERNS)
    assert len({fact.colour for fact in known} - {None}) >= 11
    assert sum(fact.kind == "dress" for fact in known) >= 6


def test_what_is_said_of_them_is_true() -> None:
    words = set(vocabulary())
    for who in gallery():
        assert who.captions and all(word in words for t in who.captions for word in split_words(t))
    for k in SOME:
        assert facts(person_from_code(gallery()[k].code)) == gallery()[k].facts


def test_they_are_the_cast_in_its_clothes() -> None:
    for k in SOME:
        member, code = CAST[k], gallery()[k].code
        own = member.code()
        if member.colour or member.pattern:
            own = dressed(own, member.colour, member.pattern).astype(np.float32)
        assert code == pytest.approx(own, abs=1e-6)


def test_coverage_and_labels_agree(portraits: list[Portrait]) -> None:
    for who in portraits:
        assert who.image.shape == (512, 512, 3) and who.coverage.shape == (10, 512, 512)
        assert who.coverage.sum(0) == pytest.approx(1, abs=1e-5)
        assert ((who.parts > 0) == (who.region("background") < 0.5)).mean() > 0.995
        assert set(np.unique(who.parts)) <= set(range(25))
        garment, head = who.region("garment").mean(), who.region("head").mean()
        assert 0.08 < garment < 0.5 and 0.01 < head < 0.15
        left, right = (who.joint(f"{side} shoulder") for side in ("left", "right"))
        assert left[0] > right[0]
        assert who.joint("head")[1] < who.joint("neck")[1] < who.joint("left hip")[1]


def test_garment_coordinates_are_on_the_garment_alone(portraits: list[Portrait]) -> None:
    for who in portraits:
        worn = who.panel != 255
        assert (who.region("garment")[worn] > 0).mean() > 0.97  # kept at half the size
        trunk = (who.panel == 0) & (who.region("garment") > 0.99)
        u, v = who.uv[trunk].T
        column, row = np.nonzero(trunk)[::-1]
        # metres across and up the garment
        assert np.corrcoef(u, column)[0, 1] > 0.8 and np.corrcoef(v, -row)[0, 1] > 0.9


def test_a_portrait_keeps_its_truth_at_other_sizes(portraits: list[Portrait]) -> None:
    who = portraits[0]
    small = who.at(128)
    assert small.size == 128 and small.image.shape == (128, 128, 3)
    assert small.coverage.sum(0) == pytest.approx(1, abs=1e-5)
    assert small.image.mean((0, 1)) == pytest.approx(who.image.mean((0, 1)), abs=1e-3)
    assert small.region("garment").mean() == pytest.approx(who.region("garment").mean(), abs=1e-4)
    assert small.joint("neck") * 4 == pytest.approx(who.joint("neck"))
    assert (small.parts == who.parts[2::4, 2::4]).mean() > 0.98
    large = small.at(200)
    assert large.image.mean((0, 1)) == pytest.approx(who.image.mean((0, 1)), abs=0.01)


def test_the_record_composes_to_the_photograph(portraits: list[Portrait]) -> None:
    for k, who in zip(SOME, portraits, strict=True):
        again, _ = own_image(gallery()[k].record())
        error = np.square(again - who.at(256).image).mean()
        assert -10 * np.log10(error) > 32


def test_reading_needs_neither_torch_nor_the_renderer() -> None:
    code = (
        "import sys; from fice_core.demo.gallery import gallery; gallery()[0].portrait(64);"
        "print([n for n in ('torch', 'mitsuba', 'anny', 'pyoidn') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_other_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="no whole gallery"):
        Gallery(tmp_path)
    listed = json.loads((FOLDER / LIST).read_text(encoding="utf-8"))
    (tmp_path / LIST).write_text(json.dumps(listed))
    broken = Gallery(tmp_path)[0]
    for read in (lambda: broken.image, lambda: broken.compact):
        with pytest.raises(FiceError, match="no whole gallery"):
            read()
    (tmp_path / LIST).write_text(json.dumps(listed | {"format": 99}))
    with pytest.raises(FiceError, match="format 99"):
        Gallery(tmp_path)


def test_figures_are_the_first_people() -> None:
    shown = people.figures(64)
    assert shown.images.shape == (6, 3, 64, 64) and len(shown.prompts) == 6
    image, caption = people.figure(102, 64)
    assert torch.equal(image[0], shown.images[1]) and caption == gallery()[1].captions[0]
    assert torch.equal(people.figure(101 + len(gallery()), 64)[0][0], shown.images[0])
    assert shown.images.min() >= 0 and shown.images.max() <= 1
    words = set(vocabulary())
    assert all(word in words for text in shown.prompts for word in split_words(text))


@pytest.mark.parametrize("size", [64, 200, 512, 800])
def test_a_figure_has_any_size(size: int) -> None:
    image, _ = people.figure(103, size)
    assert image.shape == (1, 3, size, size) and image.dtype == torch.float32


def test_truth_as_tensors(portraits: list[Portrait]) -> None:
    truth = people.truth([who.at(96) for who in portraits[:2]])
    total = truth.background + truth.body + truth.head
    torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(truth.classes.sum(1), torch.ones(2, 96, 96))
    assert truth.classes.shape[1] == len(CLASSES) and truth.labels.dtype == torch.int64
    assert (truth.garment <= truth.body + 1e-5).all()
    parts = truth.parts(48)
    assert parts.shape == (2, 14, 48, 48) and (parts.sum(1) <= 1 + 1e-5).all()
    # the torso's front is the second of the fourteen
    torch.testing.assert_close(
        parts[:, 1].mean((1, 2)), (truth.labels == 2).float().mean((1, 2)), atol=1e-4, rtol=0
    )
