"""Colour, pattern and sleeves of people, measured on images whose truth is known."""

import itertools

import numpy as np
import pytest

from fice_core.demo.gallery import Sitter, gallery
from fice_core.evaluation.cases import PATTERNS
from fice_core.evaluation.garments import (
    SLEEVE_LIMITS,
    along_arms,
    chest_of,
    measure,
    nearest_colour,
    shows_arms,
    sleeve_of,
    untoned,
)
from fice_core.evaluation.patterns import FAMILIES, STEP, find_pattern, flattened, pitch
from fice_core.ops.color import to_lab
from fice_core.people.captions import Facts, facts
from fice_core.people.colours import COLOURS
from fice_core.people.compose import compose, tone
from fice_core.people.dressing import dressed
from fice_core.people.maths import Array
from fice_core.people.portrait import Portrait, resampled
from fice_core.people.sampling import person_from_code

SIZE = 256
SOME = range(0, 50, 5)


def recoloured(who: Sitter, colour: str, pattern: str, size: int = SIZE) -> tuple[Array, Facts]:
    """The person in another colour and pattern, and what it wears then."""
    person = person_from_code(dressed(who.code, colour, pattern))
    image = compose(who.record(), person.top_texture, person.bottom_texture)
    return resampled(image, size), facts(person)


@pytest.fixture(scope="module")
def portraits() -> dict[int, Portrait]:
    return {k: gallery()[k].portrait(SIZE) for k in SOME}


def test_people_wear_what_their_facts_say(portraits: dict[int, Portrait]) -> None:
    for k, who in portraits.items():
        known = gallery()[k].facts
        if known.colour is None or known.pattern in (None, "melange"):
            continue
        seen = measure([who.image], [who], [known.colour])[0]
        assert (seen.colour, seen.pattern, seen.sleeve) == (
            known.colour, known.pattern, known.sleeve,
        ), k  # fmt: skip


def test_colours_and_patterns_asked_for_are_seen(portraits: dict[int, Portrait]) -> None:
    rng = np.random.default_rng(3)
    right = []
    for k, who in portraits.items():
        colour = list(COLOURS)[rng.integers(len(COLOURS))]
        pattern = PATTERNS[rng.integers(len(PATTERNS))]
        image, known = recoloured(gallery()[k], colour, pattern)
        seen = measure([image], [who], [colour])[0]
        right += [seen.colour == colour, known.pattern is None or seen.pattern == known.pattern]
        right.append(seen.sleeve == known.sleeve)
        other = next(c for c in COLOURS if c not in (colour, "white", "black"))
        right.append(measure([image], [who], [other])[0].colour != other)
    assert sum(right) >= len(right) - 1


@pytest.mark.parametrize("size", [128, 512])
def test_size_does_not_matter(size: int) -> None:
    sitter = gallery()[0]
    who = sitter.portrait(size)
    image, _ = recoloured(sitter, "red", "dots", size)
    seen = measure([image], [who], ["red"])[0]
    assert (seen.colour, seen.pattern, seen.sleeve) == ("red", "dots", "sleeveless")


def test_stripes_of_two_colours_are_named_by_the_wish(portraits: dict[int, Portrait]) -> None:
    """Black stripes on white are white on black, but white stripes on red are no white cloth."""
    sitter, who = gallery()[5], portraits[5]
    for colour in ("black", "white"):
        image, _ = recoloured(sitter, colour, "stripes")
        assert measure([image], [who], [colour])[0].colour == colour
    image, _ = recoloured(sitter, "red", "stripes")
    assert [measure([image], [who], [wish])[0].colour for wish in ("red", "white")] == ["red"] * 2


