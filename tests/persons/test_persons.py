"""Persons detected by the demonstration networks in scenes with known truth, and other selections."""

import pytest
import torch
from toys import SIZE, toy_models

from fice_core.demo.scenes import scene
from fice_core.errors import FiceError
from fice_core.framing import Frame
from fice_core.models import Models, load_models
from fice_core.networks.regions import Regions
from fice_core.networks.segmenter import CLASSES
from fice_core.persons.search import find_persons
from fice_core.persons.selection import choose_frame, frame_person


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models("demo", device="cpu")


def overlap(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(wide, 0) * max(tall, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (first, second)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize(
    ("size", "places"),
    [
        ((768, 1024), [(400, 256, 512)]),
        ((600, 900), [(40, 0, 600)]),
        ((700, 500), [(-160, 200, 500)]),  # partly out of the image
        ((900, 1200), [(800, 500, 150)]),  # small
        ((768, 1024), [(60, 168, 600), (620, 300, 380)]),
    ],
)
def test_all_persons_are_found_the_largest_first(
    models: Models, size: tuple[int, int], places: list[tuple[int, int, int]]
) -> None:
    made = scene(size, places, seed=places[0][2])
    found = find_persons(models.generator, models.segmenter, made.image)
    assert len(found) == len(places)
    for person, box in zip(found, made.boxes, strict=True):
        assert overlap(person.frame.box, box) > 0.6
        assert person.frame.size == size and person.frame.resolution == models.generator.resolution


def test_an_empty_scene_has_no_persons(models: Models) -> None:
    made = scene((500, 700), [], seed=3)
    assert find_persons(models.generator, models.segmenter, made.image) == []
    with pytest.raises(FiceError, match="no person"):
        choose_frame(models.generator, models.segmenter, made.image, "auto")


def test_a_body_without_a_head_is_refused_by_name(models: Models) -> None:
    """A photo that ends at the neck: nothing tells what must stay."""

    class Headless(torch.nn.Module):
        labels = CLASSES

        def __init__(self) -> None:
            super().__init__()
            self.nothing = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images: torch.Tensor) -> Regions:
            body = torch.zeros_like(images[:, :1])
            body[..., 20:, 30:90] = 1
            return Regions(1 - body, body, torch.zeros_like(body))

    with pytest.raises(FiceError, match="a body without a head was found in the image"):
        choose_frame(models.generator, Headless(), torch.rand(1, 3, 128, 128), "auto")


def test_an_image_that_one_person_fills_is_used_whole(models: Models) -> None:
    made = scene((256, 256), [(0, 0, 256)], seed=5)
    frame = choose_frame(models.generator, models.segmenter, made.image, "auto")
    assert frame == Frame.around((256, 256), models.generator.resolution)


def test_a_mask_selects_a_person(models: Models) -> None:
    made = scene((600, 1000), [(30, 100, 500), (580, 180, 400)], seed=8)
    marked = torch.zeros(1, 1, 600, 1000)
    marked[..., 400:500, 700:850] = 1.0  # on the smaller one's chest
    frame = frame_person(models.generator, models.segmenter, made.image, mask=marked)
    assert overlap(frame.box, made.boxes[1]) > 0.6


def test_the_template_is_fitted_to_the_mask_of_a_person_who_is_not_found(models: Models) -> None:
    made = scene((600, 1000), [(300, 100, 450)], seed=9)
    silhouette = ((made.body + made.head) > 0.5).float()
    nothing = torch.full_like(made.image, 0.5)
    frame = frame_person(models.generator, models.segmenter, nothing, mask=silhouette)
    assert overlap(frame.box, made.boxes[0]) > 0.6


def test_requests_that_cannot_be_framed_are_refused() -> None:
    models = toy_models()
    photo = torch.rand(1, 3, 200, 300, generator=torch.Generator().manual_seed(0))

    def frame(**how: object) -> Frame:
        return frame_person(models.generator, models.segmenter, photo, **how)  # type: ignore[arg-type]

    assert frame(box=(100, 50, 150, 100)).box == (100, 50, 150, 100)
    assert frame(box=(100, 50, 150, 100)).resolution == (SIZE, SIZE)
    assert frame(box=(-10_000, -10_000, 10_000, 10_000)) == frame(box=(0, 0, 300, 200))
    with pytest.raises(FiceError, match="20 pixels high"):
        frame(box=(100, 50, 120, 70))
    with pytest.raises(FiceError, match="outside"):
        frame(box=(400, 50, 450, 100))
    with pytest.raises(FiceError, match="mask of the person is empty"):
        frame(mask=torch.zeros(1, 1, 200, 300))
    with pytest.raises(FiceError, match="both"):
        frame(mask=torch.ones(1, 1, 200, 300), box=(0, 0, 100, 100))


def test_a_missing_person_is_refused(models: Models) -> None:
    made = scene((400, 600), [(100, 0, 400)], seed=11)
    with pytest.raises(FiceError, match="there is no person 1: 1 found"):
        choose_frame(models.generator, models.segmenter, made.image, "person", 1)
