"""A scene of people at known places."""

import torch

from fice_core.demo.groups import scene
from fice_core.demo.people import truth

PLACES = [(100, 30, 90), (-20, 60, 60)]


def test_a_scene_holds_its_people_where_it_says() -> None:
    made = scene((120, 200), PLACES, seed=1, grain=0.0)
    assert made.image.shape == (1, 3, 120, 200)
    assert made.boxes == ((100, 30, 190, 120), (-20, 60, 40, 120))
    assert made.people[0] is not made.people[1]
    person = (made.body + made.head)[0, 0]
    assert person[30:120, 100:190].sum() > 0.15 * 90 * 90
    assert person[:, 50:100].max() == 0 and person[:30].max() == 0
    shown = truth([made.people[0].portrait(90)])
    inside = (shown.body + shown.head)[0, 0] > 0.999
    torch.testing.assert_close(
        made.image[0, :, 30:120, 100:190][:, inside], shown.images[0][:, inside], atol=0.02, rtol=0
    )
    assert torch.equal(made.image, scene((120, 200), PLACES, seed=1, grain=0.0).image)
    assert not torch.equal(made.image, scene((120, 200), PLACES, seed=2, grain=0.0).image)
