import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fice_core.people.anny_model import YOUNGEST
from fice_core.people.attributes import PATTERNS
from fice_core.people.code import (
    CODE_DIM,
    COMPONENTS,
    Reader,
    normalised,
    ramp,
    sample_codes,
    simplex,
    slices,
    spread_directions,
    strength,
)
from fice_core.people.colours import COLOURS, garment_colour, icosahedron, ink_for, palette
from fice_core.people.maths import Array
from fice_core.people.sampling import person_from_code

seeds = st.integers(0, 2**32 - 1)


def numbers(thing: object) -> Array:
    """All numbers of a person, in one array."""
    if dataclasses.is_dataclass(thing):
        parts = [numbers(getattr(thing, f.name)) for f in dataclasses.fields(thing)]
    elif isinstance(thing, dict):
        parts = [numbers(v) for v in thing.values()]
    elif isinstance(thing, tuple):
        parts = [numbers(v) for v in thing]
    else:
        return np.atleast_1d(np.asarray(thing, float)).ravel()
    return np.concatenate(parts)


def test_the_slices_cover_the_code_once() -> None:
    covered = np.concatenate([np.arange(CODE_DIM)[s] for s in slices().values()])
    assert covered.tolist() == list(range(CODE_DIM))


def test_a_ramp_by_hand() -> None:
    points = ((0.2, 1.0), (0.4, 3.0), (0.6, 3.0), (1.0, 7.0))
    assert [ramp(u, points) for u in (0.0, 0.3, 0.5, 0.8, 2.0)] == pytest.approx([1, 2, 3, 5, 7])


def test_a_normal_zero_is_the_middle() -> None:
    code = np.zeros(CODE_DIM)
    assert Reader.of(code, "turn").uniform(2.0, 6.0) == pytest.approx(4.0)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_a_simplex_is_regular(dim: int) -> None:
    points = simplex(dim)
    products = points @ points.T
    expected = np.full((dim + 1, dim + 1), -1 / dim)
    np.fill_diagonal(expected, 1)
    assert products == pytest.approx(expected)


def test_directions_spread_evenly() -> None:
    points = spread_directions(6)  # repulsion makes an octahedron of six
    products = np.sort(points @ points.T, axis=1)
    assert products[:, 0] == pytest.approx(-1, abs=0.05)
    assert products[:, 1:5] == pytest.approx(0, abs=0.25)


def test_strength_begins_at_a_half() -> None:
    assert strength(0.5) == 0 and strength(0.61) == pytest.approx(0.5) and strength(0.72) == 1


def test_the_codes_length_does_not_matter() -> None:
    code = sample_codes(1, np.random.default_rng(0))[0]
    assert normalised(code * 3) == pytest.approx(normalised(code))
    assert numbers(person_from_code(code * 3)) == pytest.approx(numbers(person_from_code(code)))


def test_each_vertex_of_the_icosahedron_is_a_colour() -> None:
    for vertex, colour in zip(icosahedron(), COLOURS.values(), strict=True):
        assert garment_colour(vertex) == pytest.approx(np.array(colour), abs=0.02)


def test_a_palette_passes_its_colours() -> None:
    colours = ((0.0, 0.0, 0.0), (1.0, 0.5, 0.0))
    assert palette(0.5, colours) == pytest.approx([0.5, 0.25, 0])


def test_ink_is_light_on_dark_and_dark_on_light() -> None:
    assert ink_for(np.array(COLOURS["black"]), 0.0).mean() > 0.8
    assert ink_for(np.array(COLOURS["white"]), 0.0).mean() < 0.2


@given(seeds)
def test_everybody_is_an_adult(seed: int) -> None:
    code = sample_codes(1, np.random.default_rng(seed))[0] * 3
    assert person_from_code(code).body.phenotype["age"] >= YOUNGEST


@given(seeds)
def test_attributes_stay_in_their_ranges(seed: int) -> None:
    person = person_from_code(sample_codes(1, np.random.default_rng(seed))[0])
    for colour in (
        person.look.skin,
        person.hair.colour,
        person.top_texture.colour,
        person.studio.wall,
    ):
        assert (colour >= 0).all() and (colour <= 1).all()
    assert 0 <= person.top.sleeve <= 1
    assert person.top.neckline.sum() == pytest.approx(1)
    assert person.top_texture.pattern.shape == (len(PATTERNS),)
    # one pattern, or two that fade into each other
    assert (person.top_texture.pattern > 0).sum() <= 2
    assert person.top_texture.pattern.sum() <= 1
    assert (person.top_texture.pattern > 0.5).sum() <= 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_moves_attributes_and_moves_them_smoothly(component: str) -> None:
    rng = np.random.default_rng(5)
    way = np.zeros(CODE_DIM)
    way[slices()[component]] = rng.standard_normal(COMPONENTS[component])
    way /= np.linalg.norm(way)
    far, near = [], []
    for code in sample_codes(30, rng):
        here = numbers(person_from_code(code))
        far.append(np.abs(numbers(person_from_code(code + way)) - here).sum())
        near.append(np.abs(numbers(person_from_code(code + 1e-5 * way)) - here).max())
    assert np.mean(far) > 1e-3
    assert max(near) < 1e-2
