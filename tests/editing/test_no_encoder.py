"""Edits with models that have no encoder: library, command line and report."""

import json
from dataclasses import replace

import pytest
import torch
from command import fice
from tiny_models import SIZE, write_models
from toys import BLIND, ToyDensePose, toy_models

from fice_core.editing.pipeline import edit
from fice_core.errors import FiceError
from fice_core.images import read_image, write_image
from fice_core.models import load_models
from fice_core.settings import EditSettings

SETTINGS = EditSettings(
    steps=2, search_steps=5, start_candidates=0, framing="whole", backdrop="auto"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    write_models(path)
    (path / "encoder.safetensors").unlink()
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_image(path, torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(2)))
    return path


def test_the_search_is_a_phase_of_the_edit(folder, photo):
    models = load_models(folder)
    assert models.load_encoder is None
    seen = []
    result = edit(
        models, read_image(photo)[None], ["a red shirt", "a blue shirt"], SETTINGS, seen.append
    )
    assert [step.phase for step in seen[:8]] == ["start"] * 8  # random images, eight at once
    seen = seen[8:]
    phases = [step.phase for step in seen]
    searched = phases.count("search")
    assert phases == ["search"] * searched + ["edit"] * 2
    assert searched in (5, 6)  # 6 if the background was exchanged
    assert [step.index for step in seen[:searched]] == [*range(searched)]
    assert result.trace.search.total.shape == (5, 2)  # of both prompts' photo
    assert [name for name, _ in result.trace.preparations()] == ["search"]
    assert result.images.isfinite().all()


def test_an_encoder_is_not_searched(folder, photo):
    models = replace(load_models(folder), load_encoder=load_models("demo").load_encoder)
    with pytest.raises(FiceError, match="trained for this generator"):
        edit(models, read_image(photo)[None], "a red shirt", SETTINGS)


def test_what_needs_an_encoder_says_so(folder):
    with pytest.raises(FiceError, match="no encoder"):
        load_models(folder).encoder()


def test_the_command_edits_without_one(folder, photo, tmp_path):
    report = tmp_path / "report.json"
    result = fice("edit", photo, "--prompt", "a red shirt", "-o", tmp_path / "out.png",
                  "--models", folder, "--steps", 2, "--search-steps", 4, "--report", report)  # fmt: skip
    assert result.exit_code == 0, result.output
    entry = json.loads(report.read_text())["edits"][0]
    assert entry["search"]["steps"] == 4
    assert read_image(tmp_path / "out.png").shape == (3, SIZE, SIZE)


def test_the_same_seed_gives_the_same_bytes(folder, photo):
    models = load_models(folder)
    first, second = (
        edit(models, read_image(photo)[None], "a red shirt", SETTINGS).generated for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("steps", [0, 1, -3])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(FiceError, match="search_steps"):
        EditSettings(search_steps=steps)


class SeesBacks(ToyDensePose):
    """The toy's person, turned around."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)[:, [1, 0, *range(2, 14)]]


def test_what_is_known_before_the_search_is_told_before_it(no_image_is_unknown):
    models = replace(toy_models(), load_encoder=None, densepose=SeesBacks())
    settings = replace(BLIND, steps=1, search_steps=4, start_candidates=0)
    heard = []
    photo = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    result = edit(models, photo, "one", settings, lambda step: heard.append(step.phase),
                  on_warning=heard.append)  # fmt: skip
    assert heard[0].startswith("image 1 shows the person from behind")
    assert heard[1:] == ["start"] * 8 + ["search"] * 4 + ["edit"]
    assert heard[0] in result.warnings
