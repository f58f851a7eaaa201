"""The demonstration figures: their code, their drawing, their captions, and the measurement of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fice_core.demo import captions, figures
from fice_core.demo.attributes import (
    APPEARANCE,
    CODE_DIM,
    COLOURS,
    PATTERNS,
    SLEEVES,
    Attributes,
    attributes_from_code,
    mix,
    pattern_class,
    sample_attributes,
    sample_codes,
    sleeve_class,
)
from fice_core.demo.canvas import to_picture
from fice_core.demo.measure import measure
from fice_core.demo.renderer import TORSO, arm, render
from fice_core.networks.tokenizer import WordTokenizer, split_words


def draw(n: int, seed: int = 5) -> Attributes:
    return sample_attributes(n, torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**31), st.floats(1e-4, 1e-3))
@settings(max_examples=25, deadline=None)
def test_attributes_are_continuous_in_the_code(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    code = sample_codes(8, generator).double()
    step = torch.randn(code.shape, generator=generator, dtype=torch.float64)
    here, there = attributes_from_code(code), attributes_from_code(code + size * step / step.norm())
    for name in ("sleeve", "colour", "ink", "pattern", "neckline", "skin", "arm_angle", "skirt"):
        change = (getattr(here, name) - getattr(there, name)).abs().max()
        assert change < 60 * size, name


def test_the_scale_of_a_code_means_nothing() -> None:
    code = sample_codes(4, torch.Generator().manual_seed(0))
    for name in ("sleeve", "colour", "pattern"):
        torch.testing.assert_close(
            getattr(attributes_from_code(code), name), getattr(attributes_from_code(3 * code), name)
        )


def test_every_class_is_common() -> None:
    many = draw(3000)
    names, _ = captions.nearest_colour(many.colour)
    assert min(names.count(c) for c in COLOURS) > 3000 / 12 * 0.6
    for kinds, count in ((pattern_class(many), 5), (sleeve_class(many), 3)):
        assert (torch.bincount(kinds[kinds >= 0], minlength=count) > 3000 / count * 0.3).all()


def test_a_code_on_a_colours_vertex_has_that_colour() -> None:
    many = draw(4000)
    table = torch.tensor(list(COLOURS.values()))
    # lightness varies by 0.045; the nearest figure of every colour must reach its named value
    assert (torch.cdist(table, many.colour).min(1).values < 0.05).all()


def test_mixtures_take_shape_and_colour_apart() -> None:
    a, b = draw(3, 1), draw(3, 2)
    mixed = mix(a, b)
    assert torch.equal(mixed.colour, b.colour) and torch.equal(mixed.sleeve, a.sleeve)
    assert "sleeve" not in APPEARANCE and sample_codes(1, torch.Generator()).shape[1] == CODE_DIM


def test_regions_and_labels_agree() -> None:
    drawn = render(draw(6), 96)
    total = drawn.background + drawn.body + drawn.head
    torch.testing.assert_close(total, torch.ones_like(total))
    for region in (drawn.background, drawn.body, drawn.head, drawn.garment):
        assert region.min() >= 0 and region.max() <= 1 + 1e-6
    labelled = (drawn.labels > 0)[:, None]
    assert ((drawn.background < 0.5) == labelled).float().mean() > 0.995
    assert (drawn.garment <= drawn.body + 1e-5).all()
    assert ((drawn.labels >= 23)[:, None] == (drawn.head > 0.5)).float().mean() > 0.99
    parts = drawn.parts(48)
    assert parts.shape == (6, 14, 48, 48) and (parts.sum(1) <= 1 + 1e-5).all()


def test_a_figure_does_not_depend_on_its_neighbours() -> None:
    many = draw(5)
    torch.testing.assert_close(render(many, 64).images[3:4], render(many[3:4], 64).images)


def test_pictures_of_two_sizes_agree() -> None:
    one = draw(3)
    small, large = render(one, 64).images, render(one, 192).images
    shrunk = torch.nn.functional.interpolate(large, size=(64, 64), mode="area")
    assert (small - shrunk).abs().mean() < 0.012


def test_longer_sleeves_cover_more() -> None:
    one = draw(4)
    covered = [
        render(one.replace(sleeve=torch.full((4,), s)), 96).garment.sum((1, 2, 3))
        for s in (0.0, 0.3, 0.6, 1.0)
    ]
    for shorter, longer in itertools.pairwise(covered):
        assert (longer > shorter + 20).all()


def test_joints_lie_on_the_arms() -> None:
    many = draw(8)
    labels = render(many, 128).labels
    for side, kinds in (("right", (16, 18, 20, 22)), ("left", (15, 17, 19, 21))):
        x, y = to_picture(arm(many, side).elbow)
        here = labels[torch.arange(8), (y * 128).long(), (x * 128).long()]
        assert all(int(label) in kinds for label in here)


def test_the_chest_has_the_garments_colour() -> None:
    many = draw(40)
    plain = many[(many.pattern[:, 1:].max(1).values < 1e-6).nonzero().flatten()]
    drawn = render(plain, 128)
    for image, labels, colour in zip(drawn.images, drawn.labels, plain.colour, strict=True):
        chest = image[:, 75:85, 58:70][:, labels[75:85, 58:70] == TORSO]
        assert (chest.median(1).values - colour).abs().max() < 0.06


def test_captions_use_only_known_words_and_fit() -> None:
    many = draw(400)
    texts = [t for ts in captions.captions(many, torch.Generator().manual_seed(1), 2) for t in ts]
    tokenizer = WordTokenizer(captions.vocabulary(), captions.CONTEXT_LENGTH)
    assert not [w for t in texts for w in tokenizer.unknown_words(t)]
    assert tokenizer(texts).shape == (800, captions.CONTEXT_LENGTH)
    assert len(set(texts)) > 400
    for name in (*COLOURS, "striped", "sleeveless", "sweater", "collar"):
        assert any(name in split_words(text) for text in texts), name


def test_captions_are_true_of_their_figure() -> None:
    many = draw(200)
    said = captions.wording(many, torch.Generator().manual_seed(2))
    true, false = said.truth(captions.classes(many))
    assert true.diagonal().all() and not (true & false).any()
    assert false.float().mean() > 0.7


def test_truth_by_hand() -> None:
    said = captions.Wording(
        ["a red top", "a striped tee"], torch.tensor([[7, -1, -1, -1, -1], [-1, 1, 1, -1, -1]])
    )
    worn = torch.tensor([[7, 1, 1, 0, 0], [9, -1, 1, 0, 0], [-1, 0, -1, 0, 0]])
    true, false = said.truth(worn)
    assert true.tolist() == [[True, False, False], [True, False, False]]
    # the third figure's colour and sleeves are undecided; its pattern is not
    assert false.tolist() == [[False, True, False], [False, False, True]]


@pytest.mark.parametrize("colour", list(COLOURS))
def test_prompts_read_well(colour: str) -> None:
    text = captions.prompt(colour, "stripes", "long")
    assert text == f"{'an' if colour == 'orange' else 'a'} {colour} striped long sleeve shirt"
    assert captions.prompt("red", "plain", "short") == "a red solid t-shirt"


def test_measurement_reads_the_truth() -> None:
    many = draw(120, 99)
    kinds = captions.classes(many)
    kept = (kinds[:, :3] >= 0).all(1).nonzero().flatten()[:60]
    many, kinds = many[kept], kinds[kept]
    colours = [list(COLOURS)[int(k)] for k in kinds[:, 0]]
    seen = measure(render(many, 128).images, many, colours)
    right = [
        (m.colour == c, m.pattern == PATTERNS[int(k[1])], m.sleeve == SLEEVES[int(k[2])])
        for m, c, k in zip(seen, colours, kinds, strict=True)
    ]
    assert min(sum(column) for column in zip(*right, strict=True)) >= 57


def test_measurement_sees_a_change() -> None:
    one = draw(40, 7)
    one = one[(sleeve_class(one) == 0).nonzero().flatten()[:4]]
    n = len(one)
    changed = one.replace(
        colour=torch.tensor([COLOURS["green"]]).expand(n, 3),
        ink=torch.tensor([[0.96, 0.95, 0.92]]).expand(n, 3),
        pattern=torch.tensor([[0.0, 0, 1, 0, 0]]).expand(n, 5),
        sleeve=torch.ones(n),
    )
    for seen in measure(render(changed, 128).images, one, ["green"] * n):
        assert (seen.colour, seen.pattern, seen.sleeve) == ("green", "dots", "long")


def test_bundled_figures_are_the_same_every_time() -> None:
    first, second = figures(32), figures(32)
    assert torch.equal(first.images, second.images) and len(first.prompts) == len(first.images)
    known = set(captions.vocabulary())
    assert all(word in known for text in first.prompts for word in split_words(text))
