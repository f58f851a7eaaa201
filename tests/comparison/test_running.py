"""Edits of a comparison with toy networks: files, seconds, failures, kills, workers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import BLIND, toy_models

from fice_core.comparison import running
from fice_core.comparison.editor import RivalEditor, Setup
from fice_core.comparison.folder import Folder, load_pair, set_out
from fice_core.comparison.methods import METHODS, Means, Method, chosen
from fice_core.comparison.names import edit_name
from fice_core.comparison.pairs import Pair, read_pairs
from fice_core.comparison.running import Run, run_method
from fice_core.comparison.scoring import row_of_run, rows_of_results
from fice_core.comparison.sources import Photos
from fice_core.errors import FiceError
from fice_core.images import read_image, write_image
from fice_core.models import Models
from fice_core.rivals.contract import Edited, Task

SIDE = 16
MEANS = Means(BLIND)


def load(device: str) -> Models:
    """In a worker too."""
    return toy_models()


def pairs(count: int = 3) -> list[Pair]:
    return [Pair(f"p{k}", f"a red shirt {k}") for k in range(count)]


def photos(count: int = 3) -> Photos:
    rng = np.random.default_rng(0)
    images = {
        f"p{k}": torch.from_numpy(rng.integers(60, 200, (3, SIDE, SIDE)) / 255).float()
        for k in range(count)
    }
    return Photos(dict.fromkeys(images, ""), images)


@pytest.fixture
def folder(tmp_path: Path, no_image_is_unknown: None) -> Folder:
    found = Folder(tmp_path / "comparison")
    set_out(found, photos(), pairs(), toy_models(), BLIND)
    return found


def run(folder: Folder, method: str, **options: object) -> dict[str, str]:
    setup = Setup(load, "cpu", 1, method, MEANS)
    given = {"at_once": 2, "workers": 1, "seconds": None, "models": toy_models()} | options
    return run_method(
        Run(method, given.pop("seconds")), folder, pairs(), setup, given.pop("models"), **given
    )


def test_what_is_set_out(folder: Folder) -> None:
    assert read_pairs(folder.pairs) == pairs()
    photo, mask = load_pair(folder, 1)
    assert torch.equal((255 * photo).round(), (255 * photos().image("p1")).round())
    assert mask.shape == (1, SIDE, SIDE)
    assert set(mask.unique().tolist()) == {0, 1}
    before = folder.photo(0).stat().st_mtime_ns
    set_out(folder, photos(), pairs(), toy_models(), BLIND)
    assert folder.photo(0).stat().st_mtime_ns == before
    with pytest.raises(FiceError, match="other pairs"):
        set_out(folder, photos(), pairs(2), toy_models(), BLIND)


def test_photos_without_a_person_are_left_out(
    tmp_path: Path, no_image_is_unknown: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, photo = set_out.__globals__["preparation_of"], photos().image("p1")

    def preparation_of(models: Models, images: torch.Tensor, *more: object) -> object:
        if torch.equal((255 * images[0]).round(), (255 * photo).round()):
            raise FiceError("no person was found")
        return real(models, images, *more)

    monkeypatch.setitem(set_out.__globals__, "preparation_of", preparation_of)
    found = Folder(tmp_path)
    without = set_out(found, photos(), pairs(), toy_models(), BLIND)
    assert without == {1: "no person was found"}
    monkeypatch.undo()
    assert run(found, "copy") == {}
    row = row_of_run(found, Run("copy"), "none", pairs(), {"0001.json": without[1]})
    assert sorted(row.images) == [0, 2]
    assert row.failed == without


def test_a_copy_is_the_photo_and_says_its_time(folder: Folder) -> None:
    assert run(folder, "copy") == {}
    place = folder.edits("copy")
    for number in range(3):
        said = json.loads((place / f"{number:04d}.json").read_text())
        assert said["steps"] == 0
        assert said["together"] == (2 if number < 2 else 1)
        for stitch in ("none", "mask"):
            assert (place / edit_name(stitch, number)).exists()
    row = row_of_run(folder, Run("copy"), "none", pairs(), {})
    assert sorted(row.images) == [0, 1, 2]


def test_fice_is_also_stitched_as_its_authors_do(folder: Folder) -> None:
    assert Setup(load, "cpu", 1, "fice", MEANS).stitches == ("none", "head", "mask")
    assert Setup(load, "cpu", 1, "styleclip", MEANS).stitches == ("none", "mask")
    assert Setup(load, "cpu", 1, "ours", MEANS).stitches == ("none", "mask")


class Counting:
    """A method that counts its edits, takes steps, and can be interrupted or fail."""

    steps = 5

    def __init__(self) -> None:
        self.taken: list[tuple[int, int | None]] = []
        self.end_at: int | None = None
        self.refuse = ""
        self.poison = False

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        if len(self.taken) == self.end_at:
            raise KeyboardInterrupt
        self.taken.append((len(task.prompts), steps))
        if self.refuse and self.refuse in task.prompts:
            raise FiceError("this prompt is refused")
        images = task.preparation.targets.images.clone()
        if self.poison:
            images[0] = torch.nan
        return Edited(images, task.preparation.targets.w_plus, steps or self.steps)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    rival = Counting()
    monkeypatch.setitem(METHODS, "counting", Method(lambda models, means: rival, iterates=True))
    return rival


def test_a_killed_run_continues(folder: Folder, counting: Counting) -> None:
    counting.end_at = 1
    with pytest.raises(KeyboardInterrupt):
        run(folder, "counting")
    counting.end_at = None
    done: list[int] = []
    assert run(folder, "counting", on_done=done.append) == {}
    assert counting.taken == [(2, None), (1, None)]  # the first group is not made again
    assert sum(done) == 3
    run(folder, "counting")
    assert len(counting.taken) == 2
    run(folder, "counting", restart=True)
    assert len(counting.taken) == 4


def test_other_settings_are_another_batch(folder: Folder, counting: Counting) -> None:
    run(folder, "counting")
    with pytest.raises(FiceError, match="number at once"):
        run(folder, "counting", at_once=3)


def test_a_failure_is_that_of_its_pair(folder: Folder, counting: Counting) -> None:
    counting.refuse = "a red shirt 1"
    assert run(folder, "counting") == {"0001.json": "this prompt is refused"}
    failed = {"0001.json": "this prompt is refused"}
    row = row_of_run(folder, Run("counting"), "none", pairs(), failed)
    assert sorted(row.images) == [0, 2]
    assert row.failed == {1: "this prompt is refused"}


def test_images_that_are_not_finite_are_failures(folder: Folder, counting: Counting) -> None:
    counting.poison = True
    failed = run(folder, "counting")
    assert failed == {
        "0000.json": "the generated image is not finite",
        "0002.json": "the generated image is not finite",
    }


def test_steps_that_fit_into_the_seconds(
    folder: Folder, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials of 1 and 5 steps take 3 and 7 s for two edits: 1 s before, half a second a step."""
    times = iter([0.0, 3.0, 10.0, 17.0])
    monkeypatch.setattr(running, "clock", lambda device: lambda: next(times))
    run(folder, "counting", seconds=4.25)
    assert counting.taken[:3] == [(2, 1), (2, 1), (2, 5)]
    assert counting.taken[3:] == [(2, 6), (1, 6)]  # (4.25 - 1) / 0.5
    run(folder, "counting", seconds=4.25)  # what was measured is kept
    assert len(counting.taken) == 5
    assert Run("counting", 4.25).name == "counting in 4.25 s"


