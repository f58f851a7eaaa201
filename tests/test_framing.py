"""Frames: boxes of any kind, from the photo to the frame and back."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from fice_core.errors import FiceError
from fice_core.framing import Frame
from fice_core.ops.resize import enlarge


def ramps(height: int, width: int) -> torch.Tensor:
    """An image whose values are the coordinates of its pixels: (1, 2, H, W), x and y of the centre."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y])[None].float()


def test_a_box_grows_to_the_generators_aspect_ratio_around_its_centre() -> None:
    square = Frame.covering((100, 200), (64, 64), (20, 10, 60, 30))
    assert square.box == (20, 0, 60, 40)
    tall = Frame.covering((100, 200), (64, 32), (20, 10, 60, 30))
    assert tall.box == (20, -20, 60, 60)
    assert tall.padding == (0, 0, 20, 0)
    assert tall.inside == (20, 0, 60, 60)
    assert tall.scale == pytest.approx(64 / 80)


@given(
    box=st.tuples(st.integers(-20, 90), st.integers(-20, 90), st.integers(1, 300)),
    resolution=st.sampled_from([(32, 32), (64, 32), (96, 64)]),
    multiple=st.sampled_from([1, 8, 16, 32, 64]),
)
def test_an_aligned_frame_has_the_sides_that_editors_need(
    box: tuple[int, int, int], resolution: tuple[int, int], multiple: int
) -> None:
    left, top, side = box
    corners = (left, top, left + side, top + side)
    if left + side <= 0 or top + side <= 0:
        return
    frame = Frame.covering((100, 100), resolution, corners)
    aligned = frame.aligned(multiple)
    wide, tall = aligned.box[2] - aligned.box[0], aligned.box[3] - aligned.box[1]
    assert wide % multiple == tall % multiple == 0
    assert tall * resolution[1] == wide * resolution[0]
    assert all(a <= b for a, b in zip(aligned.box[:2], frame.box[:2], strict=True))
    assert all(a >= b for a, b in zip(aligned.box[2:], frame.box[2:], strict=True))
    centre = [(aligned.box[k] + aligned.box[k + 2]) / 2 for k in (0, 1)]
    before = [(frame.box[k] + frame.box[k + 2]) / 2 for k in (0, 1)]
    assert max(abs(a - b) for a, b in zip(centre, before, strict=True)) <= 0.5


