"""What steers an edit: presets, the schedule, and values out of range."""

import math
from collections import Counter
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from fice_core.errors import FiceError
from fice_core.settings import (
    ComputeSettings,
    EditSettings,
    FramingSettings,
    InversionSettings,
    LossWeights,
    MaskSettings,
    ObjectiveSettings,
    OptimizerSettings,
    StartSettings,
    StitchSettings,
    group_values,
)


def test_cosine_schedule():
    settings = EditSettings(steps=100, learning_rate=1.0, warmup=0.1)
    rates = [settings.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[9] == pytest.approx(10 / 11)
    assert rates[10] == 1.0 == max(rates)
    assert rates[55] == pytest.approx(0.5)  # half way down
    assert rates[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert EditSettings.paper().learning_rate_at(500) == 0.05


def test_presets_go_by_name():
    assert EditSettings.preset("default") == EditSettings()
    assert EditSettings.preset("paper") == EditSettings.paper()
    draft = EditSettings.preset("draft")
    assert draft.steps < EditSettings().steps and draft.head_every > 1


def test_what_was_tuned_on_the_demonstration_holds_for_its_models_alone():
    photo = EditSettings.photo()
    assert (
        EditSettings.preset("default", demonstration=False) == photo == EditSettings.preset("photo")
    )
    draft = EditSettings.preset("draft", demonstration=False)
    assert draft.steps < photo.steps and draft.weights == photo.weights
    assert EditSettings.preset("paper", demonstration=False) == EditSettings.paper()


def test_photo_seeks_the_papers_objective_and_puts_the_garment_alone_into_the_photo():
    photo, paper, default = EditSettings.photo(), EditSettings.paper(), EditSettings()
    assert (photo.weights, photo.coordinates) == (paper.weights, "w")
    assert photo.start_candidates == 0
    for name in ("framing", "backdrop", "stitch", "sharp_mask", "match_colour", "match_skin"):
        assert getattr(photo, name) == getattr(default, name)


def test_paper_settings():
    paper = EditSettings.paper()
    assert (paper.steps, paper.learning_rate, paper.schedule) == (501, 0.05, "constant")
    assert paper.weights == LossWeights(clip=1, pose=10, head=1, image=30, latent=1, latent_prior=0)
    assert (paper.beta1, paper.beta2) == (0.9, 0.999)
    assert (paper.head_every, paper.pose_every, paper.head_scale) == (1, 1, 1.0)
    assert not paper.mixed_precision
    assert (paper.result, paper.stitch, paper.clamp) == ("last", "head", False)
    assert (paper.plateau_patience, paper.coordinates) == (None, "w")
    assert (paper.start_candidates, paper.start_noise) == (0, 0)
    assert paper.with_weights(pose=0).weights.pose == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("refine_steps", -1),
        ("tune_steps", 2.5),
        ("steps", -3),
        ("steps", 1.5),
        ("steps", True),
        ("seed", -1),
        ("seed", 2**64),
        ("start_candidates", -1),
        ("clip_views", -1),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("coordinates", "z"),
        ("layer_freedom", -0.1),
        ("schedule", "linear"),
        ("warmup", 1.0),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("plateau_patience", 0),
        ("result", "first"),
        ("stitch", "body"),
        ("mask_dilation", -0.1),
        ("mask_feather", 0.6),
        ("max_batch", 0),
        ("head_every", 0),
        ("pose_every", 1.5),
        ("head_scale", 0.0),
        ("head_scale", 1.1),
    ],
)
def test_settings_out_of_range_name_the_field(name, value):
    with pytest.raises(FiceError, match=name):
        EditSettings(**{name: value})


def test_weights_out_of_range():
    with pytest.raises(FiceError, match="pose"):
        LossWeights(pose=-1)
    with pytest.raises(FiceError, match="all loss weights are 0"):
        LossWeights(clip=0, pose=0, head=0, image=0, latent=0)


GROUPS = (
    OptimizerSettings,
    StartSettings,
    ObjectiveSettings,
    ComputeSettings,
    FramingSettings,
    MaskSettings,
    StitchSettings,
)


def names(group: type) -> set[str]:
    return {item.name for item in fields(group)}


def test_every_field_belongs_to_one_group_and_the_seed_to_two():
    count = Counter(name for group in GROUPS for name in names(group))
    assert set(count) == names(EditSettings)
    assert {name for name, groups in count.items() if groups > 1} == {"seed"}
    assert names(InversionSettings) == set().union(*map(names, GROUPS[:4]))


@pytest.mark.parametrize(
    ("group", "bad"),
    [
        (OptimizerSettings, {"steps": 0}),
        (OptimizerSettings, {"seed": -1}),
        (StartSettings, {"refine_steps": -1}),
        (ObjectiveSettings, {"head_scale": 0.0}),
        (ComputeSettings, {"execution": "fast"}),
        (InversionSettings, {"steps": 0}),
        (InversionSettings, {"execution": "graph", "clip_views": 1}),
        (FramingSettings, {"framing": "half"}),
        (MaskSettings, {"garment": "hat"}),
        (StitchSettings, {"seed": 2**64}),
        (StitchSettings, {"stitch": "glue"}),
    ],
)
def test_a_group_alone_refuses_its_own_bad_values(group, bad):
    with pytest.raises(FiceError, match=list(bad)[-1]):
        group(**bad)


def test_edit_settings_are_every_group():
    assert all(issubclass(EditSettings, group) for group in GROUPS)


def test_values_of_a_group_replace_those_of_other_settings():
    inversion = InversionSettings(steps=7, hold=True)
    chosen = replace(EditSettings.paper(), **group_values(inversion, InversionSettings))
    assert (chosen.steps, chosen.hold, chosen.coordinates) == (7, True, "whitened")
    assert chosen.stitch == "head"  # not of that group


def test_settings_are_frozen_and_by_name_alone():
    with pytest.raises(FrozenInstanceError):
        EditSettings().steps = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        MaskSettings("upper")  # type: ignore[misc]
