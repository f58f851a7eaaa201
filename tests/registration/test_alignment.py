"""The geometry of an alignment, worked out by hand, and its warp."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_edits import seen_by, textured

from fice_core.registration import Alignment

WHOLE = (slice(0, 60), slice(0, 80))


def test_the_matrix_by_hand() -> None:
    """Size 40 x 20, edit twice as large, twice zoomed across, shifted by (3, -1)."""
    found = Alignment((20, 40), (40, 80), (2.0, 1.0), 0.0, (3.0, -1.0))
    assert np.allclose(found.positions(np.array([20.0, 10.0])), [46, 18])  # the centre
    assert np.allclose(found.positions(np.array([21.0, 10.0])), [50, 18])
    assert np.allclose(found.positions(np.array([20.0, 11.0])), [46, 20])


def test_a_quarter_turn_is_clockwise() -> None:
    found = Alignment((10, 10), (10, 10), turn=90.0)
    assert np.allclose(found.positions(np.array([6.0, 5.0])), [5, 6])  # right becomes down


@given(
    values=st.tuples(
        *(st.floats(-0.2, 0.2) for _ in range(2)),
        *(st.floats(0.7, 1.4) for _ in range(2)),
        st.floats(-0.2, 0.2),
    )
)
def test_parameters_are_the_alignment(values: tuple[float, ...]) -> None:
    start = Alignment((30, 50), (33, 61))
    found = start.with_parameters(np.array(values))
    assert np.allclose(found.parameters, values)
    assert found.distance(found) == (0.0, 0.0)


def test_distance_of_a_shift() -> None:
    start = Alignment((30, 50), (60, 50))
    assert start.distance(Alignment((30, 50), (60, 50), shift=(3.0, 4.0))) == pytest.approx((5, 5))


def test_the_identity_gives_the_image_back() -> None:
    image = textured(60, 80)
    warped = Alignment((60, 80), (60, 80)).warped(image, WHOLE)
    assert torch.allclose(warped, image, atol=1e-5)


@settings(max_examples=10)
@given(turn=st.floats(-3, 3), zoom=st.floats(0.9, 1.1), dx=st.floats(-4, 4), dy=st.floats(-4, 4))
def test_a_warp_undoes_an_edit(turn: float, zoom: float, dx: float, dy: float) -> None:
    photo = textured(60, 80)
    truth = Alignment((60, 80), (60, 80), (zoom, zoom), turn, (dx, dy))
    box = slice(18, 42), slice(20, 60)
    back = truth.warped(seen_by(photo, truth), box)
    assert (back - photo[:, box[0], box[1]]).abs().mean() < 0.005


def test_what_the_edit_shows() -> None:
    centred = Alignment((40, 40), (40, 40), (2.0, 2.0))  # a crop of the middle quarter
    seen = centred.visible((slice(0, 40), slice(0, 40)))
    assert seen[10:30, 10:30].all()
    assert not seen[:10].any()
    assert Alignment((40, 40), (10, 99)).visible((slice(0, 40), slice(0, 40))).all()
