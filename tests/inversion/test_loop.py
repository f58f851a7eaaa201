"""The optimisation, on toy networks whose answers are known."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from toys import toy_generator, toy_models, toy_targets

from fice_core.acceleration.fusion import fuse_for_inference
from fice_core.errors import FiceError
from fice_core.inversion import losses
from fice_core.inversion.clip_views import draw_views, take_views
from fice_core.inversion.loop import invert
from fice_core.inversion.objective import CachedTerm, Objective
from fice_core.inversion.result import InversionInterrupted
from fice_core.latents import latent_statistics
from fice_core.networks.segmenter import Segmenter
from fice_core.settings import EditSettings, LossWeights

PLAIN = replace(EditSettings.paper(), steps=30)
IMAGE_ONLY = LossWeights(clip=0, pose=0, head=0, image=1, latent=0)


@pytest.fixture(params=["plain", "inference_mode"], autouse=True)
def ambience(request):
    """Every test runs as ordinary code and under an outer inference mode."""
    with torch.inference_mode(request.param == "inference_mode"):
        yield


def run(models, targets, settings, **kwargs):
    return invert(
        models.generator,
        targets,
        settings,
        clip=models.clip,
        densepose=models.densepose,
        segmenter=models.segmenter,
        **kwargs,
    )


def reference_loop(models, targets, settings):
    """The method in the plainest words: one graph, one sum, torch's Adam. -> codes at each step."""
    weights = settings.weights
    with torch.inference_mode(False), torch.enable_grad():
        goal = targets.clone()
        w_plus = goal.w_plus.clone().requires_grad_()
        adam = torch.optim.Adam([w_plus], lr=settings.learning_rate)
        codes, totals = [], []
        for _ in range(settings.steps):
            codes.append(w_plus.detach().clone())
            images = models.generator.synthesize(w_plus)
            features = models.clip.encode_image(images)
            total = weights.clip * losses.clip_loss(features, goal.text_features)
            total = total + weights.pose * losses.pose_loss(models.densepose(images), goal.parts)
            head = models.segmenter(images).head
            total = total + weights.head * losses.head_loss(head, goal.head)
            kept = losses.image_loss(images, goal.images, goal.keep_mask)
            total = total + weights.image * kept + weights.latent * losses.latent_loss(w_plus)
            totals.append(total.detach())
            adam.zero_grad()
            total.sum().backward()
            adam.step()
        return codes, torch.stack(totals)


def test_paper_loop_equals_the_plain_formulation():
    models = toy_models()
    targets = toy_targets(3, models)
    codes, totals = reference_loop(models, targets, PLAIN)
    result = run(models, targets, replace(PLAIN, max_batch=2))
    torch.testing.assert_close(result.trace.total, totals, rtol=1e-5, atol=1e-6)
    # The image before the last update, as the authors return it.
    torch.testing.assert_close(result.w_plus, codes[-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        result.images, models.generator.synthesize(codes[-1]), rtol=1e-4, atol=1e-5
    )
    assert result.stopped == "steps"
    assert result.trace.steps == 30
    assert result.trace.kept_step.tolist() == [29, 29, 29]


def test_whitened_steps_follow_the_spread_of_w():
    """Adam's first step is its rate in every coordinate, whatever the gradient's size: one step that
    all layers share, along the sum of their gradients, and a smaller one of each layer's own."""
    models = toy_models()
    settings = replace(
        PLAIN,
        steps=2,
        learning_rate=0.3,
        coordinates="whitened",
        layer_freedom=0.25,
        weights=IMAGE_ONLY,
    )
    spread = latent_statistics(models.generator).spread
    with torch.inference_mode(False), torch.enable_grad():
        goal = toy_targets(2, models).clone()
        goal = replace(goal, images=goal.images * 0, keep_mask=torch.ones_like(goal.keep_mask))
        start = goal.w_plus.clone().requires_grad_()
        images = models.generator.synthesize(start)
        losses.image_loss(images, goal.images, goal.keep_mask).sum().backward()
        own = start.grad @ spread
        steps = own.sum(dim=1, keepdim=True).sign() + 0.25 * own.sign()
        expected = goal.w_plus - 0.3 * steps @ spread
    result = run(models, goal, settings)
    torch.testing.assert_close(result.w_plus, expected, rtol=1e-4, atol=1e-4)


def test_adam_without_memory_takes_steps_of_its_rate():
    """With both betas 0 every step is rate * gradient / |gradient|, where with the paper's it is a mean."""
    models = toy_models()
    targets = toy_targets(2, models)
    settings = replace(PLAIN, steps=4, learning_rate=0.3, weights=IMAGE_ONLY)
    moved = []
    for betas in ({"beta1": 0.0, "beta2": 0.0}, {}):
        result = run(models, targets, replace(settings, **betas))
        moved.append((result.w_plus - targets.w_plus) / 0.3)
    # Three steps each way: 3, 1, -1 or -3 of them.
    alike = (moved[0] - (2 * ((moved[0] - 1) / 2).round() + 1)).abs() < 1e-3
    assert alike.float().mean() > 0.95  # where a gradient is nearly 0, epsilon counts
    assert ((moved[1].abs() - moved[1].abs().round()).abs() > 1e-2).any()


def test_without_freedom_the_layers_move_as_one():
    models = toy_models()
    settings = replace(PLAIN, steps=10, coordinates="whitened", layer_freedom=0.0)
    targets = toy_targets(2, models)
    moved = run(models, targets, settings).w_plus - targets.w_plus
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), rtol=1e-4, atol=1e-5)


