"""The loops that `fice bench` compares: they compute the same, and all operations are counted."""

from dataclasses import replace

import pytest
import torch
from bench_work import TINY
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fice_core.errors import FiceError
from fice_core.inversion import objective
from fice_core.inversion.loop import invert
from fice_core.inversion.objective import AGAIN, BACKWARD, FORWARD, Objective
from fice_core.inversion.targets import Targets
from fice_core.latents import latent_statistics
from fice_core.models import Models
from fice_core.networks.resnet import ConvolutionNorm
from fice_core.profiling import measuring
from fice_core.profiling.full_size import random_models
from fice_core.profiling.reference import PlainLoop, plain_models
from fice_core.profiling.results import OURS, PLAIN
from fice_core.profiling.stages import (
    Laps,
    Operations,
    RealLoop,
    difference,
)
from fice_core.settings import EditSettings

PAPERS = EditSettings.paper()


@pytest.fixture(scope="module")
def plain() -> Models:
    return random_models(TINY, quick=False)


@pytest.fixture(scope="module")
def ours() -> Models:
    return random_models(TINY)


@pytest.fixture(scope="module")
def targets(ours: Models) -> Targets:
    return measuring.make_targets(ours, 2)


def relative_error(value: Tensor, reference: Tensor) -> float:
    assert value.shape == reference.shape
    return ((value - reference).norm() / reference.norm()).item()


def real_loop(models: Models, targets: Targets, settings: EditSettings, steps: int = 1) -> RealLoop:
    return RealLoop(models, targets, settings, latent_statistics(models.generator), steps)


@pytest.mark.parametrize("clamp", [False, True])
def test_plain_loop_has_the_losses_and_gradients_of_the_real_one(
    plain: Models, ours: Models, targets: Targets, clamp: bool
) -> None:
    settings = replace(PAPERS, clamp=clamp)
    loop = PlainLoop(plain, targets, settings)
    losses = loop.losses()
    critics = {"clip": ours.clip, "densepose": ours.densepose, "segmenter": ours.segmenter}
    real = Objective(ours.generator, settings, **critics).evaluate(targets.w_plus, targets)
    assert set(losses) == set(real.terms)
    for name, value in losses.items():
        torch.testing.assert_close(value, real.terms[name], rtol=1e-4, atol=1e-7)
    total = sum(settings.weights.as_dict()[name] * v.sum() for name, v in losses.items())
    assert isinstance(total, Tensor)
    gradient = torch.autograd.grad(total, loop.codes)[0]
    assert relative_error(gradient, real.gradient) < 1e-3


@pytest.mark.parametrize("term", ["clip", "pose", "head", "image", "latent"])
def test_the_gradient_of_every_term_of_the_plain_loop(
    plain: Models, ours: Models, targets: Targets, term: str
) -> None:
    """Each term is tested alone: in the sum, a large term would hide an error in a small one."""
    off = dict.fromkeys(PAPERS.weights.as_dict(), 0.0)
    settings = PAPERS.with_weights(**{**off, term: 1.0})
    critics = {"clip": ours.clip, "densepose": ours.densepose, "segmenter": ours.segmenter}
    real = Objective(ours.generator, settings, **critics).evaluate(targets.w_plus, targets)
    loop = PlainLoop(plain, targets, settings)
    gradient = torch.autograd.grad(loop.losses()[term].sum(), loop.codes)[0]
    assert real.gradient.abs().max() > 0
    assert relative_error(gradient, real.gradient) < 2e-3


def test_a_step_of_the_plain_loop_is_one_of_the_real_loop(plain: Models, targets: Targets) -> None:
    loop = PlainLoop(plain, targets, PAPERS)
    loop.step()
    critics = {"clip": plain.clip, "densepose": plain.densepose, "segmenter": plain.segmenter}
    real = invert(plain.generator, targets, replace(PAPERS, steps=2), **critics)
    moved = real.w_plus - targets.w_plus
    assert moved.abs().max() > 0.04  # Adam's first step is as long as the learning rate
    # Where the gradient is about 0, rounding decides which way it goes.
    agree = (loop.codes - real.w_plus).abs() < 1e-3
    assert agree.float().mean() > 0.98


def test_plain_networks_are_plain_copies(plain: Models) -> None:
    before = {k: v.clone() for k, v in plain.segmenter.state_dict().items()}
    copied = plain_models(plain)
    networks = (copied.generator, copied.densepose, copied.segmenter, copied.clip)
    kinds = {type(module) for network in networks for module in network.modules()}
    assert nn.BatchNorm2d in kinds
    assert ConvolutionNorm not in kinds
    assert any(isinstance(module, ConvolutionNorm) for module in plain.segmenter.modules())
    for key, value in plain.segmenter.state_dict().items():
        assert torch.equal(value, before[key])
        assert copied.segmenter.state_dict()[key].data_ptr() == value.data_ptr()


def test_plain_networks_are_contiguous(ours: Models) -> None:
    weight = ours.segmenter.backbone.layer1[0].conv2.weight
    assert not weight.is_contiguous()
    copied = plain_models(ours).segmenter.backbone.layer1[0].conv2.weight
    assert copied.is_contiguous()
    assert torch.equal(copied, weight)


