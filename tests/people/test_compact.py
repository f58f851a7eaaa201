"""Portraits at any size, and what a gallery keeps of a record."""

import numpy as np
import pytest

from fice_core.people.attributes import Texture
from fice_core.people.classes import FACE, LOWER, UPPER
from fice_core.people.compact import compacted, from_bytes, to_bytes
from fice_core.people.compose import compose
from fice_core.people.maths import Array
from fice_core.people.portrait import NO_PANEL, cloth_coordinates, portrait, resampled
from fice_core.people.record import UV_STEP, Record

SIZE = 32
STRIPED = Texture(np.array([0.7, 0.1, 0.1]), np.full(3, 0.9), np.eye(8)[1], 2.0, np.zeros(2), 0.0)
PLAIN = Texture(np.array([0.2, 0.2, 0.5]), np.zeros(3), np.zeros(8), 1.0, np.zeros(2), 0.0)


def dressed_square() -> Record:
    """A flat garment whose coordinates are the pixels' places at 4 mm each, above a lower one."""
    n = 3 * SIZE
    y, x = np.meshgrid(*[(np.arange(n) + 0.5) / 3] * 2, indexing="ij")
    classes = np.zeros((n, n), np.uint8)
    classes[:18] = FACE
    inside = (np.abs(x - 16) < 10) & (y > 6)
    classes[inside & (y < 22)] = UPPER
    classes[inside & (y >= 22)] = LOWER
    cloth = classes >= UPPER
    uv = np.stack([0.004 * (x - 16), 0.004 * (30 - y)], -1)[cloth].astype(np.float32)
    panel = np.where(classes[cloth] == LOWER, 133, 0).astype(np.uint8)
    cover = cloth.reshape(SIZE, 3, SIZE, 3).mean((1, 3))[..., None].astype(np.float32)
    return Record(
        rest=0.5 * (1 - cover) * np.ones(3, np.float32),
        light=0.8 * cover * np.ones(3, np.float32),
        classes=classes,
        parts=np.where(cover[..., 0] > 0.5, 2, 0).astype(np.uint8),
        cloth=cloth,
        panel=panel,
        uv=uv,
        joints=np.arange(8, dtype=np.float32).reshape(4, 2),
        code=np.ones(5, np.float32),
    )


def test_pixels_take_the_mean_coordinates_of_their_panel() -> None:
    panel, uv = cloth_coordinates(dressed_square())
    assert panel[10, 16] == 0 and panel[25, 16] == 133 and panel[2, 2] == NO_PANEL
    assert uv[10, 16] == pytest.approx([0.004 * 0.5, 0.004 * 19.5], abs=1e-6)


def test_what_is_kept_composes_as_before() -> None:
    record = dressed_square()
    half = compacted(record).record()
    assert half.size == SIZE // 2
    inner = (slice(4, 10), slice(7, 13))
    for top, worst, mean in ((PLAIN, 0.02, 0.005), (STRIPED, 0.15, 0.03)):
        before = resampled(compose(record, top, PLAIN), SIZE // 2)[inner]
        after = compose(half, top, PLAIN)[inner]
        # at the stripes' edges nine places a pixel stand for thirty-six
        assert np.abs(after - before).max() < worst
        assert np.abs(after - before).mean() < mean
    assert half.joints == pytest.approx(record.joints / 2)


def test_bytes_keep_what_is_kept() -> None:
    kept = compacted(dressed_square())
    again = from_bytes(to_bytes(kept))
    for name in ("classes", "parts", "panel", "joints", "code"):
        assert np.array_equal(getattr(again, name), getattr(kept, name)), name
    assert np.abs(again.uv - kept.uv).max() <= UV_STEP / 2 + 1e-7
    assert again.rest == pytest.approx(kept.rest, abs=0.01)
    assert again.light == pytest.approx(kept.light, abs=0.02)
    assert to_bytes(kept) == to_bytes(compacted(dressed_square()))


def test_a_portrait_shows_the_upper_garment_alone() -> None:
    record = dressed_square()
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    who = portrait(record, image)
    assert who.panel[10, 16] == 0 and who.panel[25, 16] == NO_PANEL
    assert who.region("garment")[10, 16] == 1 and who.region("garment")[25, 16] == 0
    assert who.coverage.sum(0) == pytest.approx(1)


@pytest.mark.parametrize("size", [8, 12, 32, 50])
def test_resampling_keeps_constants_and_means(size: int) -> None:
    values = np.random.default_rng(0).random((32, 32, 2))
    constant: Array = resampled(np.full((32, 32, 1), 0.3), size)
    assert constant == pytest.approx(0.3)
    if 32 % size == 0:
        k = 32 // size
        mean = values.reshape(size, k, size, k, 2).mean((1, 3))
        assert resampled(values, size) == pytest.approx(mean, abs=1e-6)