def test_spread_undoes_whitening():
    statistics = latent_statistics(toy_models().generator)
    product = statistics.whitening @ statistics.spread
    torch.testing.assert_close(product, torch.eye(len(product)), atol=1e-4, rtol=0)


def test_rendering_twice_to_save_memory_changes_nothing(monkeypatch):
    models = toy_models()
    targets = toy_targets(1, models)
    once = run(models, targets, PLAIN)
    monkeypatch.setattr("fice_core.inversion.objective._RENDER_ONCE", 0)
    twice = run(models, targets, PLAIN)
    assert torch.equal(once.w_plus, twice.w_plus)
    assert torch.equal(once.trace.total, twice.trace.total)


def test_no_more_images_at_once_than_are_rendered_once(monkeypatch):
    models = toy_models()
    targets = toy_targets(5, models)
    sizes = []
    synthesize = models.generator.synthesize

    def counted(codes, held=None):
        sizes.append(len(codes))
        return synthesize(codes, held)

    monkeypatch.setattr(models.generator, "synthesize", counted)
    height, width = models.generator.resolution
    for pixels, most in ((2.5 * height * width, 2), (height * width / 2, 1), (2**17, 5)):
        monkeypatch.setattr("fice_core.inversion.objective._RENDER_ONCE", int(pixels))
        run(models, targets, replace(PLAIN, steps=2))
        sizes_of_steps, sizes[:] = sizes[1:], []  # the first are the photos' own
        assert max(sizes_of_steps) == most


def test_no_step_makes_the_host_wait_for_the_device(monkeypatch):
    """On a CPU nothing waits, but reading a value on the host is the same operation there."""

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")
            Reads.count += func.overloadpacket.__name__ in waits
            return func(*args, **(kwargs or {}))

    class Descent(torch.optim.SGD):  # Adam on a CPU reads its own step counter
        def __init__(self, parameters, lr, betas):
            super().__init__(parameters, lr)

    monkeypatch.setattr("fice_core.inversion.loop._CHECK_EVERY", {"cpu": 1000})
    monkeypatch.setattr("torch.optim.Adam", Descent)
    models = toy_models()
    targets = toy_targets(3, models)
    settings = EditSettings(max_batch=2, plateau_patience=5, start_noise=0.1)
    counts = []
    for steps in (5, 50):
        Reads.count = 0
        with Reads():
            run(models, targets, replace(settings, steps=steps))
        counts.append(Reads.count)
    assert counts[0] == counts[1] > 0  # the few reads of the beginning and the end