def test_operations_of_a_convolution_by_hand() -> None:
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    forward = 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)  # two for each output and each of its 27 weights
    with Operations() as operations:
        y = conv(x)
        assert operations.read() == forward
        torch.autograd.grad(y.sum(), x, retain_graph=True)
        assert operations.read() == 2 * forward
        y.sum().backward()  # to the weights as well
    assert operations.read() == 4 * forward


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_operations_of_grouped_convolutions_by_hand(groups: int, transposed: bool) -> None:
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(4, 6, 3, stride=2, padding=1, groups=groups, bias=False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    # Every pixel of the smaller side, the input's 8 x 8 or the output's 4 x 4, meets every weight once.
    forward = 2 * (8 * 8 if transposed else 4 * 4) * (4 * 6 // groups) * 3 * 3
    with Operations() as operations:
        conv(x).sum().backward()
    assert operations.read() == 3 * forward


def test_plain_loop_of_two_images_has_twice_the_operations(plain: Models, targets: Targets) -> None:
    found = []
    for count in (1, 2):
        loop = PlainLoop(plain, targets.select(slice(0, count)), PAPERS)
        with Operations() as operations:
            loop.step()
        found.append(operations.read())
    assert found[1] == pytest.approx(2 * found[0], rel=0.01)


def test_operations_are_those_that_torch_counts(ours: Models) -> None:
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        with Operations() as operations:
            ours.densepose(images)
        with FlopCounterMode(display=False) as counter:
            ours.densepose(images)
    assert operations.read() == counter.get_total_flops() > 0


def test_laps_sum_the_differences_of_the_meter() -> None:
    meter = iter([0.0, 1.0, 3.0, 10.0, 14.0])
    laps = Laps(lambda: next(meter))
    for stage in ("a", "b", None, "a", None):
        laps.mark(stage)
    assert laps.between(difference) == {"a": 1.0 + 4.0, "b": 2.0}


def test_stages_contain_all_operations_of_a_step(ours: Models, targets: Targets) -> None:
    loop = real_loop(ours, targets, EditSettings())
    with Operations() as operations:
        stages = loop.stages(operations.read, difference)
    with Operations() as operations:
        whole = difference(*loop.lap(operations.read)) / loop.steps
    names = [FORWARD, "clip", "pose", "head", "image", BACKWARD, "latent", "latent_prior"]
    assert list(stages) == names
    assert all(stages[name] > 0 for name in (FORWARD, "clip", "pose", "head", BACKWARD))
    assert stages["image"] == 0  # element by element
    # The whitened coordinates' two products, from codes and to them, belong to no stage.
    batch, layers, width = targets.w_plus.shape
    coordinates = 2 * batch * layers * width**2 * 2
    assert whole == pytest.approx(sum(stages.values()) + coordinates, rel=0.01)


def test_two_images_are_twice_the_operations(ours: Models, targets: Targets) -> None:
    found = []
    for count in (1, 2):
        loop = real_loop(ours, targets.select(slice(0, count)), PAPERS)
        with Operations() as operations:
            found.append(sum(loop.stages(operations.read, difference).values()))
    # But for what the layers' weights have to do with, which are the same for all images.
    assert found[1] == pytest.approx(2 * found[0], rel=0.01)


class Calls(TorchDispatchMode):
    """A meter that counts calls of torch: a clock that no other process disturbs."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.total += 1
        return func(*args, **(kwargs or {}))


def test_stages_are_nearly_all_of_a_step(ours: Models, targets: Targets) -> None:
    loop = real_loop(ours, targets, EditSettings())
    with Calls() as calls:
        stages = sum(loop.stages(lambda: calls.total, difference).values())
    with Calls() as calls:
        whole = difference(*loop.lap(lambda: calls.total)) / loop.steps
    assert 0.9 < stages / whole < 1


def test_rendering_twice_is_a_stage(
    ours: Models, targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = real_loop(ours, targets, PAPERS)
    with Operations() as operations:
        once = loop.stages(operations.read, difference)
    monkeypatch.setattr(objective, "_RENDER_ONCE", 1)
    with Operations() as operations:
        twice = loop.stages(operations.read, difference)
    assert AGAIN not in once
    assert twice.pop(AGAIN) == once[FORWARD]
    assert twice == once


def test_terms_of_every_second_step_count_half(ours: Models, targets: Targets) -> None:
    often = real_loop(ours, targets, replace(EditSettings(), head_every=1, pose_every=1))
    seldom = real_loop(ours, targets, replace(EditSettings(), head_every=2, pose_every=3))
    assert (often.steps, seldom.steps) == (1, 6)
    with Operations() as operations:
        each = often.stages(operations.read, difference)
    with Operations() as operations:
        some = seldom.stages(operations.read, difference)
    assert some["head"] == pytest.approx(each["head"] / 2)
    assert some["pose"] == pytest.approx(each["pose"] / 3)
    assert some["clip"] == pytest.approx(each["clip"])
    with Operations() as operations:
        lap = difference(*seldom.lap(operations.read)) / seldom.steps
    with Operations() as operations:
        dense = difference(*often.lap(operations.read))
    saved = each["head"] / 2 + each["pose"] * 2 / 3
    assert dense - lap == pytest.approx(saved)


def test_networks_with_losses_that_are_not_finite_are_refused(targets: Targets) -> None:
    broken = random_models(TINY)
    broken.clip.mean.fill_(torch.nan)
    with pytest.raises(FiceError, match="not finite"):
        real_loop(broken, targets, EditSettings()).lap(lambda: 0)


def test_memory_of_both_loops(plain: Models, ours: Models) -> None:
    for models, loop in ((ours, OURS), (plain, PLAIN)):
        turns: list[None] = []
        found = measuring.memory_of(models, 1, loop, lambda seen=turns: seen.append(None))
        assert len(turns) == 1
        assert found.before is None or (found.peak or 0) >= found.before > 0