def test_painted_sleeves_are_measured(portraits: dict[int, Portrait]) -> None:
    """Cloth painted down the bare arms to known places."""
    who = portraits[0]
    assert gallery()[0].facts.sleeve == "sleeveless"
    along = along_arms(who.parts, who.joints)
    cloth = np.median(who.image[chest_of(who)], axis=0)
    for end, name in ((0.0, "sleeveless"), (0.35, "short"), (0.7, "elbow"), (1.0, "long")):
        image = who.image.copy()
        image[along < end] = cloth
        seen = measure([image], [who], ["green"])[0]
        assert seen.sleeve == name
        assert seen.coverage == pytest.approx(end, abs=0.08)


def test_classes_of_sleeves() -> None:
    edges = [0.0, *SLEEVE_LIMITS, 1.0]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    assert [sleeve_of(x) for x in middles] == ["sleeveless", "short", "elbow", "long"]
    assert sleeve_of(float("nan")) is None


def test_arms_that_are_not_seen_have_no_sleeves(portraits: dict[int, Portrait]) -> None:
    who = portraits[0]
    hidden = Portrait(**{**vars(who), "parts": np.where(who.parts > 14, 0, who.parts)})
    assert shows_arms(who.parts, who.joints)
    assert not shows_arms(hidden.parts, hidden.joints)
    seen = measure([who.image], [hidden], ["green"])[0]
    assert seen.sleeve is None and np.isnan(seen.coverage)
    assert seen.colour == "green"


def test_the_tone_curve_is_undone() -> None:
    light = np.linspace(0.001, 1.5, 50)
    assert untoned(tone(light)) == pytest.approx(light, abs=2e-3)


@pytest.mark.parametrize("name", COLOURS)
def test_named_colours_are_their_own_nearest(name: str) -> None:
    assert nearest_colour(to_lab(np.array(COLOURS[name]))) == name


def cloth(amount: Array, uv: Array, noise: float = 2.0) -> Array:
    """CIELAB colours of red cloth with pale ink, and some noise."""
    ground, ink = np.array([45.0, 60, 40]), np.array([92.0, 2, 4])
    rng = np.random.default_rng(0)
    return ground + (ink - ground) * amount[:, None] + noise * rng.standard_normal((len(uv), 3))


def places() -> Array:
    """Garment coordinates of a chest's pixels, 4.2 mm apart and slightly bent."""
    u, v = np.meshgrid(np.arange(-0.13, 0.13, 0.0042), np.arange(0.06, 0.40, 0.0042))
    return np.stack([u + 0.004 * np.sin(9 * v), v + 0.004 * np.sin(11 * u)], -1).reshape(-1, 2)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("scale", "motif"), [(0.8, 0.3), (1.1, 0.6), (1.4, 0.1)])
def test_drawn_patterns_are_found(name: str, scale: float, motif: float) -> None:
    uv = places()
    moved = uv + np.array([0.0, 0.0 if name == "print" else 0.009])
    amount = FAMILIES[name].draw(moved[:, 0], moved[:, 1], scale, motif)
    found = find_pattern(flattened(uv, cloth(amount, uv)))
    assert found.name == name
    assert found.correlation > 0.6


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0])
def test_plain_cloth_has_no_pattern(noise: float) -> None:
    uv = places()
    shade = 0.1 * np.sin(14 * uv[:, 1] + 9 * uv[:, 0])
    found = find_pattern(flattened(uv, cloth(shade, uv, noise)))
    assert found.name == "plain" and not found.ink.any()


def test_a_chest_is_laid_flat_without_gaps() -> None:
    uv = places()
    assert pitch(uv) == pytest.approx(0.0042, rel=0.1)
    for part in (uv, uv[::2]):
        flat = flattened(part, part)
        there = flat.weight > 0.5
        area = there.sum() * STEP**2
        assert area == pytest.approx(0.26 * 0.34, rel=0.12)
    row, column = np.nonzero(flat.weight > 0.9)
    assert flat.values[row, column, 0] == pytest.approx(-0.26 + (column + 0.5) * STEP, abs=0.006)
    assert flat.values[row, column, 1] == pytest.approx((row + 0.5) * STEP, abs=0.006)
