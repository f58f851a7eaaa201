"""What CLIP is shown of an image."""

import torch

from fice_core.inversion.clip_views import garment_view


def test_the_garments_view_is_the_box_around_it_by_hand() -> None:
    images = torch.zeros(1, 3, 50, 50)
    photos = torch.ones(1, 3, 50, 50)
    keep = torch.ones(1, 1, 50, 50)
    keep[..., 10:30, 15:25] = 0  # 20 rows, 10 columns; the margin is 6 percent, 3 pixels, a side
    view = garment_view(images, photos, keep)
    assert view.shape == images.shape
    # The box is 26 pixels a side and centred on (20, 20): the garment fills 20/26 by 10/26 of it.
    dark = (view[0, 0] < 0.5).float()
    assert abs(float(dark.mean()) - (20 / 26) * (10 / 26)) < 0.02
    rows = dark.amax(dim=1).nonzero()
    assert abs(float(rows.float().mean()) - 24.5) < 1.0


def test_a_view_at_the_border_does_not_reach_beyond_it() -> None:
    keep = torch.ones(1, 1, 40, 40)
    keep[..., 30:40, 0:10] = 0
    ramp = torch.linspace(0, 1, 40).view(1, 1, 40, 1).expand(1, 3, 40, 40)
    view = garment_view(ramp, ramp, keep)
    # Rows 25.6 to 40 are seen, each but the last a little lower than the one before.
    steps = view[0, 0, 1:-2, 20].diff()
    assert (steps > 0).all()


def test_nothing_to_change_shows_the_whole_photo() -> None:
    photo = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    view = garment_view(torch.zeros_like(photo), photo, torch.ones(2, 1, 20, 20))
    torch.testing.assert_close(view, photo)


def test_only_the_garment_gets_a_gradient() -> None:
    images = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1)).requires_grad_()
    keep = torch.ones(1, 1, 24, 24)
    keep[..., 8:16, 8:16] = 0
    garment_view(images, torch.zeros(1, 3, 24, 24), keep).square().sum().backward()
    pulled = images.grad[0].abs().sum(dim=0) > 0
    assert pulled[8:16, 8:16].all()
    assert pulled.sum() == 64
