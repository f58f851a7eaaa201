"""Options of settings: named like the fields, and None unless they are given."""

import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fice_core.checkpoints import load_generator, save
from fice_core.checkpoints.native import SOURCE_KEY
from fice_core.commands.options import DIRECTION_WEIGHT, directed, edit_options, settings_of
from fice_core.models import DEMO_WEIGHTS
from fice_core.settings import EditSettings, Preset

OTHERS = {"preset", "source", "clip", "clip_architecture", "device"}


def choices(*arguments: str) -> dict[str, Any]:
    """What a command with the common options is called with."""
    found: dict[str, Any] = {}

    @click.command()
    @edit_options
    def command(**given: Any) -> None:
        found.update(given)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found


def test_an_option_that_is_not_given_leaves_the_preset() -> None:
    given = choices()
    names = set(given) - OTHERS
    assert names <= {field.name for field in fields(EditSettings)}
    assert {given[name] for name in names} == {None}
    assert settings_of(given["preset"], **{name: given[name] for name in names}) == EditSettings()


def test_options_are_settings() -> None:
    line = "--preset paper --steps 3 --seed 4 --refine-steps 5 --tune-steps 6 --hold --frame person"
    line += " --garment lower --stitch none --execution eager"
    given = {name: value for name, value in choices(*line.split()).items() if name not in OTHERS}
    assert None not in given.values()
    assert settings_of("paper", **given) == replace(
        EditSettings.paper(),
        steps=3,
        seed=4,
        refine_steps=5,
        tune_steps=6,
        hold=True,
        framing="person",
        garment="lower",
        stitch="none",
        execution="eager",
    )


@pytest.mark.parametrize("preset", ["draft", "default", "photo", "paper"])
def test_settings_of_a_preset(preset: Preset) -> None:
    settings = EditSettings.preset(preset)
    assert settings_of(preset, steps=None, hold=None) == settings
    assert settings_of(preset, seed=0, hold=False) == replace(settings, seed=0, hold=False)
    with pytest.raises(TypeError):
        settings_of(preset, step=1)


def test_a_text_of_what_is_worn_adds_a_term() -> None:
    settings = EditSettings().with_weights(clip=4.0)
    expected = settings.with_weights(clip_direction=4.0 * DIRECTION_WEIGHT)
    assert directed(settings) == expected


def test_the_default_of_a_folder_of_other_models_is_photo(tmp_path: Path) -> None:
    for kind in ("generator", "densepose", "segmenter", "clip"):
        shutil.copy(DEMO_WEIGHTS / f"{kind}.safetensors", tmp_path)
    assert settings_of("default", str(tmp_path)) == EditSettings()
    generator = load_generator(DEMO_WEIGHTS / "generator.safetensors")
    assert generator.demonstration
    save(generator, tmp_path / "generator.safetensors", {SOURCE_KEY: "trained elsewhere"})
    assert not load_generator(tmp_path / "generator.safetensors").demonstration
    assert settings_of("default", str(tmp_path)) == EditSettings.photo()
    assert settings_of("default", str(tmp_path), steps=7) == replace(EditSettings.photo(), steps=7)
    assert settings_of("default", str(tmp_path / "nowhere")) == EditSettings.photo()  # told later