def test_the_enlargement_is_the_least_whole_factor() -> None:
    frame = Frame((600, 600), (64, 64), (0, 0, 500, 500))  # a quarter of a megapixel
    assert [frame.enlargement(n) for n in (0, 0.25, 0.26, 1, 1.01, 2.25)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_an_enlarged_crop_comes_back(factor: int) -> None:
    photo = torch.rand(1, 3, 60, 70, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3
    photo = photo.clamp(0, 1)  # black and white beside each other, too
    frame = Frame.covering((60, 70), (32, 32), (10, -4, 50, 36)).aligned(8)
    large = enlarge(frame.crop(photo), factor)
    assert large.min() >= 0 and large.max() <= 1
    assert large.shape[-1] == factor * (frame.box[2] - frame.box[0])
    assert torch.equal(frame.paste(large, photo), photo)
    changed = large.clone()
    changed[..., factor * 8 : factor * 9, factor * 12 : factor * 13] += (
        0.1  # one pixel of the photo
    )
    assert ((frame.paste(changed, photo) != photo).sum(1)[0] > 0).sum() == 1


@pytest.mark.parametrize("box", [(200, 0, 240, 40), (-40, 0, 0, 40), (0, 100, 40, 140)])
def test_a_box_outside_of_the_image_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(FiceError, match="outside of the image, which has 200 x 100"):
        Frame.covering((100, 200), (64, 64), box)


@pytest.mark.parametrize("box", [(40, 10, 40, 30), (60, 10, 20, 30), (0, 30, 40, 10)])
def test_an_empty_box_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(FiceError, match="is empty"):
        Frame.covering((100, 200), (64, 64), box)


def test_cut_and_crop_by_hand() -> None:
    photo = torch.arange(12.0).view(1, 1, 3, 4)
    frame = Frame((3, 4), (4, 4), (2, -1, 6, 3))
    assert frame.cut(photo).tolist() == [[[[2, 3], [6, 7], [10, 11]]]]
    assert frame.crop(photo)[0, 0].tolist() == [
        [2, 3, 3, 3],
        [2, 3, 3, 3],
        [6, 7, 7, 7],
        [10, 11, 11, 11],
    ]


@given(
    left=st.integers(-30, 150),
    top=st.integers(-30, 80),
    side=st.integers(16, 160),
    resolution=st.sampled_from([(32, 32), (64, 32), (128, 128)]),
)
@example(left=0, top=-14, side=16, resolution=(32, 32))  # two rows inside: nothing to compare
def test_coordinates_return_within_half_a_pixel(
    left: int, top: int, side: int, resolution: tuple[int, int]
) -> None:
    size = (120, 190)
    try:
        frame = Frame.covering(size, resolution, (left, top, left + side, top + side))
    except FiceError:
        return  # outside
    places = ramps(*size)
    back = frame.restore(frame.fit(places))
    # The outermost blocks of the reduced image, and what is repeated beyond the photo, have nothing
    # on one side to be interpolated with.
    block = int(2 / min(frame.scale, 1)) + 1
    x0, y0, x1, y1 = frame.inside
    inner = (..., slice(y0 + block, max(y1 - block, 0)), slice(x0 + block, max(x1 - block, 0)))
    if back[inner].numel():
        assert (back[inner] - places[inner]).abs().max() < 0.5
    outside = torch.ones(size, dtype=torch.bool)
    outside[y0:y1, x0:x1] = False
    assert (back[0, :, outside] == 0).all()


@given(left=st.integers(-20, 60), top=st.integers(-20, 60), side=st.integers(8, 90))
def test_an_unaltered_crop_is_pasted_back_bit_for_bit(left: int, top: int, side: int) -> None:
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(side))
    try:
        frame = Frame.covering((64, 64), (32, 32), (left, top, left + side, top + side))
    except FiceError:
        return
    assert torch.equal(frame.paste(frame.crop(photo), photo), photo)


def test_paste_changes_only_the_masked_area() -> None:
    photo = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    frame = Frame((40, 60), (16, 16), (30, 10, 50, 30))
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 5:10, 5:10] = 1.0
    result = frame.paste(torch.full((1, 3, 20, 20), 0.5), photo, mask)
    changed = torch.zeros(40, 60, dtype=torch.bool)
    changed[15:20, 35:40] = True
    assert (result[0, :, changed] == 0.5).all()
    assert torch.equal(result[0, :, ~changed], photo[0, :, ~changed])
    with pytest.raises(ValueError, match="for a frame"):
        frame.paste(torch.zeros(1, 3, 20, 20), photo[..., 1:])


@pytest.mark.parametrize("size", [(8, 8), (30, 20), (17, 40), (64, 64)])
@pytest.mark.parametrize("resolution", [(8, 8), (16, 8)])
def test_a_frame_gives_back_what_it_took(size, resolution):
    frame = Frame.around((max(size[0], 16), max(size[1], 16)), resolution)
    constant = torch.full((1, 3, *frame.size), 0.25)
    framed = frame.fit(constant)
    assert framed.shape == (1, 3, *resolution)
    restored = frame.restore(framed)
    assert restored.shape == constant.shape
    torch.testing.assert_close(restored, constant)
    # The same proportions as the generator's, up to rounding: nothing is squeezed.
    left, right, top, bottom = frame.padding
    height, width = frame.size[0] + top + bottom, frame.size[1] + left + right
    assert height / width == pytest.approx(resolution[0] / resolution[1], rel=0.07)
    assert 0 in (left + right, top + bottom)


def test_images_of_the_right_size_are_not_touched():
    frame = Frame.around((16, 16), (16, 16))
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert frame.fit(images) is images
    assert torch.equal(frame.restore(images), images)
