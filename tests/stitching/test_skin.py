"""Skin tones of rendered people, whose true skin is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fice_core.demo.people import Truth
from fice_core.extraction.extractors import extract_pose
from fice_core.models import load_models
from fice_core.ops.color import skin_difference, to_lab
from fice_core.stitching.skin import (
    SkinTone,
    newly_bare,
    shift_skin,
    skin_likelihood,
    skin_tone,
    skin_tone_of_parts,
)

COUNT = 24
ARM_LABELS = torch.tensor(
    UPPER_ARM["left"] + UPPER_ARM["right"] + LOWER_ARM["left"] + LOWER_ARM["right"]
)


def people(sleeve: float | None = None) -> Attributes:
    drawn = sample_attributes(COUNT, torch.Generator().manual_seed(3))
    return drawn if sleeve is None else drawn.replace(sleeve=torch.full((COUNT,), sleeve))


def hands_of(figures: Rendering) -> torch.Tensor:
    return ((figures.labels == RIGHT_HAND) | (figures.labels == LEFT_HAND))[:, None].float()


def head_of(figures: Rendering) -> torch.Tensor:
    return (figures.labels >= RIGHT_HEAD)[:, None].float()


def arms_of(figures: Rendering) -> torch.Tensor:
    return torch.isin(figures.labels, ARM_LABELS)[:, None].float()


def errors(tone: SkinTone, drawn: Attributes) -> torch.Tensor:
    truth = torch.from_numpy(to_lab(drawn.skin.numpy()))
    return (tone.mean - truth).norm(dim=1)


@pytest.mark.parametrize("sleeve", [0.0, 1.0])
def test_hands_and_faces_give_the_true_skin_tone(sleeve):
    drawn = people(sleeve)
    figures = render(drawn, 128)
    nothing = torch.zeros_like(figures.head)
    for hands, head in (
        (hands_of(figures), head_of(figures)),
        (hands_of(figures), nothing),
        (nothing, head_of(figures)),
    ):
        tone = skin_tone(figures.images, hands, head)
        assert tone.known.all()
        assert (errors(tone, drawn) < 3).float().mean() >= 0.95


def test_predicted_parts_give_the_true_skin_tone_too():
    drawn = people()
    figures = render(drawn, 128)
    parts = extract_pose(load_models("demo").densepose, figures.images)
    tone = skin_tone_of_parts(figures.images, parts)
    assert (errors(tone, drawn) < 3).float().mean() >= 0.95


def test_bare_arms_are_used_when_hands_and_face_are_hidden():
    drawn = people(0.0)
    figures = render(drawn, 128)
    nothing = torch.zeros_like(figures.head)
    assert not skin_tone(figures.images, nothing, nothing).known.any()
    tone = skin_tone(figures.images, nothing, nothing, arms_of(figures))
    assert (errors(tone, drawn) < 8).all()  # in shade and light


def test_gloves_are_not_skin():
    drawn = people()
    figures = render(drawn, 128)
    hands = hands_of(figures)
    gloved = torch.where(hands > 0, torch.tensor([0.1, 0.3, 0.7]).view(1, 3, 1, 1), figures.images)
    tone = skin_tone(gloved, hands, head_of(figures))
    assert (errors(tone, drawn) < 3).float().mean() >= 0.95


def test_the_spread_is_the_robust_standard_deviation():
    images = torch.full((1, 3, 40, 40), 0.5)
    images += 0.02 * torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 40, 40)
    tone = skin_tone(images, mask, torch.zeros_like(mask))
    lab = to_lab(images[0].permute(1, 2, 0).numpy())
    assert tone.spread[0, 0].item() == pytest.approx(lab[..., 0].std(), rel=0.1)


def test_likelihood_distinguishes_skin_from_cloth_and_walls():
    drawn = people(0.3)
    figures = render(drawn.replace(colour=torch.tensor([[0.1, 0.3, 0.8]]).expand(COUNT, 3)), 128)
    tone = skin_tone(figures.images, hands_of(figures), head_of(figures))
    likelihood = skin_likelihood(figures.images, tone)
    assert likelihood.shape == (COUNT, 1, 128, 128)
    cloth = figures.garment > 0.99
    skin = (arms_of(figures) > 0) & (figures.garment < 0.01)
    assert likelihood[skin].median() > 0.8
    assert likelihood[cloth].quantile(0.9) < 0.1


def test_likelihood_by_hand():
    """9 units of a* off, a spread of at most 3: exp(-1/2)."""
    tone = SkinTone(torch.tensor([[50.0, 9, 0]]), torch.tensor([[0.0, 1, 2]]))
    grey = torch.full((1, 3, 1, 1), 0.46633)  # L* 50
    assert skin_likelihood(grey, tone).item() == pytest.approx(np.exp(-0.5), abs=1e-3)
    unknown = SkinTone(torch.full((1, 3), torch.nan), torch.full((1, 3), torch.nan))
    assert skin_likelihood(grey, unknown).item() == 0


@pytest.fixture(scope="module")
def uncovered() -> dict[str, torch.Tensor | SkinTone]:
    """Persons whose long sleeves became short, generated with another skin tone."""
    before, after = people(1.0), people(0.3)
    other = after.replace(skin=after.skin.roll(1, 0))
    old, new, wrong = (render(figures, 128) for figures in (before, after, other))
    bare = arms_of(new) * (new.garment < 0.01) * (old.garment > 0.99)
    return {
        "original": old.images,
        "generated": wrong.images,
        "wanted": new.images,
        "arms": arms_of(new),
        "bare": bare,
        "inner": -F.max_pool2d(-bare, 3, 1, 1),
        "tone": skin_tone(old.images, hands_of(old), head_of(old)),
        "generated tone": skin_tone(wrong.images, hands_of(wrong), head_of(wrong)),
    }


def test_new_skin_gets_the_persons_tone(uncovered):
    before = skin_difference(
        uncovered["generated"], uncovered["bare"], uncovered["wanted"], uncovered["bare"]
    )
    shifted = shift_skin(uncovered["generated"], uncovered["bare"], uncovered["tone"])
    after = skin_difference(shifted, uncovered["bare"], uncovered["wanted"], uncovered["bare"])
    assert before.median() > 10 and after.max() < 3


def test_light_and_shade_of_the_skin_are_kept(uncovered):
    shifted = shift_skin(uncovered["generated"], uncovered["bare"], uncovered["tone"])
    for k in range(8):
        chosen = uncovered["inner"][k, 0] > 0
        shades = [
            to_lab(images[k].permute(1, 2, 0)[chosen].numpy())[:, 0] + 16
            for images in (uncovered["generated"], shifted)
        ]
        relative = [shade / np.median(shade) for shade in shades]
        assert np.corrcoef(*relative)[0, 1] > 0.95
        assert relative[1].std() == pytest.approx(relative[0].std(), rel=0.25)


def test_nothing_changes_outside_of_the_mask_or_without_a_tone(uncovered):
    generated, bare = uncovered["generated"], uncovered["bare"]
    shifted = shift_skin(generated, bare, uncovered["tone"])
    outside = bare.expand_as(generated) == 0
    assert torch.equal(shifted[outside], generated[outside])
    assert not torch.equal(shifted, generated)
    unknown = SkinTone(*(torch.full((COUNT, 3), torch.nan) for _ in range(2)))
    assert torch.equal(shift_skin(generated, bare, unknown), generated)


def test_newly_bare_skin_is_skin_only_after_the_edit(uncovered):
    bare = newly_bare(
        uncovered["generated"],
        uncovered["original"],
        uncovered["arms"],
        uncovered["generated tone"],
        uncovered["tone"],
    )
    truth = uncovered["bare"]
    overlap = (torch.minimum(bare, truth).flatten(1).sum(1) / truth.flatten(1).sum(1)).sort().values
    assert overlap.median() > 0.85 and overlap.min() > 0.6
    assert (bare * (uncovered["arms"] == 0)).abs().max() == 0
    assert ((bare >= 0) & (bare <= 1)).all()


@pytest.mark.parametrize("wrong", ["hands", "head"])
def test_sizes_must_agree(wrong):
    masks = {"hands": torch.ones(1, 1, 8, 8), "head": torch.ones(1, 1, 8, 8)}
    masks[wrong] = torch.ones(1, 1, 8, 7)
    with pytest.raises(ValueError, match="must have one size"):
        skin_tone(torch.rand(1, 3, 8, 8), **masks)
