"""The same person in another garment."""

import dataclasses

import numpy as np
import pytest

from fice_core.errors import FiceError
from fice_core.people.attributes import PATTERNS
from fice_core.people.captions import facts, prompt, vocabulary
from fice_core.people.code import CODE_DIM, sample_codes
from fice_core.people.colours import COLOURS
from fice_core.people.dressing import dressed
from fice_core.people.maths import Array
from fice_core.people.sampling import person_from_code
from fice_core.people.wording import SLEEVES

CODES = sample_codes(12, np.random.default_rng(8))


def flat(value: object) -> list[float]:
    """All numbers of a dataclass."""
    if dataclasses.is_dataclass(value):
        return [x for f in dataclasses.fields(value) for x in flat(getattr(value, f.name))]
    if isinstance(value, dict):
        return [x for item in value.values() for x in flat(item)]
    return np.asarray(value, float).ravel().tolist()


@pytest.mark.parametrize("code", CODES)
def test_one_wears_what_is_asked_for(code: Array) -> None:
    rng = np.random.default_rng(int(1000 * abs(code[0])))
    for sleeve in SLEEVES:
        colour = list(COLOURS)[rng.integers(len(COLOURS))]
        pattern = PATTERNS[rng.integers(len(PATTERNS))]
        known = facts(person_from_code(dressed(code, colour, pattern, sleeve)))
        assert (known.colour, known.sleeve) == (colour, sleeve)
        # dresses and buttoned shirts have no print
        assert known.pattern == pattern or pattern == "print"


@pytest.mark.parametrize("code", CODES)
def test_all_else_stays_as_it_was(code: Array) -> None:
    before, after = (person_from_code(c) for c in (code, dressed(code, "red", "dots", "long")))
    for part in ("body", "look", "hair", "pose", "studio"):
        assert flat(getattr(after, part)) == pytest.approx(flat(getattr(before, part)), abs=1e-6)
    recoloured = person_from_code(dressed(code, "blue", "plain"))
    assert flat(recoloured.top) == pytest.approx(flat(before.top), abs=1e-6)
    assert flat(recoloured.bottom) == pytest.approx(flat(before.bottom), abs=1e-6)


def test_the_scale_of_a_code_means_nothing_and_stays_normal() -> None:
    code = dressed(CODES[0], "teal", "checks", "short")
    assert code.shape == (CODE_DIM,)
    assert np.square(code).mean() == pytest.approx(1, abs=1e-6)
    assert dressed(3 * CODES[0], "teal", "checks", "short") == pytest.approx(code)


@pytest.mark.parametrize("asked", [{"colour": "mauve"}, {"pattern": "zebra"}, {"sleeve": "wide"}])
def test_unknown_names_are_told(asked: dict[str, str]) -> None:
    with pytest.raises(FiceError, match="choose from"):
        dressed(CODES[0], **asked)


def test_prompts_read_well_and_have_known_words() -> None:
    assert prompt("red", "stripes", "long") == "a red striped long sleeve top"
    assert prompt("orange", "plain", "short") == "an orange plain t-shirt"
    assert prompt("blue", "dots", "sleeveless", dress=True) == "a blue polka dot sleeveless dress"
    words = set(vocabulary())
    texts = [prompt("teal", p, s, d) for p in PATTERNS for s in SLEEVES for d in (False, True)]
    assert all(word in words for t in texts for word in t.replace("-", " ").split())
