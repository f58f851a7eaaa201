"""The whole method on toy networks: pairing, stitching, warnings, interruption, loading."""

from dataclasses import replace

import pytest
import torch
from toys import BLIND, SIZE, toy_generator, toy_models

from fice_core.editing.pipeline import edit
from fice_core.editing.result import EditInterrupted
from fice_core.errors import FiceError
from fice_core.framing import Frame
from fice_core.settings import EditSettings

pytestmark = pytest.mark.usefixtures("no_image_is_unknown")

FAST = BLIND
PHOTO = 24


def photos(count: int = 2, height: int = PHOTO, width: int = PHOTO) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("size", [(24, 24), (24, 40), (40, 25)])
def test_the_edit_changes_the_mask_and_nothing_else(outer, size):
    with torch.inference_mode(outer):
        images = photos(2, *size)
        original = images.clone()
        result = edit(toy_models(), images, "a red shirt", FAST)
    assert torch.equal(images, original)
    assert result.images.shape == images.shape
    assert result.edit_mask.shape == (2, 1, *size)
    outside = (result.edit_mask == 0).expand_as(images)
    assert 0.2 < outside.float().mean() < 0.95
    assert torch.equal(result.images[outside], images[outside])
    assert not torch.equal(result.images[~outside], images[~outside])
    assert result.generated.shape == result.initial.shape == (2, 3, SIZE, SIZE)
    assert result.steps == result.trace.steps == 5
    assert result.stopped == "steps"
    assert result.warnings == ()


def test_inside_the_mask_is_the_generated_image_at_its_own_size():
    images = photos(1, SIZE * 2, SIZE * 2)
    result = edit(toy_models(), images, "a red shirt", FAST)
    full = (result.edit_mask == 1).expand_as(images)
    assert full.any()
    enlarged = Frame.around((SIZE * 2, SIZE * 2), (SIZE, SIZE)).restore(result.generated)
    assert torch.equal(result.images[full], enlarged[full])


@pytest.mark.parametrize(
    ("count", "prompts", "pairs"),
    [
        (2, ["one"], [(0, 0), (1, 0)]),
        (1, ["one", "two"], [(0, 0), (0, 1)]),
        (2, ["one", "two"], [(0, 0), (1, 1)]),
    ],
)
def test_photos_and_prompts_pair_up(count, prompts, pairs):
    models, images = toy_models(), photos(count)
    together = edit(models, images, prompts, FAST)
    assert len(together.images) == len(pairs)
    for row, (photo, prompt) in enumerate(pairs):
        alone = edit(models, images[photo : photo + 1], prompts[prompt], FAST)
        torch.testing.assert_close(together.images[row], alone.images[0])


@pytest.mark.parametrize(
    ("count", "prompts", "message"),
    [
        (2, ["a", "b", "c"], "2 images and 3 prompts do not pair up"),
        (3, ["a", "b"], "3 images and 2 prompts do not pair up"),
        (1, [], "there are no prompts"),
        (1, "", "the prompt is empty"),
        (2, ["a shirt", "  "], "the prompt is empty"),
    ],
)
def test_prompts_that_do_not_fit(count, prompts, message):
    with pytest.raises(FiceError, match=message):
        edit(toy_models(), photos(count), prompts, FAST)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10, 10_000), (15, 15)])
def test_images_that_cannot_show_a_person(height, width):
    with pytest.raises(FiceError, match=f"the image is {width} x {height} pixels"):
        edit(toy_models(), torch.zeros(1, 3, height, width), "a shirt", FAST)


def test_no_images_and_wrong_layouts():
    with pytest.raises(FiceError, match="no image"):
        edit(toy_models(), torch.zeros(0, 3, 24, 24), "a shirt", FAST)
    with pytest.raises(ValueError, match="must be"):
        edit(toy_models(), torch.zeros(1, 24, 24, 3), "a shirt", FAST)
    with pytest.raises(ValueError, match="floating point"):
        edit(toy_models(), torch.zeros(1, 3, 24, 24, dtype=torch.uint8), "a shirt", FAST)


def test_unknown_words_are_named_once():
    result = edit(toy_models(), photos(), ["a xyzzy shirt", "a xyzzy shirt"], FAST)
    assert len(result.warnings) == 1
    assert "xyzzy" in result.warnings[0]


