"""Pairing of photos, prompts, masks and frames before an edit; networks are toys."""

from dataclasses import replace

import pytest
import torch
from toys import BLIND, SIZE, toy_models

from fice_core.editing.prepare import PromptFeatures, prepare
from fice_core.errors import FiceError
from fice_core.framing import Frame

MODELS = toy_models()
SIDE = 2 * SIZE


def photos(count: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(count))


def prepared(count: int, prompts: list[str], settings=BLIND, mask=None, frames=None, source=""):
    with torch.no_grad():
        texts = PromptFeatures.of(MODELS.clip, prompts, "", source)
        return prepare(MODELS, photos(count), texts, settings, mask, frames, lambda step: None)


@pytest.mark.parametrize(
    ("count", "prompts", "photo_of", "prompt_of"),
    [
        (1, ["a"], [0], [0]),
        (3, ["a"], [0, 1, 2], [0, 0, 0]),
        (1, ["a", "b", "c"], [0, 0, 0], [0, 1, 2]),
        (2, ["a", "b"], [0, 1], [0, 1]),
    ],
)
def test_photos_and_prompts_pair_up(count, prompts, photo_of, prompt_of):
    found = prepared(count, prompts)
    assert found.photo_of == photo_of
    features = MODELS.clip.encode_text(prompts)
    torch.testing.assert_close(found.targets.text_features, features[prompt_of])
    for edit, photo in enumerate(photo_of):
        framed = Frame.around((SIDE, SIDE), (SIZE, SIZE)).fit(photos(count)[photo][None])
        torch.testing.assert_close(found.targets.images[edit], framed[0])
    assert len(found.targets) == len(found.frames) == len(found.replaced) == len(photo_of)


def test_numbers_that_do_not_pair_up():
    with pytest.raises(FiceError, match="2 images and 3 prompts"):
        prepared(2, ["a", "b", "c"])


def test_a_mask_is_cut_to_the_frame_and_limits_the_edit():
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., :SIZE] = 1  # the left half
    whole, half = prepared(2, ["a"]), prepared(2, ["a"], mask=mask)
    left = torch.zeros(1, 1, SIZE, SIZE)
    left[..., : SIZE // 2] = 1
    expected = 1 - (1 - whole.targets.keep_mask) * left
    torch.testing.assert_close(half.targets.keep_mask, expected)
    assert half.mask.shape == (2, 1, SIDE, SIDE)  # one row a photo
    assert whole.mask is None


def test_one_frame_serves_all_photos_and_others_pair_up():
    box = (0, 0, SIZE, SIZE)
    frame = Frame((SIDE, SIDE), (SIZE, SIZE), box)
    other = replace(frame, box=(SIZE, SIZE, SIDE, SIDE))
    assert prepared(2, ["a"], frames=[frame]).frames == [frame, frame]
    found = prepared(2, ["a"], frames=[frame, other])
    assert found.frames == [frame, other]
    assert torch.equal(found.framed[1], photos(2)[1, :, SIZE:, SIZE:])
    with pytest.raises(FiceError, match="2 images and 3 frames"):
        prepared(2, ["a"], frames=[frame, other, frame])


def test_a_frame_of_another_photo_or_generator_is_refused():
    for size, resolution in (((30, 30), (SIZE, SIZE)), ((SIDE, SIDE), (16, 16))):
        frame = Frame(size, resolution, (0, 0, 16, 16))
        with pytest.raises(FiceError, match="make it from these photos and this generator"):
            prepared(1, ["a"], frames=[frame])


def test_the_paper_keeps_what_is_no_body():
    found = prepared(1, ["a"], settings=replace(BLIND, stitch="head"))
    torch.testing.assert_close(found.targets.keep_mask, 1 - found.regions.body)


def test_a_source_text_gives_a_direction():
    assert prepared(1, ["a"]).targets.direction is None
    features = MODELS.clip.encode_text(["a", "worn"])
    found = prepared(1, ["a"], source="worn").targets.direction
    torch.testing.assert_close(found, features[:1] - features[1:])
