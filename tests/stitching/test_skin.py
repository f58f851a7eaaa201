"""Skin tones of rendered people, whose true skin is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sitters import dressed_alike, sitters

from fice_core.checkpoints import load_densepose
from fice_core.demo.people import Truth
from fice_core.extraction.extractors import extract_pose
from fice_core.models import DEMO_WEIGHTS
from fice_core.ops.color import skin_difference, to_lab
from fice_core.people.classes import ARMS, FACE, HAIR, HANDS, NECK
from fice_core.stitching.skin import (
    SkinTone,
    newly_bare,
    shift_skin,
    skin_likelihood,
    skin_tone,
    skin_tone_of_parts,
)

COUNT = 24
ARM_LABELS = torch.arange(15, 23)


@pytest.fixture(scope="module")
def people() -> Truth:
    return sitters(COUNT, 256)


def seen(people: Truth, *classes: int) -> torch.Tensor:
    return (people.classes[:, list(classes)].sum(1, keepdim=True) > 0.5).float()


def hands_of(people: Truth) -> torch.Tensor:
    return seen(people, HANDS)


def head_of(people: Truth) -> torch.Tensor:
    return seen(people, FACE, HAIR)


def arms_of(people: Truth) -> torch.Tensor:
    """The arms, bare or not."""
    return torch.isin(people.labels, ARM_LABELS)[:, None].float()


def errors(tone: SkinTone, people: Truth) -> torch.Tensor:
    """CIELAB distances of tones from the median of all skin that is seen, (N,)."""
    skin = people.classes[:, [FACE, ARMS, HANDS, NECK]].sum(1) > 0.99
    truth = [
        np.median(to_lab(image.permute(1, 2, 0)[mask].numpy()), axis=0)
        for image, mask in zip(people.images, skin, strict=True)
    ]
    return (tone.mean - torch.from_numpy(np.array(truth))).norm(dim=1)


@pytest.mark.parametrize("there", ["both", "hands", "head"])
def test_hands_and_faces_give_the_true_skin_tone(people, there):
    """Skin is 5 units off itself from light to shade."""
    hands = hands_of(people) * (there != "head")
    tone = skin_tone(people.images, hands, head_of(people) * (there != "hands"))
    visible = hands.sum((1, 2, 3)) > 40 if there == "hands" else torch.ones(COUNT).bool()
    assert tone.known[visible].all() and visible.sum() > 0.8 * COUNT
    found = errors(tone, people)[visible]
    assert found.median() < 2 and (found < 6).float().mean() > 0.85


def test_predicted_parts_give_the_true_skin_tone_too(people):
    densepose = load_densepose(DEMO_WEIGHTS.with_name("weights_256") / "densepose.safetensors")
    tone = skin_tone_of_parts(people.images, extract_pose(densepose, people.images))
    found = errors(tone, people)
    assert found.median() < 3 and (found < 7).float().mean() > 0.9


def test_bare_arms_are_used_when_hands_and_face_are_hidden():
    people = dressed_alike("short", "blue")
    arms = seen(people, ARMS)
    nothing = torch.zeros_like(arms)
    assert not skin_tone(people.images, nothing, nothing).known.any()
    assert (errors(skin_tone(people.images, nothing, nothing, arms), people) < 5).all()


def test_gloves_are_not_skin():
    people = dressed_alike("short", "red")
    hands = hands_of(people)
    gloved = torch.where(hands > 0, torch.tensor([0.1, 0.3, 0.7]).view(1, 3, 1, 1), people.images)
    assert (errors(skin_tone(gloved, hands, head_of(people)), people) < 8).all()


def test_the_spread_is_the_robust_standard_deviation():
    images = torch.full((1, 3, 40, 40), 0.5)
    images += 0.02 * torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 40, 40)
    tone = skin_tone(images, mask, torch.zeros_like(mask))
    lab = to_lab(images[0].permute(1, 2, 0).numpy())
    assert tone.spread[0, 0].item() == pytest.approx(lab[..., 0].std(), rel=0.1)


def test_likelihood_distinguishes_skin_from_cloth():
    people = dressed_alike("short", "blue")
    tone = skin_tone(people.images, hands_of(people), head_of(people))
    likelihood = skin_likelihood(people.images, tone)
    assert likelihood.shape == (len(people.images), 1, 256, 256)
    assert likelihood[people.classes[:, ARMS, None] > 0.99].median() > 0.9
    assert likelihood[people.garment > 0.99].quantile(0.9) < 0.01


def test_likelihood_by_hand():
    """9 units of a* off, a spread of at most 3: exp(-1/2)."""
    tone = SkinTone(torch.tensor([[50.0, 9, 0]]), torch.tensor([[0.0, 1, 2]]))
    grey = torch.full((1, 3, 1, 1), 0.46633)  # L* 50
    assert skin_likelihood(grey, tone).item() == pytest.approx(np.exp(-0.5), abs=1e-3)
    unknown = SkinTone(torch.full((1, 3), torch.nan), torch.full((1, 3), torch.nan))
    assert skin_likelihood(grey, unknown).item() == 0


def with_other_skin(people: Truth) -> torch.Tensor:
    """Images of the same people with the skin of others, in the same light."""
    albedo = torch.tensor([[0.6, 0.55, 0.5], [0.75, 0.5, 0.4]])[
        torch.arange(len(people.images)) % 2
    ]
    changed = (people.images**2.2 * albedo[..., None, None]).clamp(0, 1) ** (1 / 2.2)
    return torch.lerp(
        people.images, changed, people.classes[:, [FACE, ARMS, HANDS, NECK]].sum(1, True)
    )


@pytest.fixture(scope="module")
def uncovered() -> dict[str, torch.Tensor | SkinTone]:
    """Persons whose long sleeves became short, generated with another skin tone."""
    old, new = dressed_alike("long", "blue"), dressed_alike("short", "blue")
    wrong = with_other_skin(new)
    bare = (new.classes[:, ARMS, None] > 0.99) & (old.garment > 0.99)
    return {
        "original": old.images,
        "generated": wrong,
        "wanted": new.images,
        "arms": arms_of(new),
        "bare": bare.float(),
        "inner": -F.max_pool2d(-bare.float(), 3, 1, 1),
        "tone": skin_tone(old.images, hands_of(old), head_of(old)),
        "generated tone": skin_tone(wrong, hands_of(new), head_of(new)),
    }


def test_new_skin_gets_the_persons_tone(uncovered):
    before = skin_difference(
        uncovered["generated"], uncovered["bare"], uncovered["wanted"], uncovered["bare"]
    )
    shifted = shift_skin(uncovered["generated"], uncovered["bare"], uncovered["tone"])
    after = skin_difference(shifted, uncovered["bare"], uncovered["wanted"], uncovered["bare"])
    assert before.min() > 10
    # hands and face, where the tone comes from, are in other light than arms
    assert after.median() < 3 and after.max() < 6


def test_light_and_shade_of_the_skin_are_kept(uncovered):
    shifted = shift_skin(uncovered["generated"], uncovered["bare"], uncovered["tone"])
    for k in range(len(uncovered["inner"])):
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