def test_a_mask_of_ones_own_restricts_the_edit():
    models, images = toy_models(), photos(2)
    left = torch.zeros(1, 1, PHOTO, PHOTO)
    left[..., : PHOTO // 2] = 1
    for stitch in ("mask", "head", "none"):
        result = edit(models, images, "a red shirt", replace(FAST, stitch=stitch), mask=left)
        assert torch.equal(result.images[..., PHOTO // 2 :], images[..., PHOTO // 2 :])
        assert (result.edit_mask[..., PHOTO // 2 :] == 0).all()
        assert (result.edit_mask[..., : PHOTO // 2] > 0).any()
    with pytest.raises(FiceError, match="the mask has shape"):
        edit(models, images, "a red shirt", FAST, mask=left[..., 1:])


def test_a_mask_off_the_garment_warns_that_nothing_changed():
    models, images = toy_models(), photos(2)
    corner = torch.zeros(2, 1, PHOTO, PHOTO)
    corner[0, ..., 0, 0] = 1
    corner[1] = 1
    result = edit(models, images, "a red shirt", FAST, mask=corner)
    assert torch.equal(result.images[0], images[0])
    before, after = result.warnings
    assert before.startswith("the mask of image 1 misses the garment")
    assert after.startswith("image 1 is unchanged")


@pytest.mark.parametrize("level", [1 / 255, 255 / 65535, 1e-4])
def test_a_faint_mask_on_the_garment_does_not_miss_it(level):
    faint = torch.full((1, 1, PHOTO, PHOTO), level)
    result = edit(toy_models(), photos(), "a red shirt", FAST, mask=faint)
    assert not [line for line in result.warnings if "misses" in line]
    faint[..., 1:, :] = 0
    faint[..., 1:] = 0
    result = edit(toy_models(), photos(), "a red shirt", FAST, mask=faint)
    assert [line for line in result.warnings if "misses" in line]


def test_a_mask_off_the_garment_is_told_before_the_first_step():
    corner = torch.zeros(1, 1, PHOTO, PHOTO)
    corner[..., 0, 0] = 1
    told: list[str] = []

    def on_step(step):
        assert told, "the first step came before the warning"

    models = toy_models()
    edit(
        models, photos(1), "a red shirt", FAST, on_step=on_step, mask=corner, on_warning=told.append
    )
    assert [line.partition(" of ")[0] for line in told] == ["the mask"]


def test_the_papers_stitch_brings_back_the_head_alone():
    models, images = toy_models(), photos(1, SIZE * 2, SIZE * 2)
    images = torch.nn.functional.interpolate(images, SIZE * 2)
    settings = replace(EditSettings.paper(), steps=5)
    result = edit(models, images, "a red shirt", settings)
    frame = Frame.around((SIZE * 2, SIZE * 2), (SIZE, SIZE))
    head = frame.restore(models.segmenter(frame.fit(images)).head)
    generated = frame.restore(result.generated)
    torch.testing.assert_close(result.images, head * images + (1 - head) * generated)
    torch.testing.assert_close(result.edit_mask, 1 - head)


def test_without_a_stitch_the_generated_image_is_returned():
    result = edit(toy_models(), photos(1), "a red shirt", replace(FAST, stitch="none"))
    assert (result.edit_mask == 1).all()


def test_a_generator_that_fails_leaves_the_photo():
    models = toy_models(toy_generator(poison=0.0))
    images = photos(1)
    result = edit(models, images, "a red shirt", FAST)
    assert torch.equal(result.images, images)
    assert any("NaN" in warning for warning in result.warnings)


def test_ctrl_c_leaves_an_edit():
    def on_step(step):
        if step.phase == "edit" and step.index == 2:
            raise KeyboardInterrupt

    models, images = toy_models(), photos(1)
    with pytest.raises(EditInterrupted) as caught:
        edit(models, images, "a red shirt", FAST, on_step=on_step)
    partial = caught.value.result
    assert isinstance(caught.value, KeyboardInterrupt)
    assert partial.steps == 3
    assert partial.stopped == "interrupt"
    assert partial.images.shape == images.shape
    outside = (partial.edit_mask == 0).expand_as(images)
    assert torch.equal(partial.images[outside], images[outside])


def test_a_mask_that_is_0_everywhere():
    with pytest.raises(FiceError, match="the mask is 0 everywhere"):
        edit(toy_models(), photos(1), "a shirt", FAST, mask=torch.zeros(1, 1, PHOTO, PHOTO))
