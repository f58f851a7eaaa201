"""StyleCLIP's and TediGAN's optimisations against their formulas, written out in plain torch."""

import math

import pytest
import torch
from rival_tasks import task
from torch import Tensor
from torch.nn import functional as F
from toys import LAYERS, WIDTH, toy_models

from fice_core.networks.clip import Clip
from fice_core.rivals import styleclip
from fice_core.rivals.descent import descend
from fice_core.rivals.styleclip import LatentOptimisation
from fice_core.rivals.tedigan import InstanceOptimisation
from fice_core.rivals.views import unnormalised_look


def first_step(given, loss, rate: float) -> Tensor:
    """Codes after one step of Adam: its first step moves each number by the rate, against the gradient."""
    codes = given.preparation.targets.w_plus.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(codes, given.models.generator.synthesize(codes)), codes)
    return codes.detach() - rate * gradient / (gradient.abs() + 1e-8)


def cosine_loss(given, images: Tensor) -> Tensor:
    texts = given.models.clip.encode_text(given.prompts)
    return (1 - F.cosine_similarity(given.models.clip.encode_image(images), texts)).sum()


def test_schedule_of_styleclip_by_hand() -> None:
    assert styleclip.rate_at(0.0) == 0
    assert styleclip.rate_at(0.025) == pytest.approx(0.05)  # half way up
    assert styleclip.rate_at(0.05) == pytest.approx(0.1)
    assert styleclip.rate_at(0.75) == pytest.approx(0.1)
    assert styleclip.rate_at(0.875) == pytest.approx(0.05)  # the middle of the cosine
    assert styleclip.rate_at(1 - 1 / 24) == pytest.approx(0.05 * (1 - math.cos(math.pi / 6)))


def test_first_steps_of_styleclip() -> None:
    """The rate of step 0 is 0. Step 1 of two has the full rate, but nobody sees its codes."""
    given = task()
    start = given.preparation.targets.w_plus

    def loss(codes: Tensor, images: Tensor) -> Tensor:
        return cosine_loss(given, images) + 0.008 * (codes - start).square().sum()

    # the moments of Adam after a step of rate 0 with the same gradient are those of a first step
    found = LatentOptimisation().edit(given, steps=3)
    expected = first_step(given, loss, styleclip.rate_at(1 / 3))
    torch.testing.assert_close(found.w_plus, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.images, given.models.generator.synthesize(expected))
    assert found.steps == 3
    assert torch.equal(LatentOptimisation().edit(given, steps=2).w_plus, start)


def test_the_distance_of_styleclip_is_a_sum_over_all_numbers() -> None:
    """From codes that CLIP cannot move, the gradient is that of 0.008 times the sum of squares."""
    given = task()
    start = given.preparation.targets.w_plus
    moved = start + 1

    def loss(codes: Tensor, images: Tensor) -> Tensor:
        return 0.008 * (codes - start).square().flatten(1).sum(dim=1)

    value = loss(moved, moved)
    assert value.tolist() == pytest.approx([0.008 * LAYERS * WIDTH] * 2)


@pytest.mark.parametrize("has_encoder", [True, False])
@pytest.mark.parametrize("has_trunk", [True, False])
def test_first_step_of_tedigan(has_encoder: bool, has_trunk: bool) -> None:
    given = task()
    encoder = given.models.encoder()
    if not has_encoder:
        models = toy_models(given.models.generator)
        object.__setattr__(models, "load_encoder", None)
        object.__setattr__(given, "models", models)
    photos = given.preparation.targets.images
    trunk = torch.nn.Conv2d(3, 4, 3).requires_grad_(False) if has_trunk else None

    def loss(codes: Tensor, images: Tensor) -> Tensor:
        size = photos[0].numel()
        total = (2 * images - 2 * photos).square().sum() / size + 2 * cosine_loss(given, images)
        if trunk is not None:
            apart = trunk(2 * images - 1) - trunk(2 * photos - 1)
            total = total + 5e-5 * apart.square().sum() / apart[0].numel()
        if has_encoder:
            total = total + 2 * (codes - encoder(images)).square().sum() / (LAYERS * WIDTH)
        return total

    found = InstanceOptimisation(trunk=trunk).edit(given, steps=2)
    torch.testing.assert_close(found.w_plus, first_step(given, loss, 0.01), rtol=0, atol=1e-5)


def test_samples_do_not_influence_one_another() -> None:
    both, alone = (InstanceOptimisation().edit(task(count=n), steps=4) for n in (2, 1))
    torch.testing.assert_close(both.w_plus[:1], alone.w_plus)


def test_descend_returns_the_image_before_the_last_update() -> None:
    given = task()
    start = given.preparation.targets.w_plus
    _, codes = descend(given.models.generator, start, lambda c, _: c.sum((1, 2)), 3, lambda _: 0.5)
    torch.testing.assert_close(codes, start - 1.0)


def test_own_clip_sees_pixels_averaged_and_not_normalised() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = Clip(
            embed_dim=8,
            vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            text_cfg={"context_length": 8, "width": 64, "heads": 1, "layers": 1},
            vocabulary=["red"],
        )
    images = torch.rand(1, 3, 64, 64)
    halved = F.avg_pool2d(images * 2 - 1, 2)  # seven times as large, averaged over 14 pixels
    with torch.no_grad():
        expected = F.normalize(clip.model.encode_image(halved), dim=-1)
        found = unnormalised_look(clip, 7)(images)
    torch.testing.assert_close(found, expected)
