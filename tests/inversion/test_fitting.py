"""Fitting the code and the generator to a photo, on networks small enough to know the answers."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import BLIND, LAYERS, SIZE, WIDTH, toy_generator, toy_models, toy_segmenter

from fice_core.editing.pipeline import edit
from fice_core.editing.result import EditInterrupted
from fice_core.errors import FiceError
from fice_core.inversion import losses
from fice_core.inversion.pivotal_tuning import tune_generator
from fice_core.inversion.refinement import REFINE_WEIGHTS, refine_latent
from fice_core.inversion.result import InversionInterrupted
from fice_core.inversion.trace import Trace, no_steps, side_by_side
from fice_core.latents import latent_statistics
from fice_core.networks.stylegan2 import Generator
from fice_core.reporting.edit_report import edit_report
from fice_core.reporting.plots import loss_plot

PIXELS = replace(REFINE_WEIGHTS, perceptual=0.0, latent_prior=0.0)


@pytest.fixture(params=["plain", "inference_mode"], autouse=True)
def ambience(request):
    """Every test runs as ordinary code and under an outer inference mode."""
    with torch.inference_mode(request.param == "inference_mode"):
        yield


def photos(count: int, seed: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def codes(count: int, seed: int = 8) -> torch.Tensor:
    return torch.randn(count, LAYERS, WIDTH, generator=torch.Generator().manual_seed(seed))


def refine(images, w_plus, steps, generator=None, **kwargs):
    return refine_latent(
        generator or toy_generator(), toy_segmenter(), images, w_plus, steps, **kwargs
    )


def tune(images, w_plus, steps, generator=None, **kwargs):
    return tune_generator(
        generator or toy_generator(), toy_segmenter(), images, w_plus, steps, **kwargs
    )


# Refinement of the code


@pytest.mark.parametrize("perceptual", [0.0, 1.0])
def test_refinement_finds_the_code_of_a_image_that_the_generator_can_make(perceptual):
    generator = toy_generator()
    wanted, start = generator.synthesize(codes(2)), codes(2, seed=9)
    weights = replace(PIXELS, perceptual=perceptual)
    result = refine(wanted, start, 200, weights=weights, learning_rate=0.2)
    before, after = (
        (images - wanted).square().mean(dim=(1, 2, 3)) for images in (result.initial, result.images)
    )
    assert (after < 0.02 * before).all()
    torch.testing.assert_close(result.images, generator.synthesize(result.w_plus))
    torch.testing.assert_close(result.initial, generator.synthesize(start))


def test_refinement_reports_its_terms_and_never_ends_worse_than_it_began():
    start = codes(3)
    trace = refine(photos(3), start, 12).trace
    assert sorted(trace.terms) == ["image", "latent_prior", "perceptual"]
    assert trace.total.shape == (12, 3)
    kept = trace.total[trace.kept_step, torch.arange(3)]
    assert (kept < 0.9 * trace.total[0]).all()
    picture = toy_generator().synthesize(start)
    features = [toy_segmenter().features(x, 3) for x in (picture, photos(3))]
    everywhere = torch.ones(3, 1, SIZE, SIZE)
    torch.testing.assert_close(
        trace.terms["image"][0], (picture - photos(3)).square().mean(dim=(1, 2, 3))
    )
    torch.testing.assert_close(
        trace.terms["perceptual"][0], losses.perceptual_loss(*features, everywhere)
    )
    weighted = sum(trace.weighted(name) for name in trace.terms)
    torch.testing.assert_close(weighted, trace.total)


@given(st.integers(1, 5), st.integers(1, 5))
def test_refined_photos_do_not_influence_one_another(count, max_batch):
    whole = refine(photos(5), codes(5), 4)
    pieces = refine(photos(5)[:count], codes(5)[:count], 4, max_batch=max_batch)
    torch.testing.assert_close(pieces.w_plus, whole.w_plus[:count])


def test_a_stronger_prior_keeps_the_code_nearer_to_w():
    statistics = latent_statistics(toy_generator())
    distance = [
        losses.latent_prior_loss(
            refine(
                photos(2), codes(2), 60, weights=replace(REFINE_WEIGHTS, latent_prior=prior)
            ).w_plus,
            statistics,
        )
        for prior in (0.0, 0.1, 10.0)
    ]
    assert (distance[0] > distance[1]).all() and (distance[1] > distance[2]).all()


def test_what_lies_outside_the_mask_does_not_count():
    mask = torch.zeros(2, 1, SIZE, SIZE)
    mask[..., :4] = 1
    other = photos(2).clone()
    other[..., 4:] = 0.1
    results = [refine(images, codes(2), 5, mask=mask).w_plus for images in (photos(2), other)]
    assert torch.equal(*results)
    assert not torch.equal(results[0], refine(photos(2), codes(2), 5).w_plus)


def test_a_refinement_that_leaves_the_domain_keeps_the_last_good_code():
    generator = toy_generator(poison=3.0)
    far = toy_generator().synthesize(torch.full((2, LAYERS, WIDTH), 5.0))
    near = toy_generator().synthesize(codes(1).clamp(-1, 1))
    images = torch.cat([near, far[:1]])
    start = codes(1).clamp(-1, 1).repeat(2, 1, 1)
    result = refine(images, start, 60, generator, weights=PIXELS, learning_rate=0.3)
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("refining the code of image 2: the losses became NaN")
    assert result.w_plus.isfinite().all()
    assert generator.synthesize(result.w_plus).isfinite().all()
    assert result.trace.kept_step[1] > 0


def test_refinement_can_be_cancelled_stopped_and_interrupted():
    def cancel(step):
        if step.index == 2:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        refine(photos(1), codes(1), 9, on_step=cancel)
    result = refine(photos(1), codes(1), 9, on_step=lambda step: step.stop())
    assert (result.stopped, result.trace.steps) == ("request", 1)

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(InversionInterrupted) as caught:
        refine(photos(1), codes(1), 9, on_step=interrupt)
    assert caught.value.result.trace.steps == 1


def test_codes_of_another_generator_are_refused():
    with pytest.raises(FiceError, match="latent code has shape"):
        refine(photos(1), codes(1)[..., 1:], 2)
    with pytest.raises(FiceError, match="latent code has shape"):
        tune(photos(1), codes(1)[:, 1:], 2)


# Tuning of the generator


def tiny_generator() -> Generator:
    """The real architecture, with noise that matters."""
    with torch.inference_mode(False), torch.random.fork_rng():
        torch.manual_seed(5)
        network = Generator((SIZE, SIZE), 4, 6, channel_base=64, channel_max=8, mapping_layers=2)
        for name, value in network.named_parameters():
            if name.endswith("noise_strength"):
                value.data.fill_(0.1)
    return network.eval().requires_grad_(False)


def stored(network: torch.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def test_the_generator_itself_stays_as_it_is_to_the_bit():
    generator = tiny_generator()
    pivot = generator.map(torch.ones(1, 4))
    before, picture = stored(generator), generator.synthesize(pivot)
    tuned = tune(photos(1), pivot, 30, generator, learning_rate=0.02).generator
    assert stored(generator) == before
    assert torch.equal(generator.synthesize(pivot), picture)
    assert not any(p.requires_grad or p.grad is not None for p in generator.parameters())

    after = stored(tuned)
    changed = {name for name in before if before[name] != after[name]}
    learned = {name for name, _ in generator.named_parameters() if name.startswith("synthesis.")}
    assert changed == learned  # neither the mapping network nor the noise
    assert not tuned.training
    assert not any(p.requires_grad or p.grad is not None for p in tuned.parameters())
    assert {p.dtype for p in tuned.parameters()} == {torch.float32}
    shared = {p.data_ptr() for p in generator.parameters()}
    assert not any(p.data_ptr() in shared for p in tuned.parameters())

    error = [(g.synthesize(pivot) - photos(1)).square().mean() for g in (generator, tuned)]
    assert error[1] < 0.3 * error[0]


def test_tuning_is_the_method_in_the_plainest_words():
    generator, segmenter = toy_generator(), toy_segmenter()
    pivot, photo = codes(1), photos(1)
    result = tune(photo, pivot, 4, locality=0.7, reach=0.25, seed=3, learning_rate=0.01)
    with torch.inference_mode(False), torch.enable_grad():
        pivot, photo = pivot.clone(), photo.clone()
        basis = generator.basis.clone().requires_grad_()
        adam = torch.optim.Adam([basis], lr=0.01)
        rng = torch.Generator().manual_seed(3)
        everywhere = torch.ones(1, 1, SIZE, SIZE)

        def picture(w, weights):
            return (w.flatten(1) @ weights).unflatten(1, (3, SIZE, SIZE)) + 0.5

        def unlike(own, other):
            perceptual = losses.perceptual_loss(
                segmenter.features(own, 3), segmenter.features(other, 3), everywhere
            )
            return 100 * (own - other).square().mean() + perceptual

        totals, weights = [], []
        for _ in range(4):
            w = generator.map(torch.randn(1, generator.z_dim, generator=rng))
            other = 0.75 * pivot + 0.25 * w
            total = unlike(picture(pivot, basis), photo) + 0.7 * unlike(
                picture(other, basis), picture(other, generator.basis)
            )
            totals.append(total.detach())
            weights.append(basis.detach().clone())
            adam.zero_grad()
            total.sum().backward()
            adam.step()
    torch.testing.assert_close(result.trace.total, torch.stack(totals))
    kept = int(torch.stack(totals).argmin())
    assert result.trace.kept_step.tolist() == [kept] and kept > 0
    torch.testing.assert_close(result.generator.basis.clone(), weights[kept])


def test_the_trace_of_tuning_adds_up():
    trace = tune(photos(1), codes(1), 6, image=3.0, perceptual=2.0, locality=5.0).trace
    assert trace.weights == {"image": 3.0, "perceptual": 2.0, "locality": 5.0}
    assert trace.total.shape == (6, 1)
    # Nothing has changed yet, but convolutions whose weights have a gradient may round otherwise.
    assert trace.terms["locality"][0].item() < 1e-10
    assert (trace.terms["locality"][1:] > 0).all()
    torch.testing.assert_close(sum(trace.weighted(name) for name in trace.terms), trace.total)
    assert trace.seconds.diff().min() >= 0


def test_the_same_seed_tunes_to_the_same_bytes():
    first, again, other = (
        stored(tune(photos(1), codes(1), 5, seed=seed).generator) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_locality_protects_the_images_of_other_codes():
    generator = tiny_generator()
    pivot = generator.map(torch.ones(1, 4))
    others = generator.map(torch.randn(16, 4, generator=torch.Generator().manual_seed(0)))
    moved = []
    for locality in (0.0, 10.0):
        tuned = tune(
            photos(1), pivot, 40, generator, locality=locality, reach=1.0, learning_rate=0.01
        ).generator
        change = tuned.synthesize(others) - generator.synthesize(others)
        moved.append(change.square().mean().item())
    assert moved[1] < 0.5 * moved[0]


def test_tuning_that_explodes_leaves_the_last_good_generator():
    generator = tiny_generator()
    pivot = generator.map(torch.ones(1, 4))
    result = tune(photos(1), pivot, 9, generator, learning_rate=1e30)
    assert stored(result.generator) == stored(generator)
    assert result.trace.kept_step.tolist() == [0]
    assert result.trace.steps < 9
    assert len(result.warnings) == 1 and "NaN or infinite at step" in result.warnings[0]


def test_tuning_can_be_cancelled_and_stopped():
    seen = []

    def cancel(step):
        seen.append((step.index, step.steps, tuple(step.images.shape), sorted(step.losses)))
        if step.index == 2:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        tune(photos(1), codes(1), 9, on_step=cancel)
    names = ["image", "locality", "perceptual", "total"]
    assert seen == [(k, 9, (1, 3, SIZE, SIZE), names) for k in range(3)]
    stopped = tune(photos(1), codes(1), 9, on_step=lambda step: step.stop())
    assert stopped.trace.steps == 1
    assert torch.equal(stopped.generator.basis.clone(), toy_generator().basis.clone())


@pytest.mark.parametrize(("count", "steps"), [(2, 3), (0, 3), (1, 0)])
def test_one_photo_at_a_time_is_tuned(count, steps):
    with pytest.raises(ValueError, match="one photo"):
        tune(photos(count), codes(count), steps)


# Within the edit

FAST = replace(BLIND, steps=3, start_candidates=0)


def random_images(count: int) -> torch.Tensor:
    """Photos that the toy generator can nearly make."""
    clear = toy_generator().synthesize(codes(count, seed=2)).clamp(0, 1)
    return torch.nn.functional.interpolate(clear, (2 * SIZE, 2 * SIZE))


def fallible_models():
    """The toy encoder is perfect; one that is not leaves something to refine."""
    models = toy_models()
    with torch.inference_mode(False), torch.no_grad():
        models.load_encoder().inverse.mul_(0.5)
    return models


def error(result, images) -> torch.Tensor:
    framed = torch.nn.functional.interpolate(images, (SIZE, SIZE), mode="area")
    return (result.initial - framed).square().mean(dim=(1, 2, 3))


def test_the_edit_begins_with_what_was_fitted():
    models, images = fallible_models(), random_images(2)
    before = stored(models.generator)
    plain = edit(models, images, "a shirt", FAST)
    refined = edit(models, images, "a shirt", replace(FAST, refine_steps=20))
    both = edit(models, images, "a shirt", replace(FAST, refine_steps=20, tune_steps=20))
    assert stored(models.generator) == before
    assert (error(refined, images) < 0.9 * error(plain, images)).all()
    assert (error(both, images) < 0.9 * error(refined, images)).all()
    assert plain.trace.refinement is None and plain.trace.tuning is None
    assert refined.trace.refinement.total.shape == (20, 2) and refined.trace.tuning is None
    assert both.trace.refinement.total.shape == both.trace.tuning.total.shape == (20, 2)
    for result in (plain, refined, both):
        assert result.steps == 3 and result.stopped == "steps" and result.warnings == ()
        outside = (result.edit_mask == 0).expand_as(images)
        assert torch.equal(result.images[outside], images[outside])


@pytest.mark.parametrize("tune_steps", [0, 3])
def test_fitted_photos_do_not_influence_one_another(tune_steps):
    models, images = toy_models(), random_images(3)
    settings = replace(FAST, refine_steps=4, tune_steps=tune_steps)
    together = edit(models, images, ["one", "two", "three"], settings)
    again = edit(models, images, ["one", "two", "three"], settings)
    assert torch.equal(together.images, again.images)
    for k, prompt in enumerate(["one", "two", "three"]):
        alone = edit(models, images[k : k + 1], prompt, settings)
        torch.testing.assert_close(together.images[k], alone.images[0])
        torch.testing.assert_close(together.w_plus[k], alone.w_plus[0])
        torch.testing.assert_close(together.trace.total[:, k], alone.trace.total[:, 0])


def test_all_prompts_of_a_photo_share_what_was_fitted():
    models, images = toy_models(), random_images(1)
    settings = replace(FAST, refine_steps=4, tune_steps=5)
    counted = []
    result = edit(
        models,
        images,
        ["one", "two"],
        settings,
        lambda step: counted.append((step.phase, step.steps)),
    )
    assert counted == [("refine", 4)] * 4 + [("tune", 5)] * 5 + [("edit", 3)] * 3
    assert result.trace.total.shape == (3, 2)
    for trace in (result.trace.refinement, result.trace.tuning):
        assert torch.equal(trace.total[:, 0], trace.total[:, 1])
    assert torch.equal(result.initial[0], result.initial[1])
    assert not torch.equal(result.generated[0], result.generated[1])


@pytest.mark.parametrize("stage", ["on_step", "check_cancelled"])
def test_fitting_within_an_edit_can_be_cancelled(stage):
    calls = []

    def cancel(*step):
        calls.append(step)
        if len(calls) == 6:
            raise RuntimeError("cancelled")

    settings = replace(FAST, refine_steps=4, tune_steps=5)
    with pytest.raises(RuntimeError, match="cancelled"):
        edit(toy_models(), random_images(1), "one", settings, **{stage: cancel})
    assert len(calls) == 6


def test_ctrl_c_while_the_code_is_refined_ends_the_edit():
    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(
            toy_models(), random_images(1), "one", replace(FAST, refine_steps=4), on_step=interrupt
        )


@pytest.mark.parametrize("where", ["tuning", "edit"])
def test_ctrl_c_at_the_second_photo_leaves_all_of_them(where):
    calls = {"tune": 0, "edit": 0}
    last = {"tune": 6} if where == "tuning" else {"edit": 5}

    def interrupt(step):
        calls[step.phase] += 1
        if calls[step.phase] == last.get(step.phase):
            raise KeyboardInterrupt

    models, images = toy_models(), random_images(3)
    settings = replace(FAST, tune_steps=4)
    whole = edit(models, images, "one", settings)
    with pytest.raises(EditInterrupted) as caught:
        edit(models, images, "one", settings, on_step=interrupt)
    partial = caught.value.result
    assert partial.stopped == "interrupt"
    assert partial.images.shape == images.shape
    assert torch.equal(partial.generated[0], whole.generated[0])
    assert torch.equal(partial.generated[2], partial.initial[2])
    done = partial.trace.total.isfinite().sum(dim=0).tolist()
    assert done == [3, 2 if where == "edit" else 0, 0]
    assert partial.trace.kept_step[2] == -1


def test_a_stop_asked_for_ends_all_photos():
    phases = []

    def stop(step):
        phases.append(step.phase)
        if step.phase == "edit":
            step.stop()

    settings = replace(FAST, tune_steps=4)
    result = edit(toy_models(), random_images(3), "one", settings, on_step=stop)
    assert phases == ["tune"] * 4 + ["edit"]
    assert result.stopped == "request"
    assert result.trace.total.isfinite().sum(dim=0).tolist() == [1, 0, 0]
    assert torch.equal(result.generated[1:], result.initial[1:])


def test_a_stop_asked_for_in_a_fit_ends_that_fit_alone():
    phases = []

    def stop(step):
        phases.append(step.phase)
        if step.phase != "edit":
            step.stop()

    settings = replace(FAST, refine_steps=4, tune_steps=4)
    result = edit(toy_models(), random_images(1), "one", settings, on_step=stop)
    assert phases == ["refine", "tune"] + ["edit"] * settings.steps
    assert result.stopped == "steps"


def test_warnings_name_the_photo():
    models = toy_models(toy_generator(poison=0.0))
    result = edit(models, random_images(2), "one", replace(FAST, tune_steps=2))
    named = [line.split(":")[0] for line in result.warnings if "NaN" in line]
    assert named == [
        "tuning the generator to image 1", "image 1",
        "tuning the generator to image 2", "image 2",
    ]  # fmt: skip


# The record


def trace_of(total: list[list[float]], seconds: list[float]) -> Trace:
    values = torch.tensor(total)
    return Trace(
        terms={"clip": values / 2},
        weights={"clip": 2.0},
        total=values,
        kept_step=values.argmin(dim=0),
        learning_rate=torch.full((len(total),), 0.1),
        seconds=torch.tensor(seconds),
    )


def test_records_side_by_side():
    first = trace_of([[4.0], [2.0], [3.0]], [1.0, 2.0, 3.0])
    second = replace(
        trace_of([[6.0, 8.0], [7.0, 5.0]], [0.5, 1.5]), tuning=trace_of([[1.0, 2.0]], [9.0])
    )
    whole = side_by_side([first, no_steps(1), second])
    nan = float("nan")
    expected = torch.tensor([[4, nan, 6, 8], [2, nan, 7, 5], [3, nan, nan, nan]])
    torch.testing.assert_close(whole.total, expected, equal_nan=True)
    torch.testing.assert_close(whole.weighted("clip"), expected, equal_nan=True)
    assert whole.kept_step.tolist() == [1, -1, 0, 1]
    assert whole.seconds.tolist() == [1.5, 3.5, 4.5]
    assert whole.refinement is None
    torch.testing.assert_close(whole.tuning.total, torch.tensor([[nan, nan, 1, 2]]), equal_nan=True)
    assert json.dumps(whole.as_dict(), allow_nan=False)
    some = whole.select(torch.tensor([3, 0, 3]))
    assert some.kept_step.tolist() == [1, 1, 1]
    assert some.total[0].tolist() == [8, 4, 8]
    assert some.tuning.total[0, 0] == 2


def test_the_report_and_the_plot_tell_of_it():
    models, images = fallible_models(), random_images(2)
    plain = edit(models, images, "a shirt", FAST)
    fitted = edit(models, images, "a shirt", replace(FAST, refine_steps=4, tune_steps=5))
    names = (["a.png", "b.png"], ["a shirt"] * 2, ["c.png", "d.png"])
    assert all("tuning" not in entry for entry in edit_report(plain, *names))
    for sample, entry in enumerate(edit_report(fitted, *names)):
        for name, steps in (("refinement", 4), ("tuning", 5)):
            trace, part = getattr(fitted.trace, name), entry[name]
            assert part["steps"] == steps
            assert part["start"]["total"] == pytest.approx(trace.total[0, sample].item(), rel=1e-5)
            assert part["kept"]["image"] < part["start"]["image"]
            assert part["seconds"] >= 0
        assert json.dumps(entry, allow_nan=False)
    assert loss_plot(fitted.trace).width > 2 * loss_plot(plain.trace).width
