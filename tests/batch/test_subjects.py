"""Photo, mask and frame of a job, and the edit of a group of them."""

from typing import Any

import pytest
import torch
from toys import toy_models

from fice_core import editing
from fice_core.batch.editor import edit_group
from fice_core.batch.jobs import Job
from fice_core.batch.subjects import Subject, Subjects
from fice_core.errors import FiceError
from fice_core.framing import Frame
from fice_core.images.photo import Photo
from fice_core.persons import selection
from fice_core.settings import EditSettings, Framing

SIZE = (40, 50)
FRAME = Frame(SIZE, (8, 8), (0, 0, 40, 40))


def photo(value: float = 0.5, size: tuple[int, int] = SIZE) -> Photo:
    return Photo(torch.full((3, *size), value))


class Files(dict[str, Photo]):
    """Images by name, in place of files; notes what is read."""

    def __init__(self, **images: Photo) -> None:
        super().__init__(images)
        self.asked: list[str] = []

    def read(self, name: str) -> Photo:
        self.asked.append(name)
        return self[name]


def subjects_of(files: Files, framing: Framing) -> Subjects:
    """Subjects whose masks are the brightness of images."""
    return Subjects(files.read, lambda name: files.read(name).pixels.mean(dim=0), framing)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the two functions that find frames are asked for; they return `FRAME`."""
    calls: list[tuple[Any, ...]] = []

    def choose(generator: object, segmenter: object, pixels: object, *rest: Any) -> Frame:
        calls.append(rest)
        return FRAME

    def frame(generator: object, segmenter: object, pixels: object, **rest: Any) -> Frame:
        calls.append((rest["mask"], rest["box"]))
        return FRAME

    monkeypatch.setattr(selection, "choose_frame", choose)
    monkeypatch.setattr(selection, "frame_person", frame)
    return calls


@pytest.mark.parametrize(
    ("framing", "person", "call"),
    [
        ("whole", None, ("whole", 0)),
        ("auto", None, ("auto", 0)),
        ("person", 2, ("person", 2)),
        ("whole", 0, ("auto", 0)),  # a person is asked for
        ("whole", 1, ("auto", 1)),
    ],
)
def test_frames_by_framing_and_person(
    asked: list[Any], framing: Framing, person: int | None, call: tuple[str, int]
) -> None:
    job = Job("a", "red", person=person)
    subject = subjects_of(Files(a=photo()), framing).read(job, toy_models())
    assert subject.frame is FRAME
    assert subject.mask is None
    assert asked == [call]


def test_frames_by_box_or_mask(asked: list[Any]) -> None:
    files, box = Files(a=photo(), m=photo(1.0)), (1, 2, 30, 40)
    subjects = subjects_of(files, "person")
    subjects.read(Job("a", "red", box=box), toy_models())
    assert asked == [(None, box)]
    subjects.read(Job("a", "red", person_mask="m"), toy_models())
    mask, none = asked[1]
    assert torch.equal(mask, torch.ones(1, 1, *SIZE))
    assert none is None


def test_a_frame_is_found_once(asked: list[Any]) -> None:
    subjects = subjects_of(Files(a=photo(), b=photo()), "auto")
    for prompt in ("red", "blue"):
        subjects.read(Job("a", prompt), toy_models())
    assert len(asked) == 1
    subjects.read(Job("b", "red"), toy_models())
    subjects.read(Job("a", "red", person=1), toy_models())
    assert len(asked) == 3


def test_a_mask_is_the_brightness_of_an_image(asked: list[Any]) -> None:
    image = photo(0.0)
    image.pixels[:, :10] = torch.tensor([0.0, 0.3, 0.9])[:, None, None]
    subject = subjects_of(Files(a=photo(), m=image), "auto").read(
        Job("a", "red", mask="m"), toy_models()
    )
    expected = torch.zeros(1, 1, *SIZE)
    expected[..., :10, :] = 0.4
    assert subject.mask is not None
    assert torch.allclose(subject.mask, expected)


def test_masks_that_cannot_be_used() -> None:
    files = Files(a=photo(), black=photo(0.0), small=photo(1.0, (10, 20)), good=photo(1.0))
    subjects = subjects_of(files, "auto")
    subjects.check(Job("a", "red", mask="good", person_mask="good"))
    with pytest.raises(FiceError, match="mask black is black everywhere"):
        subjects.check(Job("a", "red", mask="black"))
    with pytest.raises(FiceError, match="mask black is black everywhere"):
        subjects.check(Job("a", "red", person_mask="black"))
    with pytest.raises(FiceError, match="mask small has 20 x 10 pixels, but a has 50 x 40"):
        subjects.check(Job("a", "red", mask="small"))


def test_a_photo_without_a_person_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "find_persons", lambda *_: [])
    subjects = subjects_of(Files(a=photo()), "person")
    with pytest.raises(FiceError, match=r"^a: no person"):
        subjects.read(Job("a", "red"), toy_models())


def test_jobs_of_one_subject_are_edits_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(editing, "edit", lambda *args, **others: calls.append((args, others)))
    models, settings = toy_models(), EditSettings(steps=1)
    mask = torch.ones(1, 1, *SIZE)
    one, two = Subject(photo(0.1), mask, FRAME), Subject(photo(0.2), mask / 2, FRAME)
    jobs = [Job("a", "red", negative="hat", worn="top"), Job("a", "blue"), Job("b", "red")]

    edit_group(models, settings, [(jobs[0], one), (jobs[1], one)])
    (_, images, prompts, _, _), others = calls.pop()
    assert images.shape == (1, 3, *SIZE)
    assert prompts == ["red", "blue"]
    assert torch.equal(others["mask"], mask)
    assert others["frames"] == [FRAME]
    assert (others["negative"], others["source"]) == ("hat", "top")

    edit_group(models, settings, [(jobs[0], one), (jobs[2], two)])
    (_, images, prompts, _, _), others = calls.pop()
    assert images[:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.2])
    assert prompts == ["red", "red"]
    assert others["mask"][:, 0, 0, 0].tolist() == [1, 0.5]
    assert others["frames"] == [FRAME, FRAME]
