"""Drift: equal to scikit-image where it measures the same; by hand where it does not."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_edits import box_mask, seen_by, textured
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from fice_core.bridges import measure_drift
from fice_core.bridges import pixels as pixels_module
from fice_core.bridges.pixels import compare, heat_map
from fice_core.errors import FiceError
from fice_core.models import load_network
from fice_core.registration import Alignment


def noisy(image: Tensor, strength: float, seed: int = 0) -> Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + strength * noise).clamp(0, 1)


def array(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).double().numpy()


@settings(max_examples=15)
@given(
    height=st.integers(7, 150),
    width=st.integers(7, 90),
    seed=st.integers(0, 100),
    masked=st.booleans(),
)
def test_psnr_ssim_and_lab_are_those_of_scikit_image(
    height: int, width: int, seed: int, masked: bool
) -> None:
    before = textured(height, width, seed)
    after = noisy(before, 0.05, seed)
    outside = torch.ones(height, width, dtype=torch.bool)
    if masked:
        outside = box_mask(height, width)[0] == 0
    found, _ = compare(before, after, outside if masked else None)
    a, b, where = array(before), array(after), outside.numpy()
    assert found["psnr"] == pytest.approx(
        peak_signal_noise_ratio(a[where], b[where], data_range=1), abs=1e-4
    )
    _, similarity = structural_similarity(a, b, channel_axis=2, data_range=1, full=True)
    windows = np.zeros_like(where)
    windows[3:-3, 3:-3] = where[3:-3, 3:-3]
    if windows.any():
        assert found["ssim"] == pytest.approx(similarity[windows].mean(), abs=2e-5)
    lab = np.linalg.norm(rgb2lab(a) - rgb2lab(b), axis=-1)
    assert found["lab"] == pytest.approx(lab[where].mean(), rel=1e-4)


def test_extreme_colours_have_their_lab_distance() -> None:
    corners = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1.0)])
    before, after = (
        corners.T[:, :, None].repeat(1, 1, 8),
        corners.flip(0).T[:, :, None].repeat(1, 1, 8),
    )
    found, _ = compare(before, after, None)
    lab = np.linalg.norm(rgb2lab(array(before)) - rgb2lab(array(after)), axis=-1)
    assert found["lab"] == pytest.approx(lab.mean(), rel=1e-4)


def test_by_hand() -> None:
    """100 pixels; one channel of two of them is 51 levels off."""
    before, after = torch.zeros(3, 10, 10), torch.zeros(3, 10, 10)
    after[1, 0, :2] = 0.2
    found, _ = compare(before, after, None)
    assert found["equal"] == pytest.approx(0.98)
    assert found["mean"] == pytest.approx(51 * 2 / 100)
    assert found["largest"] == pytest.approx(51)
    assert found["percentile95"] == 0
    assert found["psnr"] == pytest.approx(-10 * math.log10(2 * 0.04 / 300))
    outside = torch.ones(10, 10, dtype=torch.bool)
    outside[0, :2] = False
    found, _ = compare(before, after, outside)
    assert found["equal"] == 1
    assert found["psnr"] == math.inf
    assert found["outside"] == pytest.approx(0.98)


def test_large_images_are_compared_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """CIELAB of evenly spaced rows, the rest of every pixel, is that of small strips."""
    before = textured(150, 80)
    after = noisy(before, 0.03)
    whole, _ = compare(before, after, None)
    monkeypatch.setattr(pixels_module, "_ROWS", 37)
    monkeypatch.setattr(pixels_module, "_LAB_PIXELS", 150 * 80 // 3)
    strips, _ = compare(before, after, None)
    assert strips["lab"] == pytest.approx(whole["lab"], rel=0.05)
    for name in set(whole) - {"lab"}:
        assert strips[name] == pytest.approx(whole[name], rel=1e-5), name
    rows = compare(before[:, ::3], after[:, ::3], None)[0]["lab"]
    assert strips["lab"] == pytest.approx(rows, rel=1e-5)


def test_an_equal_pair() -> None:
    photo = textured(96, 80)
    drift, heat = measure_drift(photo, photo)
    assert (drift.equal, drift.psnr, drift.largest) == (1, math.inf, 0)
    assert drift.ssim == pytest.approx(1)
    assert heat.max() < 0.02  # inferno begins at nearly black
    assert drift.to_dict()["psnr"] is None
    json.dumps(drift.to_dict(), allow_nan=False)
    assert "100.00 % of the pixels are equal" in drift.line()
    assert "\n" not in drift.line()


def test_shift_and_zoom_of_a_drifted_edit() -> None:
    photo, mask = textured(160, 200), box_mask(160, 200)
    truth = Alignment((160, 200), (128, 200), (1.02, 1.02), 0.0, (3.0, -2.0))
    drift, _ = measure_drift(photo, seen_by(photo, truth), mask)
    assert drift.resized
    assert drift.registration is not None
    assert drift.registration.alignment.distance(truth)[1] < 0.2
    assert drift.row()["shift_px_x"] == pytest.approx(3, abs=0.2)
    assert drift.row()["zoom_percent_y"] == pytest.approx(102, abs=0.2)
    assert drift.outside == pytest.approx(1 - float(mask.mean()))


def test_small_images_have_no_registration() -> None:
    drift, _ = measure_drift(textured(6, 6), textured(6, 6))
    assert drift.registration is None
    assert math.isnan(drift.ssim)
    assert set(drift.row()) == set(measure_drift(textured(64, 64), textured(64, 64))[0].row())


def test_networks_compare_pose_and_text() -> None:
    densepose, clip = (load_network("demo", kind) for kind in ("densepose", "clip"))
    photo = textured(64, 64)
    text = clip.encode_image(photo[None])
    drift, _ = measure_drift(photo, photo, None, densepose, clip, text)
    assert drift.pose_iou == 1
    assert drift.similarity == pytest.approx(1, abs=1e-4)
    assert "pose IoU" in drift.line()
    assert "similarity" in drift.line()


def test_refusals() -> None:
    photo = textured(40, 40)
    with pytest.raises(FiceError, match="whole photo"):
        measure_drift(photo, photo, torch.ones(1, 40, 40))
    with pytest.raises(ValueError, match="mask"):
        measure_drift(photo, photo, torch.ones(1, 40, 41))


def test_no_pixel_of_a_heat_map_is_overlooked() -> None:
    levels = torch.zeros(2100, 64)
    levels[777, 33] = 40
    heat = heat_map(levels, torch.zeros(3, 2100, 64), None)
    assert heat.shape == (3, 700, 22)
    assert heat[:, 259, 11].mean() > 0.7
    outside = torch.ones(2100, 64, dtype=torch.bool)
    outside[770:790, 20:50] = False
    hidden = heat_map(levels, torch.ones(3, 2100, 64), outside)
    assert hidden[:, 259, 11].unique().numel() == 1  # the photo, grey