def test_workers_give_the_same_bytes(folder: Folder) -> None:
    run(folder, "reconstruction")
    place = folder.edits("reconstruction")
    alone = {path.name: path.read_bytes() for path in place.glob("*.png")}
    run(folder, "reconstruction", workers=2, restart=True)
    assert {path.name: path.read_bytes() for path in place.glob("*.png")} == alone
    assert len(alone) == 6


def test_results_of_others_by_number_and_by_photo(folder: Folder, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    photo, _ = load_pair(folder, 0)
    write_image(results / "0000.png", 1 - photo)
    write_image(results / "p2.png", 1 - load_pair(folder, 2)[0])
    plain, stitched = rows_of_results(folder, "other", results, pairs(), toy_models(), BLIND)
    assert sorted(plain.images) == sorted(stitched.images) == [0, 2]
    assert plain.failed == stitched.failed == {1: "there is no result"}
    found = read_image(stitched.images[0])
    assert (found == photo).any()
    assert (found != photo).any()
    with pytest.raises(FiceError, match="no image of these pairs"):
        rows_of_results(folder, "other", tmp_path, pairs(), toy_models(), BLIND)


def test_methods_that_are_chosen() -> None:
    assert chosen(("ours", "copy"), MEANS) == ["copy", "ours"]
    everything = chosen((), MEANS)
    assert "styleclip" in everything
    assert not [name for name in everything if "own clip" in name]
    assert "styleclip own clip" in chosen((), replace(MEANS, own_clip="x"))
    for names in (("nobody",), ("tedigan own clip",)):
        with pytest.raises(FiceError, match=names[0]):
            chosen(names, MEANS)


def test_a_worker_that_cannot_build_its_method_says_so(folder: Folder) -> None:
    setup = Setup(load, "cpu", 1, "tedigan", replace(MEANS, trunk=str(folder.photo(0))))
    with pytest.raises(FiceError, match="PNG"):
        METHODS["tedigan"].build(toy_models(), setup.means)
    from fice_core.batch.editor import Work

    assert isinstance(RivalEditor(setup, toy_models()).answer(Work(0, (), {})), FiceError)
