"""Photographs of any size: a person is framed, edited, and put back, and nothing else changes.

scikit-image ships a photograph of a person; the others are drawn. Few steps, since what is tested is
everything around the optimisation.
"""

from dataclasses import replace

import pytest
import skimage.data
import torch

from fice_core.demo.scenes import scene
from fice_core.editing.pipeline import edit
from fice_core.errors import FiceError
from fice_core.models import Models, load_models
from fice_core.persons.search import find_persons
from fice_core.persons.selection import choose_frame, frame_person
from fice_core.settings import EditSettings

QUICK = EditSettings(steps=2, start_candidates=0)


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models("demo", device="cpu")


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("stitch", ["mask", "pyramid", "gradient"])
def test_a_photograph_of_a_real_person(
    models: Models, astronaut: torch.Tensor, stitch: str
) -> None:
    frame = frame_person(models.generator, models.segmenter, astronaut, box=(60, 0, 420, 400))
    settings = replace(QUICK, stitch=stitch)
    result = edit(models, astronaut, "a red shirt", settings, frames=[frame])
    assert result.images.shape == astronaut.shape
    outside = (result.edit_mask == 0).expand_as(astronaut)
    assert torch.equal(result.images[outside], astronaut[outside])
    assert result.images.isfinite().all() and 0 <= result.images.min() <= result.images.max() <= 1
    left, top, right, bottom = frame.inside
    beyond = torch.ones_like(outside)
    beyond[..., top:bottom, left:right] = False
    assert outside[beyond].all()


@pytest.mark.parametrize(
    ("size", "place"),
    [
        ((700, 1100), (600, 100, 560)),  # off centre
        ((800, 600), (-150, 250, 520)),  # partly out of the image
        ((1500, 1900), (900, 700, 400)),  # small
    ],
)
def test_only_the_garment_of_a_person_in_a_scene_changes(
    models: Models, size: tuple[int, int], place: tuple[int, int, int]
) -> None:
    made = scene(size, [place], seed=sum(place) % 50)
    photo = made.image
    result = edit(models, photo, "a red striped shirt", QUICK)
    assert result.images.shape == photo.shape
    changed = (result.images != photo).any(dim=1, keepdim=True)
    assert not (changed & (result.edit_mask == 0)).any()
    assert changed.sum() > 0.3 * (made.garment > 0.5).sum()
    # The head stays but for pixels on its outline, where hair lies over the shirt.
    assert (changed & (made.head > 0.9)).sum() < 0.02 * (made.head > 0.9).sum()
    left, top, side = place
    far = torch.ones_like(changed)
    far[
        ...,
        max(top - side // 4, 0) : top + 5 * side // 4,
        max(left - side // 4, 0) : left + 5 * side // 4,
    ] = False
    assert not (changed & far).any()


def test_of_two_people_only_the_chosen_one_changes(models: Models) -> None:
    made = scene((600, 1000), [(30, 100, 500), (580, 180, 400)], seed=8)
    found = find_persons(models.generator, models.segmenter, made.image)
    for index, person in enumerate(found):
        frame = choose_frame(models.generator, models.segmenter, made.image, "person", index)
        assert frame == person.frame
        result = edit(models, made.image, "a blue shirt", QUICK, frames=[frame])
        changed = (result.images != made.image).any(dim=1)[0]
        box = made.boxes[index]
        other = made.boxes[1 - index]
        assert changed[:, box[0] : box[2]].any()
        inner = slice(other[0] + 100, other[2] - 100)
        assert not changed[:, inner].any()


def test_a_photo_without_a_person_is_refused_before_any_work(models: Models) -> None:
    steps: list[int] = []
    with pytest.raises(FiceError, match="no person"):
        edit(
            models,
            scene((400, 600), [], seed=3).image,
            "a red shirt",
            QUICK,
            on_step=lambda step: steps.append(step.index),
        )
    assert steps == []
