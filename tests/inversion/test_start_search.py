"""Trying random codes on before the first step."""

import copy
from dataclasses import replace

import pytest
import torch
from toys import toy_models, toy_targets

from fice_core.inversion.objective import Objective
from fice_core.inversion.start_search import search_start
from fice_core.latents import latent_statistics
from fice_core.settings import EditSettings, LossWeights

SETTINGS = EditSettings(start_candidates=64)


def objective_of(models, settings):
    return Objective(
        models.generator,
        settings,
        models.clip,
        models.densepose,
        models.segmenter,
        latent_statistics(models.generator),
    )


def start_of(models, targets, settings):
    return search_start(
        models.generator, models.clip, objective_of(models, settings), targets, settings
    )


def test_total_is_that_of_the_evaluation():
    models = toy_models()
    targets = toy_targets(5, models).clone()
    objective = objective_of(models, SETTINGS)
    whole = objective.evaluate(targets.w_plus, targets).total
    torch.testing.assert_close(objective.judge(targets.w_plus, targets, 2).total, whole)


def test_no_photo_starts_worse_than_from_its_own_code():
    models = toy_models()
    targets = toy_targets(6, models).clone()
    objective = objective_of(models, SETTINGS)
    before = objective.judge(targets.w_plus, targets, 8).total
    after = objective.judge(start_of(models, targets, SETTINGS), targets, 8).total
    assert (after <= before).all()


def test_clothes_are_put_on_where_only_the_text_counts():
    models = toy_models()
    targets = toy_targets(6, models).clone()
    settings = replace(
        SETTINGS, weights=LossWeights(clip=1, pose=0, head=0, image=0, latent=0, latent_prior=0)
    )
    objective = objective_of(models, settings)
    before = objective.judge(targets.w_plus, targets, 8).total
    start = start_of(models, targets, settings)
    after = objective.judge(start, targets, 8).total
    assert (after < before - 0.05).sum() >= 4
    assert not torch.equal(start, targets.w_plus)


def test_where_everything_must_stay_nothing_is_put_on():
    models = toy_models()
    targets = toy_targets(3, models).clone()
    own = models.generator.synthesize(targets.w_plus)
    targets = replace(targets, images=own, keep_mask=torch.ones_like(targets.keep_mask))
    settings = SETTINGS.with_weights(image=1e4, latent=0, latent_prior=0)
    assert torch.equal(start_of(models, targets, settings), targets.w_plus)


def test_photos_do_not_influence_one_another_and_seeds_repeat():
    models = toy_models()
    targets = toy_targets(4, models).clone()
    together = start_of(models, targets, SETTINGS)
    assert torch.equal(start_of(models, targets, SETTINGS), together)
    for k in range(4):
        alone = start_of(models, targets.select(slice(k, k + 1)), SETTINGS)
        torch.testing.assert_close(alone[0], together[k])


def test_random_codes_are_looked_at_once():
    models = toy_models()
    targets = toy_targets(2, models).clone()
    looks = []
    encode = models.clip.encode_image

    def counted(images):
        looks.append(len(images))
        return encode(images)

    models.clip.encode_image = counted
    settings = replace(SETTINGS, mixed_precision=False)
    first = start_of(models, targets, settings)
    whole = sum(looks)
    assert whole >= settings.start_candidates
    looks.clear()
    assert torch.equal(start_of(models, targets, settings), first)
    assert sum(looks) == whole - settings.start_candidates  # what is tried on is looked at anew
    looks.clear()
    assert not torch.equal(start_of(models, targets, replace(settings, seed=1)), first)
    assert sum(looks) == whole


def test_another_generator_has_other_codes():
    models = toy_models()
    targets = toy_targets(2, models).clone()
    start_of(models, targets, SETTINGS)
    other = replace(models, generator=copy.deepcopy(models.generator))
    other.generator.projection.mul_(-1)
    fresh = replace(models, generator=copy.deepcopy(other.generator))
    assert torch.equal(start_of(other, targets, SETTINGS), start_of(fresh, targets, SETTINGS))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_candidates_are_enough_to_run(count):
    models = toy_models()
    targets = toy_targets(2, models).clone()
    start = start_of(models, targets, replace(SETTINGS, start_candidates=count))
    assert start.shape == targets.w_plus.shape and start.isfinite().all()


def test_the_search_is_shown():
    """First the random images are looked at, then their clothes are tried on; both only get better."""
    models = toy_models()
    targets = toy_targets(2, models).clone()
    settings = replace(SETTINGS, mixed_precision=False)
    objective, steps = objective_of(models, settings), []
    arguments = (models.generator, models.clip, objective, targets, settings)
    start = search_start(*arguments, on_step=steps.append)
    assert torch.equal(start, start_of(models, targets, settings))
    pieces, tries = 64 // SETTINGS.max_batch, 4 * 2 + 3  # two splits for three layers
    assert [step.index for step in steps] == list(range(pieces + tries))
    assert {(step.steps, step.phase) for step in steps} == {(pieces + tries, "start")}
    looked, tried = steps[:pieces], steps[pieces:]
    for part, name in ((looked, "clip"), (tried, "total")):
        values = torch.tensor([step.losses[name] for step in part])
        assert (values.diff() <= 0).all() and values[-1] < values[0]
    best = models.clip.encode_image(looked[-1].images) * targets.text_features
    torch.testing.assert_close(1 - best.sum(dim=1), looked[-1].values["clip"])
    torch.testing.assert_close(tried[-1].images, models.generator.synthesize(start).clamp(0, 1))
    torch.testing.assert_close(tried[-1].total, objective.judge(start, targets, 8).total)
    assert tried[-1].values.keys() == objective.weights.keys()
    steps.clear()
    search_start(*arguments, on_step=steps.append)  # the random images are known
    assert [(step.index, step.steps) for step in steps] == [(k, tries) for k in range(tries)]


@pytest.mark.parametrize("last", [1, 10])
def test_a_stop_keeps_the_best_start(last):
    models = toy_models()
    targets = toy_targets(2, models).clone()
    objective, steps = objective_of(models, SETTINGS), []

    def stop(step):
        steps.append(step)
        if len(steps) == last:
            step.stop()

    start = search_start(models.generator, models.clip, objective, targets, SETTINGS, on_step=stop)
    assert len(steps) == last
    if last == 1:  # no clothes were tried on
        assert torch.equal(start, targets.w_plus)
    else:
        torch.testing.assert_close(steps[-1].total, objective.judge(start, targets, 8).total)


def test_a_draft_looks_a_fifth_as_long():
    """In images of the generator, of which a try costs about as much as one that is looked at."""
    whole, draft = EditSettings(), EditSettings.draft()
    tries = 4 * 3 + 3
    spent = [settings.start_candidates + tries for settings in (whole, draft)]
    assert spent[1] <= spent[0] / 5 * 1.1
