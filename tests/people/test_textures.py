from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fice_core.people.attributes import PATTERNS, Texture
from fice_core.people.maths import linear
from fice_core.people.textures import DRAWN, PRINT_HEIGHT, albedo, dots, noise, print_, stripes


def texture(pattern: str = "plain") -> Texture:
    strengths = np.array([float(p == pattern and p != "plain") for p in PATTERNS])
    return Texture(np.full(3, 0.6), np.full(3, 0.1), strengths, 1.0, np.zeros(2), 0.0)


def test_stripes_repeat_and_have_their_share() -> None:
    v = np.linspace(0, 0.32, 4000, endpoint=False)  # ten periods
    drawn = stripes(np.zeros_like(v), v, 1.0, 0.0)
    assert drawn == pytest.approx(stripes(np.zeros_like(v), v + 0.032, 1.0, 0.0), abs=1e-6)
    assert drawn.mean() == pytest.approx(1 - 2 * 0.34, abs=0.01)


def test_a_dot_is_round() -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    centre = 0.5 * 0.034
    for radius, inside in ((0.004, 1.0), (0.010, 0.0)):
        drawn = dots(centre + radius * np.cos(angle), centre + radius * np.sin(angle), 1.0, 0.0)
        assert drawn == pytest.approx(inside)


@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 50))
def test_noise_is_bounded_and_continuous(u: float, v: float, salt: int) -> None:
    a = noise(np.array([u, u + 1e-7]), np.array([v, v]), 0.01, salt)
    assert 0 <= a[0] <= 1
    assert abs(a[1] - a[0]) < 1e-4


@pytest.mark.parametrize("name", PATTERNS[1:])
def test_patterns_cover_some_of_the_cloth(name: str) -> None:
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-0.1, 0.1, 5000), PRINT_HEIGHT + rng.uniform(-0.1, 0.1, 5000)
    draw = DRAWN[PATTERNS.index(name)]
    assert draw is not None
    for motif in (0.0, 0.4, 0.99):
        drawn = draw(u, v, 1.0, motif)
        assert drawn.min() >= 0 and drawn.max() <= 1.001
        assert 0.02 < drawn.mean() < 0.9


def test_plain_cloth_has_its_colour() -> None:
    uv = np.random.default_rng(0).uniform(-0.3, 0.3, (4000, 2))
    colours = albedo(texture(), uv, np.zeros(4000, np.uint8))
    assert colours.mean(0) == pytest.approx(linear(np.full(3, 0.6)), rel=0.01)


def test_a_print_is_on_the_trunk_alone() -> None:
    uv = np.stack([np.linspace(-0.05, 0.05, 500), np.full(500, PRINT_HEIGHT + 0.02)], 1)
    trunk = albedo(texture("print"), uv, np.zeros(500, np.uint8))
    sleeve = albedo(texture("print"), uv, np.full(500, 1, np.uint8))
    assert trunk.min() < 0.05 < sleeve.min()


def test_the_motif_changes_a_print_continuously() -> None:
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-0.08, 0.08, 800), PRINT_HEIGHT + rng.uniform(-0.08, 0.08, 800)
    drawn = [print_(u, v, 1.0, m) for m in np.linspace(0, 0.999, 400)]
    assert max(np.abs(a - b).max() for a, b in pairwise(drawn)) < 0.2
