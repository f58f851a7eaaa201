import re

import numpy as np
import pytest

from fice_core.people.captions import Facts, caption, captions, colour_name, facts, vocabulary
from fice_core.people.colours import COLOURS
from fice_core.people.maths import Array
from fice_core.people.sampling import person_from_code

SWEATER = Facts("red", "stripes", "long", "v", "sweater", "knit", "jeans", "blue", 1)


@pytest.mark.parametrize("name", COLOURS)
def test_the_named_colours_have_their_names(name: str) -> None:
    found, margin = colour_name(np.array(COLOURS[name]))
    assert found == name and margin > 4


def test_captions_say_what_is_true() -> None:
    rng = np.random.default_rng(0)
    texts = [caption(SWEATER, rng) for _ in range(400)]
    together = " ".join(texts)
    assert len(set(texts)) > 200
    for word in ("red", "striped", "sweater", "jumper", "jeans", "knitted"):
        assert word in together
    for word in ("sleeveless", "dress", "skirt", "floral", "collar", "man in", "he "):
        assert not re.search(rf"\b{word}", together)


def test_what_is_undecided_is_not_told() -> None:
    nothing = Facts(None, None, None, None, None, None, None, None, None)
    rng = np.random.default_rng(0)
    words = {w for _ in range(200) for w in caption(nothing, rng).split()}
    assert not words & {"red", "sleeveless", "sweater", "striped", "woman", "jeans"}


def test_an_precedes_a_vowel() -> None:
    rng = np.random.default_rng(0)
    orange = Facts("orange", None, None, None, None, None, None, None, None)
    texts = [caption(orange, rng) for _ in range(100)]
    assert not any(re.search(r"\ba [aeiou]", t) for t in texts)
    assert any("an orange" in t for t in texts)


def test_the_vocabulary_has_all_words(codes: Array) -> None:
    rng = np.random.default_rng(0)
    known = set(vocabulary())
    for code in codes:
        for text in captions(person_from_code(code), rng, 20):
            assert set(re.findall(r"[a-z]+", text)) <= known


def test_facts_of_people_are_mostly_clear(codes: Array) -> None:
    known = [facts(person_from_code(code)) for code in codes]
    for name in ("colour", "pattern", "sleeve", "kind", "gender"):
        clear = sum(getattr(k, name) is not None for k in known)
        assert clear > 0.6 * len(known), name
