"""What an edit changed that it should not have: drawn figures with known differences."""

import torch

from fice_core.demo.attributes import sample_attributes, sleeve_class
from fice_core.demo.differences import bare_skin, becomes_bare, drift
from fice_core.demo.renderer import render
from fice_core.demo.scenes import scene
from fice_core.ops.color import to_lab


def figures(count: int = 3):
    return sample_attributes(count, torch.Generator().manual_seed(77))


def test_drift_is_zero_for_the_photo_and_known_for_a_grey_level() -> None:
    people = figures()
    truth = render(people, 64)
    for value in drift(truth.images, truth, people):
        assert value.tolist() == [0, 0, 0]
    most = torch.ones(3)
    widest = render(people.replace(sleeve=most, knit=most, fit=most), 64).garment
    background = (truth.background > 0.99) & (torch.maximum(truth.garment, widest) < 0.01)
    shifted = torch.where(background, truth.images * 0.9, truth.images)
    trousers, backdrop = drift(shifted, truth, people)
    assert trousers.max() == 0
    lab = [
        torch.from_numpy(to_lab(images.movedim(1, -1).double().numpy()))
        for images in (shifted, truth.images)
    ]
    distance = (lab[0] - lab[1]).norm(dim=-1)
    expected = [float(distance[i][background[i, 0]].mean()) for i in range(3)]
    assert [round(v, 4) for v in backdrop.tolist()] == [round(v, 4) for v in expected]


def test_a_longer_sleeve_or_hem_is_no_drift() -> None:
    people = figures(8).replace(sleeve=torch.zeros(8), knit=torch.zeros(8))
    dressed = people.replace(sleeve=torch.ones(8), knit=torch.ones(8))
    for value in drift(render(dressed, 64).images, render(people, 64), people):
        assert value.max() < 1.0  # the shadow of the sleeves


def test_bare_arms_of_the_person_differ_by_nothing_and_sleeves_by_much() -> None:
    people = figures(8)
    short = people.replace(sleeve=torch.full((8,), 0.35))
    long = people.replace(sleeve=torch.ones(8))
    assert bare_skin(render(short, 64).images, people).max() < 1.0
    assert bare_skin(render(long, 64).images, people).median() > 10.0


def test_only_long_sleeves_become_bare() -> None:
    people = figures(40)
    wished = ["short"] * 20 + ["long"] * 20
    long = (sleeve_class(people) == 2).tolist()
    expected = [old and new == "short" for old, new in zip(long, wished, strict=True)]
    assert becomes_bare(people, wished) == expected
    assert any(expected)


def test_a_scene_holds_its_figures_where_it_says() -> None:
    made = scene((120, 200), [(100, 30, 90), (-20, 60, 60)], seed=1, grain=0.0)
    assert made.image.shape == (1, 3, 120, 200)
    assert made.boxes == ((100, 30, 190, 120), (-20, 60, 40, 120))
    person = (made.body + made.head)[0, 0]
    assert person[30:120, 100:190].sum() > 0.2 * 90 * 90
    assert person[:, 50:95].max() == 0
    drawn = render(made.figures[0:1], 90)
    inside = ((drawn.body + drawn.head) > 0.999)[0, 0]
    torch.testing.assert_close(
        made.image[0, :, 30:120, 100:190][:, inside], drawn.images[0][:, inside], atol=2e-3, rtol=0
    )
    again = scene((120, 200), [(100, 30, 90), (-20, 60, 60)], seed=1, grain=0.0)
    assert torch.equal(made.image, again.image)
