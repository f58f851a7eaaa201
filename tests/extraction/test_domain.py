"""Images that the models do not know are told before the optimisation."""

import math

import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st

from fice_core.demo import figure, people
from fice_core.editing.pipeline import edit
from fice_core.extraction.domain import (
    KNOWN,
    reconstruction_error,
    seen_from_behind,
    usual_error,
)
from fice_core.models import Models, load_models
from fice_core.settings import EditSettings

QUICK = EditSettings(steps=1, start_candidates=0)


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models("demo", device="cpu")


def halves() -> torch.Tensor:
    """Left half 0.2, right half 0.8: the contrast is 0.3."""
    image = torch.full((1, 3, 64, 64), 0.2)
    image[..., 32:] = 0.8
    return image


def test_the_error_by_hand() -> None:
    image, everywhere = halves(), torch.ones(1, 1, 64, 64)
    assert float(reconstruction_error(image, image, everywhere)) == 0
    # wrong by 0.3 everywhere; and the mean in place of the image explains nothing
    assert float(reconstruction_error(image, image + 0.3, everywhere)) == pytest.approx(1)
    mean = torch.full_like(image, 0.5)
    assert float(reconstruction_error(image, mean, everywhere)) == pytest.approx(1)


def test_only_the_person_counts_and_plain_dark_clothes_are_no_contrast() -> None:
    image, left = halves(), torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    wrong_wall = image.clone()
    wrong_wall[..., 32:] = 0
    assert float(reconstruction_error(image, wrong_wall, left)) == 0
    # within the left half there is no contrast: the error counts against the least one, 0.1
    assert float(reconstruction_error(image, image + 0.05, left)) == pytest.approx(0.5)
    assert float(reconstruction_error(image, image + 0.05, torch.zeros_like(left))) == 0


@given(st.floats(0.3, 1.0), st.floats(-0.1, 0.1))
def test_the_error_has_no_unit(contrast: float, offset: float) -> None:
    """An image of less contrast with as much less an error is known as well; from the least contrast on."""
    rng = torch.Generator().manual_seed(0)
    image = 0.5 + 0.9 * (torch.rand(1, 3, 32, 32, generator=rng).round() - 0.5)
    rebuilt = image + 0.1 * torch.randn(image.shape, generator=rng)
    person = torch.ones(1, 1, 32, 32)
    once = float(reconstruction_error(image, rebuilt, person))
    scaled = [0.5 + offset + contrast * (x - 0.5) for x in (image, rebuilt)]
    assert float(reconstruction_error(*scaled, person)) == pytest.approx(once, rel=1e-3)


def test_each_image_has_its_own_error() -> None:
    image, everywhere = halves(), torch.ones(2, 1, 64, 64)
    two, rebuilt = torch.cat([image, image]), torch.cat([image, image + 0.15])
    found = reconstruction_error(two, rebuilt, everywhere).tolist()
    assert found[0] == 0 and math.isclose(found[1], 0.5, rel_tol=1e-4)


def test_the_models_know_their_own_kind(models: Models) -> None:
    assert usual_error(models.generator, models.load_encoder(), models.segmenter) < KNOWN
    images = torch.cat([figure(seed)[0] for seed in range(700, 708)])
    assert edit(models, images, "a red shirt", QUICK).warnings == ()


def test_others_are_told_before_the_first_step(models: Models) -> None:
    heard: list[str] = []
    person = people.figure(people.FIRST)[0]
    result = edit(
        models,
        person,
        "a red shirt",
        QUICK,
        on_step=lambda step: heard.append("step"),
        on_warning=heard.append,
    )
    assert heard[1:] == ["step"] and heard[0].startswith("image 1 is unlike the images")
    assert heard[0] in result.warnings


def test_of_several_images_only_the_unknown_ones_are_told(models: Models) -> None:
    photo = torch.from_numpy(skimage.data.astronaut()).movedim(-1, 0)[None].float() / 255
    known = torch.nn.functional.interpolate(figure(710)[0], size=photo.shape[2:])
    result = edit(models, torch.cat([known, photo]), "a red shirt", QUICK)
    assert [line[:7] for line in result.warnings] == ["image 2"]


def test_a_back_is_told_from_a_chest() -> None:
    parts = torch.zeros(4, 14, 10, 10)
    parts[0, 0, 2:8, 2:8] = 0.9  # the back
    parts[1, 1, 2:8, 2:8] = 0.9  # the chest
    parts[1, 0, 2:4, 2:8] = 0.8
    parts[2, 0] = 0.05  # nothing that is sure
    assert [line[:7] for line in seen_from_behind(parts)] == ["image 1"]
    assert seen_from_behind(parts[1:]) == []