def test_views_are_whole_and_crops_averaged():
    models = toy_models()
    targets = toy_targets(2, models)
    settings = replace(PLAIN, clip_views=3, seed=5, steps=2)
    boxes = draw_views(3, seed=5, step=1)
    result = run(models, targets, settings)
    images, text = result.images, targets.text_features
    expected = losses.clip_loss(models.clip.encode_image(images), text)
    for box in boxes.split(1):
        features = models.clip.encode_image(take_views(images, box))
        expected = expected + losses.clip_loss(features, text)
    torch.testing.assert_close(result.trace.terms["clip"][1], expected / 4)
    other = run(models, targets, replace(settings, seed=6))
    assert not torch.equal(other.trace.total, result.trace.total)
    run(models, targets, replace(settings, seed=2**64 - 1, start_noise=0.1))
    again = run(models, targets, replace(settings, max_batch=1))
    torch.testing.assert_close(again.w_plus, result.w_plus)


def test_a_view_is_the_box_it_says():
    rows = torch.linspace(-1, 1, 9) * 8 / 9  # coordinates of the pixels' middles
    picture = rows.expand(9, 9)[None, None]
    whole, shifted, half = take_views(
        picture, torch.tensor([[1.0, 0, 0], [1, 2 / 9, 0], [0.5, 0, 0]])
    )
    torch.testing.assert_close(whole[0], picture[0, 0])
    torch.testing.assert_close(shifted[0, :, :-1], picture[0, 0, :, 1:])
    torch.testing.assert_close(shifted[0, :, -1], picture[0, 0, :, -1])
    torch.testing.assert_close(half[0], picture[0, 0] / 2)
    boxes = draw_views(200, seed=0, step=0)
    assert boxes[:, 0].min() >= 0.7 and boxes[:, 0].max() <= 1
    assert (boxes[:, 1:].abs() + boxes[:, :1]).max() <= 1.1 + 1e-6


def test_trace_holds_every_term_of_every_image():
    models = toy_models()
    trace = run(models, toy_targets(2, models), PLAIN).trace
    assert list(trace.terms) == ["clip", "pose", "head", "image", "latent"]
    assert all(values.shape == (30, 2) for values in trace.terms.values())
    weighted = sum(trace.weighted(name) for name in trace.terms)
    torch.testing.assert_close(weighted, trace.total)
    assert trace.seconds.diff().min() >= 0
    assert trace.as_dict()["terms"]["pose"][0][1] == pytest.approx(trace.terms["pose"][0, 1].item())


def test_it_finds_the_code_of_a_image_the_generator_can_make():
    models = toy_models()
    targets = toy_targets(2, models)
    wanted = targets.w_plus.flip(0)
    goal = replace(
        targets,
        images=models.generator.synthesize(wanted),
        keep_mask=torch.ones_like(targets.keep_mask),
    )
    settings = EditSettings(
        steps=400, coordinates="w", clamp=False, plateau_patience=None, weights=IMAGE_ONLY
    )
    result = run(models, goal, settings)
    torch.testing.assert_close(result.w_plus, wanted, atol=1e-3, rtol=0)
    assert result.trace.total[-1].max() < 1e-8


def test_a_term_that_is_not_due_is_what_it_last_was():
    """At every third step the value is computed; the two after it repeat it, and so does its pull."""
    models = toy_models()
    targets = toy_targets(3, models)
    weights = LossWeights(clip=0, pose=1, head=1, image=0, latent=0)
    settings = replace(PLAIN, steps=7, weights=weights, head_every=3, max_batch=2)
    calls = []
    counted = models.segmenter.register_forward_hook(lambda *_: calls.append(1))
    head = run(models, targets, settings).trace.terms["head"]
    counted.remove()
    assert len(calls) == 2 * 3  # two pieces, at steps 0, 3 and 6
    assert torch.equal(head[[1, 2, 4, 5]], head[[0, 0, 3, 3]])
    assert (head[3] != head[0]).all() and (head[6] != head[3]).all()

    every = run(models, targets, replace(settings, head_every=1)).trace
    assert torch.equal(every.terms["head"][0], head[0])
    with torch.inference_mode(False), torch.enable_grad():
        goal = targets.clone()
        objective = Objective(
            models.generator, settings, densepose=models.densepose, segmenter=models.segmenter
        )
        first = objective.evaluate(goal.w_plus, goal)
        later = objective.evaluate(goal.w_plus, goal, 1, first.cached)
        torch.testing.assert_close(later.gradient, first.gradient)
        doubled = {
            "head": CachedTerm(first.cached["head"].value, 2 * first.cached["head"].image_gradient)
        }
        of_head = objective.evaluate(goal.w_plus, goal, 1, doubled).gradient - later.gradient
        alone = replace(settings, weights=LossWeights(clip=0, pose=0, head=1, image=0, latent=0))
        wanted = Objective(models.generator, alone, segmenter=models.segmenter)
        torch.testing.assert_close(of_head, wanted.evaluate(goal.w_plus, goal).gradient)


