"""Backgrounds that the generator can produce, and the photo's background put back."""

import torch
from toys import toy_models

from fice_core.extraction.background import (
    generator_background,
    is_out_of_domain,
    replace_background,
)
from fice_core.framing import Frame
from fice_core.networks.segmenter import Regions
from fice_core.stitching.background import Scenery


def regions(person: torch.Tensor) -> Regions:
    return Regions(1 - person, person, torch.zeros_like(person))


def square(size: int = 16, first: int = 5, last: int = 11) -> torch.Tensor:
    person = torch.zeros(1, 1, size, size)
    person[..., first:last, first:last] = 1.0
    return person


def test_another_background_is_out_of_domain_and_another_person_is_not() -> None:
    person = square()
    photo = torch.full((1, 3, 16, 16), 0.5)
    dressed = photo + 0.5 * person
    outdoors = photo + torch.tensor([0.3, -0.3, 0.0]).view(1, 3, 1, 1) * (1 - person)
    assert is_out_of_domain(photo, dressed, regions(person)).tolist() == [[[[False]]]]
    assert is_out_of_domain(photo, outdoors, regions(person)).tolist() == [[[[True]]]]


def test_only_the_background_is_replaced() -> None:
    person = square()
    photo = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    wall = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    shown = replace_background(photo, regions(person), wall)
    assert torch.equal(shown * person, photo * person)
    assert torch.allclose(shown * (1 - person), wall * (1 - person))


def test_the_generators_background_is_a_colour_and_computed_once() -> None:
    models = toy_models()
    first = generator_background(models.generator, models.segmenter)
    assert first.shape == (1, 3, 1, 1)
    assert generator_background(models.generator, models.segmenter) is first


def test_scenery_continues_smoothly_behind_the_person() -> None:
    """A ramp is harmonic: the part behind the person is reconstructed exactly."""
    ramp = torch.linspace(0.2, 0.8, 16).expand(1, 3, 16, 16)
    person = square()
    photo = torch.where(person > 0, 0.0, ramp)
    scenery = Scenery.of(photo, regions(person), regions(person))
    torch.testing.assert_close(scenery.behind, ramp, atol=2e-3, rtol=0)


def test_put_back_uses_the_photo_where_neither_image_has_a_person() -> None:
    frame = Frame.around((48, 48), (16, 16))
    wide, narrow = square(16, 4, 12), square(16, 6, 10)
    scene = torch.linspace(0.2, 0.6, 48).expand(1, 3, 48, 48)
    photo = torch.where(frame.restore(wide) > 0.5, 1.0, scene)
    generated = torch.where(frame.restore(narrow) > 0.5, 0.9, torch.tensor(0.0))
    generated = generated.expand(1, 3, 48, 48)
    scenery = Scenery.of(frame.fit(photo), regions(wide), regions(narrow))
    result = scenery.put_back(generated, photo, frame)
    # The garment stays; far from both persons the photo shows; where the person became narrower
    # the scene goes on, and the generator's black wall is nowhere to be seen.
    assert (result[..., 22:26, 22:26] > 0.85).all()
    torch.testing.assert_close(result[..., :6, :], photo[..., :6, :], atol=1e-3, rtol=0)
    beside = result[..., 20:28, 14:16]
    torch.testing.assert_close(beside, scene[..., 20:28, 14:16], atol=0.06, rtol=0)
