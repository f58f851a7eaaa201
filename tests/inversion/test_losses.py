"""The loss terms against values computed by hand, and their gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fice_core.inversion import losses
from fice_core.latents import LatentStatistics


def test_clip_loss_is_one_minus_cosine():
    image = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    text = torch.tensor([[1.0, 0.0]])
    assert losses.clip_loss(image, text).tolist() == pytest.approx([0.0, 1.0, 2.0])
    angle = math.radians(60)
    turned = torch.tensor([[math.cos(angle), math.sin(angle)]])
    assert losses.clip_loss(turned, text).item() == pytest.approx(0.5)


def test_pose_and_head_loss_are_means_per_sample():
    parts = torch.zeros(2, 14, 2, 2)
    target = parts.clone()
    target[1, 3, 0, 0] = 0.5  # one of 56 values differs by 0.5
    assert losses.pose_loss(parts, target).tolist() == pytest.approx([0, 0.25 / 56])
    head = torch.zeros(2, 1, 2, 2)
    assert losses.head_loss(head, head + 0.1).tolist() == pytest.approx([0.01, 0.01])


def test_image_loss_counts_masked_pixels_in_the_mean():
    images, target = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    keep = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    # (1 + 0.25 + 0 + 0) * 3 channels / 12 values
    assert losses.image_loss(images, target, keep).item() == pytest.approx(1.25 / 4)


def test_image_loss_equals_the_papers_masked_images():
    rng = torch.Generator().manual_seed(0)
    images, target = torch.rand(2, 2, 3, 4, 4, generator=rng)
    keep = torch.rand(2, 1, 4, 4, generator=rng)
    paper = ((keep * images - keep * target) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses.image_loss(images, target, keep), paper)


def test_perceptual_loss_compares_directions_place_by_place():
    own = torch.tensor([[1.0, 2.0], [0.0, 0.0]]).view(1, 2, 1, 2)  # two places: along x, along x
    other = torch.tensor([[0.0, 5.0], [3.0, 5.0]]).view(1, 2, 1, 2)  # along y, along the diagonal
    everywhere = torch.ones(1, 1, 2, 4)
    loss = losses.perceptual_loss([own], [other], everywhere)
    assert loss.item() == pytest.approx((2 + (2 - math.sqrt(2))) / 2)
    left = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 1, 2, 4)
    assert losses.perceptual_loss([own], [other], left).item() == pytest.approx(2 / 2)
    part = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 1, 2, 4)  # half of the first place
    assert losses.perceptual_loss([own], [other], part).item() == pytest.approx(2 / 4)
    twice = losses.perceptual_loss([own, own], [other, own], everywhere)  # maps add up
    assert twice.item() == pytest.approx(loss.item())


@given(st.integers(0, 100), st.floats(0.1, 100.0))
def test_perceptual_loss_is_bounded_symmetric_and_blind_to_strength(seed, strength):
    rng = torch.Generator().manual_seed(seed)
    own, other = torch.rand(2, 2, 5, 3, 3, generator=rng)
    keep = torch.ones(2, 1, 6, 6)
    loss = losses.perceptual_loss([own], [other], keep)
    assert (loss > 0).all() and (loss <= 2).all()
    torch.testing.assert_close(loss, losses.perceptual_loss([other], [own], keep))
    stronger = losses.perceptual_loss([own * strength], [other], keep)
    torch.testing.assert_close(stronger, loss, rtol=1e-3, atol=1e-5)
    assert losses.perceptual_loss([own], [own], keep).tolist() == [0, 0]


def test_perceptual_loss_has_a_gradient_without_features():
    nothing = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = losses.perceptual_loss([nothing], [torch.ones(1, 3, 2, 2)], torch.ones(1, 1, 2, 2))
    assert torch.autograd.grad(loss.sum(), nothing)[0].isfinite().all()


def test_latent_loss_measures_the_distance_to_the_first_layer():
    w_plus = torch.zeros(2, 3, 2)
    w_plus[0, :, 0] = torch.tensor([1.0, 2.0, 4.0])  # differences 1 and 3 in one of two components
    w_plus[1] = 5.0
    assert losses.latent_loss(w_plus).tolist() == pytest.approx([(1 + 9) / 4, 0])


def test_latent_prior_is_the_mahalanobis_distance_per_dimension():
    statistics = LatentStatistics(
        mean=torch.tensor([1.0, 0.0]),
        whitening=torch.diag(torch.tensor([0.5, 2.0])),
        spread=torch.diag(torch.tensor([2.0, 0.5])),
        std=1.0,
    )
    w_plus = torch.tensor([[[3.0, 1.0], [1.0, 0.0]]])  # (1^2 + 2^2) / 2 and 0, over two layers
    assert losses.latent_prior_loss(w_plus, statistics).item() == pytest.approx(2.5 / 2)


@given(st.integers(1, 4), st.integers(0, 100))
def test_a_sample_is_independent_of_its_batch(count, seed):
    rng = torch.Generator().manual_seed(seed)
    images, target = torch.rand(2, count, 3, 4, 4, generator=rng)
    keep = torch.rand(count, 1, 4, 4, generator=rng)
    whole = losses.image_loss(images, target, keep)
    alone = [
        losses.image_loss(images[k : k + 1], target[k : k + 1], keep[k : k + 1])
        for k in range(count)
    ]
    torch.testing.assert_close(whole, torch.cat(alone))


def _inputs(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(*shape, generator=rng, dtype=torch.float64, requires_grad=True)


def test_gradients():
    fixed = torch.full((2, 1), 0.3, dtype=torch.float64)
    statistics = LatentStatistics(fixed[0], fixed[:1] + 1.5, 1 / (fixed[:1] + 1.5), 1.0)
    check = torch.autograd.gradcheck
    target = _inputs(2, 3, 2, 2).detach().flip(1)
    assert check(lambda x: losses.clip_loss(x, _inputs(1, 5).detach().flip(1)), _inputs(2, 5))
    assert check(lambda x: losses.pose_loss(x, fixed[..., None, None]), _inputs(2, 14, 2, 2))
    assert check(lambda x: losses.head_loss(x, fixed[..., None, None]), _inputs(2, 1, 2, 2))
    assert check(
        lambda x: losses.image_loss(x, fixed[..., None, None], fixed[..., None, None]),
        _inputs(2, 3, 2, 2),
    )
    assert check(
        lambda x: losses.perceptual_loss([x], [target], fixed[..., None, None]),
        _inputs(2, 3, 2, 2),
    )
    assert check(losses.latent_loss, _inputs(2, 3, 4))
    assert check(lambda x: losses.latent_prior_loss(x, statistics), _inputs(2, 3, 1))


def test_direction_loss_by_hand() -> None:
    photo = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    image = torch.tensor([[1.0, 2.0], [1.0, -2.0], [3.0, 2.0]])
    direction = torch.tensor([[0.0, 0.5]] * 3)
    loss = losses.direction_loss(image, photo, direction)
    torch.testing.assert_close(loss, torch.tensor([0.0, 2.0, 1 - 0.5**0.5]))


def test_direction_loss_gradient() -> None:
    rng = torch.Generator().manual_seed(2)
    features = [torch.randn(2, 5, generator=rng, dtype=torch.float64) for _ in range(3)]
    image = features[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.direction_loss(x, *features[1:]), (image,))