def test_the_head_is_judged_in_smaller_images():
    models = toy_models()
    targets = toy_targets(1, models)
    seen = []
    hook = models.segmenter.register_forward_pre_hook(lambda _, a: seen.append(a[0].shape[-2:]))
    weights = LossWeights(clip=0, pose=0, head=1, image=0, latent=0)
    run(models, targets, replace(PLAIN, steps=1, weights=weights, head_scale=0.5))
    hook.remove()
    height, width = models.generator.resolution
    assert seen == [(height // 2, width // 2)]


@pytest.mark.parametrize("has_it", [True, False])
def test_critics_in_bfloat16_pull_almost_the_same_way(has_it, monkeypatch):
    monkeypatch.setattr("fice_core.inversion.critics.multiplies_bfloat16", lambda device: has_it)
    torch.manual_seed(5)
    models = toy_models()
    weights = LossWeights(clip=0, pose=0, head=1, image=0, latent=0)
    plain = replace(PLAIN, weights=weights)
    with torch.inference_mode(False), torch.enable_grad():
        goal = toy_targets(3, models)
        segmenter = fuse_for_inference(
            Segmenter(stem_channels=8, width=4, blocks=(1, 1, 1, 1), aspp_channels=8).eval()
        )
        found = [
            Objective(models.generator, settings, segmenter=segmenter).evaluate(goal.w_plus, goal)
            for settings in (plain, replace(plain, mixed_precision=True))
        ]
    exact, mixed = (each.gradient.flatten() for each in found)
    assert torch.equal(exact, mixed) != has_it
    if not has_it:
        return
    assert mixed.dtype == torch.float32
    assert 0.7 < torch.cosine_similarity(exact, mixed, dim=0) < 1 - 1e-7  # of a network of noise
    torch.testing.assert_close(found[1].total, found[0].total, rtol=0.02, atol=0)


def test_what_follows_from_the_photo_alone_is_computed_once():
    models = toy_models()
    targets = toy_targets(3, models)
    calls = []
    features = models.segmenter.features
    models.segmenter.features = lambda images, count: calls.append(1) or features(images, count)
    weights = LossWeights(clip=0, pose=0, head=0, image=0, latent=0, perceptual=1)
    trace = run(models, targets, replace(PLAIN, steps=4, weights=weights, max_batch=2)).trace
    assert len(calls) == 2 * (1 + 4)  # two pieces: the photos once, the images at every step
    assert trace.total.isfinite().all()


def test_held_images_change_only_where_they_may():
    models = toy_models()
    targets = toy_targets(2, models)
    targets = replace(targets, keep_mask=(targets.keep_mask > 0.5).float())
    result = run(models, targets, replace(PLAIN, hold=True))
    change = (result.images - result.initial).abs()
    assert (change * (1 - targets.keep_mask)).max() > 0.01
    assert (change * targets.keep_mask).max() == 0
    with pytest.raises(FiceError, match="keep mask"):
        blind = LossWeights(clip=1, pose=0, head=0, image=0, latent=0)
        without = replace(targets, keep_mask=None)
        run(models, without, replace(PLAIN, hold=True, weights=blind))


def test_latent_term_alone_makes_the_layers_equal():
    models = toy_models()
    settings = EditSettings(
        steps=300,
        plateau_patience=None,
        coordinates="w",
        weights=LossWeights(clip=0, pose=0, head=0, image=0, latent=1),
    )
    result = run(models, toy_targets(1, models), settings)
    assert result.w_plus.std(dim=1, correction=0).max() < 1e-3


def test_latent_prior_pulls_to_the_mean_of_w():
    models = toy_models()
    weights = LossWeights(clip=0, pose=0, head=0, image=0, latent=0, latent_prior=1)
    settings = EditSettings(steps=500, learning_rate=0.3, plateau_patience=None, weights=weights)
    result = run(models, toy_targets(1, models), settings)
    mean = latent_statistics(models.generator).mean
    torch.testing.assert_close(result.w_plus, mean.expand_as(result.w_plus), atol=0.02, rtol=0)


@pytest.mark.parametrize("max_batch", [1, 2, 5])
def test_the_result_does_not_depend_on_the_batch(max_batch):
    models = toy_models()
    targets = toy_targets(5, models)
    settings = replace(EditSettings(steps=36, plateau_patience=4), max_batch=max_batch)
    together = run(models, targets, settings)
    for k in range(5):
        alone = run(models, targets.select(slice(k, k + 1)), settings)
        torch.testing.assert_close(together.w_plus[k], alone.w_plus[0], rtol=1e-4, atol=1e-5)
        assert together.trace.kept_step[k] == alone.trace.kept_step[0]


def test_nothing_but_the_codes_gets_a_gradient_or_changes():
    models = toy_models()
    for network in (models.generator, models.clip):
        network.requires_grad_(True)  # even if a caller forgot to freeze
    before = [p.detach().clone() for p in models.generator.parameters()]
    targets = toy_targets(2, models)
    start = targets.w_plus.clone()
    run(models, targets, PLAIN)
    for network in (models.generator, models.clip):
        assert all(p.grad is None for p in network.parameters())
    for old, new in zip(before, models.generator.parameters(), strict=True):
        assert torch.equal(old, new)
    assert torch.equal(targets.w_plus, start)


def test_results_are_ordinary_tensors_without_a_graph():
    models = toy_models()
    result = run(models, toy_targets(1, models), PLAIN)
    for tensor in (result.w_plus, result.images, result.initial, result.trace.total):
        assert not tensor.requires_grad
        assert not tensor.is_inference()


def test_best_beats_last_when_the_rate_is_too_high():
    models = toy_models()
    targets = toy_targets(3, models)
    wild = replace(PLAIN, learning_rate=3.0)
    last = run(models, targets, wild)
    best = run(models, targets, replace(wild, result="best"))
    lowest, step = best.trace.total.min(dim=0)
    assert torch.equal(best.trace.kept_step, step)
    assert (lowest <= last.trace.total[-1]).all()
    assert (lowest < last.trace.total[-1] - 0.05).any()
    # The image and the code that are returned belong to that step.
    torch.testing.assert_close(models.generator.synthesize(best.w_plus), best.images)


def test_plateau_stops_every_image_by_itself():
    models = toy_models()
    targets = toy_targets(2, models)
    done = replace(targets, images=targets.images.clone(), w_plus=targets.w_plus.clone())
    done.images[0] = models.generator.synthesize(targets.w_plus[:1])[0]  # nothing left to gain
    done = replace(done, keep_mask=torch.ones_like(targets.keep_mask))
    settings = replace(PLAIN, weights=IMAGE_ONLY, plateau_patience=5, plateau_tolerance=1e-3)
    result = run(models, done, settings)
    finite = result.trace.total.isfinite().sum(dim=0)
    assert finite[0] == 6  # the first one, and five without improvement
    assert finite[1] == 30
    assert result.stopped == "steps"
    alone = run(models, done.select(slice(0, 1)), settings)
    assert alone.stopped == "plateau"
    assert alone.trace.steps == 6


def test_a_bad_image_is_frozen_at_its_best_and_the_others_go_on():
    poisoned = toy_models(toy_generator(poison=3.0))
    healthy = toy_models()
    targets = toy_targets(2, healthy)
    targets = replace(targets, w_plus=targets.w_plus.clamp(-2.5, 2.5))
    goal = targets.w_plus.clone()
    goal[0] += 2.0 * goal[0].sign()  # beyond the poison: on the way there the image turns NaN
    targets = replace(
        targets,
        images=healthy.generator.synthesize(goal),
        keep_mask=torch.ones_like(targets.keep_mask),
    )
    settings = replace(PLAIN, weights=IMAGE_ONLY, result="best", steps=60)
    result = run(poisoned, targets, settings)
    kept = int(result.trace.kept_step[0])
    assert 0 < kept < 59
    assert result.images.isfinite().all()
    assert result.w_plus.isfinite().all()
    assert len(result.warnings) == 1
    assert f"image 1: the losses became NaN or infinite at step {kept + 2}" in result.warnings[0]
    alone = run(healthy, targets.select(slice(1, 2)), settings)
    torch.testing.assert_close(result.w_plus[1], alone.w_plus[0])


def test_bad_from_the_start_returns_the_start():
    models = toy_models(toy_generator(poison=0.0))
    targets = toy_targets(1, models)
    result = run(models, targets, PLAIN)
    assert torch.equal(result.w_plus, targets.w_plus)
    assert result.trace.kept_step.tolist() == [-1]
    assert result.stopped == "diverged"
    assert len(result.warnings) == 1


def test_callback_sees_losses_and_images_and_can_stop():
    models = toy_models()
    seen = []

    def on_step(step):
        seen.append((step.index, step.steps, step.losses, step.preview))
        if step.index == 3:
            step.stop()

    result = run(models, toy_targets(2, models), PLAIN, on_step=on_step)
    assert result.stopped == "request"
    assert result.trace.steps == len(seen) == 4
    assert [index for index, *_ in seen] == [0, 1, 2, 3]
    _, steps, values, preview = seen[2]
    assert steps == 30
    assert values["pose"] == pytest.approx(result.trace.terms["pose"][2].mean().item())
    assert values["total"] == pytest.approx(result.trace.total[2].mean().item())
    assert preview.shape == (2, 3, 8, 8)
    assert preview.min() >= 0 and preview.max() <= 1
    torch.testing.assert_close(seen[0][3], result.initial.clamp(0, 1))


def test_an_exception_of_the_callback_cancels():
    class Cancelled(Exception):
        pass

    def on_step(step):
        raise Cancelled

    models = toy_models()
    with pytest.raises(Cancelled):
        run(models, toy_targets(1, models), PLAIN, on_step=on_step)


def test_ctrl_c_leaves_the_best_so_far():
    models = toy_models()
    targets = toy_targets(2, models)
    settings = replace(PLAIN, result="best")

    def on_step(step):
        if step.index == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(models, targets, settings, on_step=on_step)
    assert isinstance(caught.value, InversionInterrupted)
    partial = caught.value.result
    whole = run(models, targets, replace(settings, steps=10))
    assert partial.stopped == "interrupt"
    torch.testing.assert_close(partial.w_plus, whole.w_plus)
    torch.testing.assert_close(partial.trace.total, whole.trace.total)


def test_terms_of_weight_zero_need_no_network():
    models = toy_models()
    targets = replace(toy_targets(1, models), text_features=None, parts=None, head=None)
    settings = replace(PLAIN, weights=replace(IMAGE_ONLY, latent=1.0))
    result = invert(models.generator, targets, settings)
    assert list(result.trace.terms) == ["image", "latent"]


@pytest.mark.parametrize("missing", ["clip", "pose", "head", "image"])
def test_a_weight_without_its_target_is_the_users_mistake(missing):
    models = toy_models()
    name = {"clip": "text_features", "pose": "parts", "head": "head", "image": "keep_mask"}[missing]
    targets = replace(toy_targets(1, models), **{name: None})
    with pytest.raises(FiceError, match=f"the {missing} term has a weight but no"):
        run(models, targets, PLAIN)


def test_codes_of_another_generator_are_the_users_mistake():
    models = toy_models()
    targets = toy_targets(1, models)
    with pytest.raises(FiceError, match=r"takes \(N, 3, 4\)"):
        run(models, replace(targets, w_plus=targets.w_plus[:, :2]), PLAIN)


def test_seed_matters_only_with_start_noise():
    models = toy_models()
    targets = toy_targets(2, models)
    still = [run(models, targets, replace(PLAIN, seed=seed)).w_plus for seed in (0, 1)]
    assert torch.equal(*still)
    noisy = replace(PLAIN, start_noise=0.5)
    first, again, other = (
        run(models, targets, replace(noisy, seed=seed)).w_plus for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    alone = run(models, targets.select(slice(0, 1)), noisy).w_plus
    torch.testing.assert_close(alone[0], first[0])


def test_clamped_images_stay_in_range():
    models = toy_models()
    targets = toy_targets(1, models)
    loud = replace(targets, w_plus=targets.w_plus * 10)
    assert run(models, loud, PLAIN).initial.max() > 1
    clamped = run(models, loud, replace(PLAIN, clamp=True))
    assert clamped.images.min() >= 0 and clamped.images.max() <= 1
