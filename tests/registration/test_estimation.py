"""Known transforms are recovered, whatever the garment does; images that do not match are doubted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_edits import box_mask, recoloured, seen_by, textured

from fice_core.registration import Alignment, register
from fice_core.registration.agreement import agreement
from fice_core.registration.estimation import DOUBTFUL
from fice_core.registration.features import level, normalised
from fice_core.registration.refinement import refine
from fice_core.registration.search import fits

SIZE = (160, 200)


@settings(max_examples=8)
@given(
    shift=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    zoom=st.floats(0.9, 1.1),
    stretch=st.floats(0.97, 1.03),
    turn=st.floats(-3, 3),
    scale=st.sampled_from([(160, 200), (240, 300), (128, 128), (200, 180)]),
    masked=st.booleans(),
)
def test_known_transforms_are_recovered(
    shift: tuple[float, float],
    zoom: float,
    stretch: float,
    turn: float,
    scale: tuple[int, int],
    masked: bool,
) -> None:
    photo, mask = textured(*SIZE), box_mask(*SIZE)
    truth = Alignment(SIZE, scale, (zoom, zoom * stretch), turn, shift)
    edited = (0.9 * seen_by(recoloured(photo, mask), truth) + 0.06).clamp(0, 1)
    found = register(photo, edited, mask if masked else None)
    assert found.alignment.distance(truth)[1] < 0.25
    assert found.confidence > 0.8
    assert found.residual < 0.2


def test_noise_and_blur_cost_little() -> None:
    photo = textured(*SIZE)
    truth = Alignment(SIZE, SIZE, (1.05, 1.05), 0.0, (4.3, -6.2))
    edited = seen_by(photo, truth)
    edited = torch.nn.functional.avg_pool2d(edited[None], 3, 1, 1)[0]
    noise = torch.randn(edited.shape, generator=torch.Generator().manual_seed(0))
    found = register(photo, (edited + 0.02 * noise).clamp(0, 1))
    assert found.alignment.distance(truth)[0] < 0.25


def test_the_same_image_lies_on_itself_exactly() -> None:
    photo = textured(*SIZE)
    found = register(photo, photo)
    assert found.alignment.distance(Alignment(SIZE, SIZE))[1] < 1e-3
    assert found.confidence > 0.95


def test_a_shift_by_whole_pixels_is_measured_in_words_too() -> None:
    photo = textured(200, 240)
    found = register(photo[:, 10:170, 20:220], photo[:, 13:173, 15:215])
    assert found.alignment.shift == pytest.approx((5, -3), abs=0.05)
    assert "right" in found.line()
    assert "up" in found.line()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_images_are_doubted(seed: int) -> None:
    assert register(textured(*SIZE), textured(*SIZE, seed=seed)).confidence < DOUBTFUL


def test_flat_images_are_doubted() -> None:
    assert register(torch.full((3, 64, 64), 0.5), torch.full((3, 64, 64), 0.5)).confidence == 0


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="mask"):
        register(textured(64, 64), textured(64, 64), torch.zeros(1, 3, 3))
    with pytest.raises(ValueError, match="at least"):
        register(textured(64, 64), textured(16, 64))


def test_tone_does_not_change_the_features() -> None:
    image = textured(80, 80).numpy()
    assert np.abs(normalised(image + 0.1) - normalised(image)).max() < 1e-3
    assert np.abs(normalised(0.8 * image) - normalised(image)).mean() < 0.1
    assert np.abs(normalised(image)).max() > 1


def test_a_refinement_ignores_outliers() -> None:
    """A third of the points shows something else; the shift of the rest is found."""
    photo = textured(96, 96).numpy()
    edit = np.roll(photo, (1, 2), (1, 2))
    edit[:, 32:64] = textured(96, 96, seed=5).numpy()[:, 32:64]
    at = level(photo, edit, np.ones((96, 96), bool))
    fit = refine(at, np.array([0, 0, 1, 1, 0.0]), 30, looseness=3.0)
    assert fit.parameters[:2] * 48 == pytest.approx([2, 1], abs=0.05)
    found = agreement(at, fit.parameters)
    assert found.share == pytest.approx(2 / 3, abs=0.08)
    assert found.apart < 0.2


def test_proportions_give_three_fits() -> None:
    assert fits(Alignment((100, 100), (50, 50))) == [(1.0, 1.0)]
    stretched, cropped, framed = fits(Alignment((100, 100), (50, 100)))
    assert stretched == (1, 1)
    assert cropped == (1, 2)
    assert framed == (0.5, 1)
