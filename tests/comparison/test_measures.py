"""Measures of one edit."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn
from toys import SIZE, toy_clip, toy_densepose

from fice_core.comparison import lpips as perceptual
from fice_core.comparison.measures import Judges, Truth, _apart, _parts, garment_crop, measure
from fice_core.comparison.pairs import Pair
from fice_core.errors import FiceError
from fice_core.evaluation.drawn import cases

PAIR = Pair("photo", "a red shirt", "a blue shirt")


def mask() -> Tensor:
    found = torch.zeros(1, SIZE, SIZE)
    found[:, 2:6, 3:6] = 1
    return found


def judged(photo: Tensor, edit: Tensor, pair: Pair = PAIR) -> dict[str, float]:
    judge = toy_clip()
    look = judge.encode_image  # of any size
    judge.encode_image = lambda x: look(nn.functional.interpolate(x, size=(SIZE, SIZE)))
    judges = Judges(toy_clip(), toy_densepose(), judge, lambda a, b: float((a - b).abs().sum()))
    return measure(photo, edit, mask(), pair, judges)


def test_only_what_lies_outside_counts() -> None:
    photo = torch.rand(3, SIZE, SIZE)
    inside = torch.where(mask() > 0, 1 - photo, photo)
    found = judged(photo, inside)
    assert (found["equal"], found["psnr"], found["mean"], found["lpips"]) == (1, math.inf, 0, 0)
    noisy = (photo + 0.1 * torch.rand(3, SIZE, SIZE)).clamp(0, 1)
    found = judged(photo, noisy)
    outside = (mask() == 0).expand(3, -1, -1).numpy()
    expected = peak_signal_noise_ratio(photo.numpy()[outside], noisy.numpy()[outside], data_range=1)
    assert found["psnr"] == pytest.approx(expected, rel=1e-5)
    kept = torch.where(mask() > 0, photo, noisy)
    assert found["lpips"] == pytest.approx(float((photo - kept).abs().sum()))


def test_cosines_by_hand() -> None:
    photo, edit = torch.rand(2, 3, SIZE, SIZE)
    clip = toy_clip()
    text, worn = clip.encode_text([PAIR.text, PAIR.worn])
    before, after = clip.encode_image(torch.stack([photo, edit]))
    found = judged(photo, edit)
    assert found["judge"] == found["clip"] == pytest.approx(float(after @ text), abs=1e-6)
    moved, asked = after - before, text - worn
    expected = float(moved @ asked / moved.norm() / asked.norm())
    assert found["directional"] == pytest.approx(expected, abs=1e-5)


def test_without_a_direction_there_is_none() -> None:
    photo = torch.rand(3, SIZE, SIZE)
    assert "directional" not in judged(photo, photo)
    assert "directional" not in judged(photo, 1 - photo, Pair("photo", "a red shirt"))


def test_the_crop_lies_in_the_middle_of_a_white_square() -> None:
    image = torch.rand(3, SIZE, SIZE) * 0.9
    found = garment_crop(image, mask())
    assert found.shape == (3, 4, 4)
    assert torch.equal(found[:, :, :3], image[:, 2:6, 3:6])
    assert (found[:, :, 3] == 1).all()
    assert torch.equal(garment_crop(image, torch.zeros(1, SIZE, SIZE)), image)


def test_the_distance_of_parts_is_in_pixels_of_the_photo() -> None:
    before, after = torch.zeros(2, 14, 112, 112)
    before[2, 40:50, 40:50] = after[2, 43:53, 44:54] = 1  # 3 and 4 apart
    before[5, :9, :9] = after[5, :9, :9] = 0.9  # and one that stays
    before[7, 60:70, 60:70] = 1  # seen once
    before[8, :1, :3] = after[8, -1:, -3:] = 1  # too small
    assert _apart(before, after, 1.0) == pytest.approx(2.5, abs=1e-4)
    assert _apart(before, after, 2.0) == pytest.approx(5.0, abs=1e-4)
    assert _apart(before, torch.zeros(14, 112, 112), 1.0) is None


class Seen(nn.Module):
    """A part where the image's red is 1; keeps the size of what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        self.size = images.shape[-2:]
        return torch.cat([images[:, :1], torch.zeros(len(images), 13, *images.shape[2:])], dim=1)


@pytest.mark.parametrize(
    ("size", "shown"), [((96, 96), 96), ((256, 256), 256), ((300, 300), 256), ((64, 96), 256)]
)
def test_small_square_images_are_shown_as_they_are(size: tuple[int, int], shown: int) -> None:
    network = Seen()
    assert _parts(network, torch.rand(3, *size)).shape == (14, shown, shown)
    assert network.size == (shown, shown)


def test_truth_of_people_who_are_as_asked() -> None:
    """Persons in their own clothes: what is measured is what they wear."""
    known = cases(3, seed=1)

    @dataclass
    class Wearing:
        wanted: list[tuple[str, str, str]]

        def sitting(self, span: slice, size: int) -> object:
            return known.sitting(span, size)

    images = known.sitting(slice(0, 3), 128).truth.images
    seen = known.sitting(slice(0, 3), 128).measure(images)
    wears = Wearing([(one.colour, one.pattern, str(one.sleeve)) for one in seen])
    for number in range(3):
        assert Truth(wears, number, 128).measure(images[number]) == {
            "colour": 1,
            "pattern": 1,
            "sleeve": 1,
        }
        asked = Truth(known, number, 128).measure(images[number])
        assert asked["colour"] == 0  # every case asks for another colour


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lpips_with_a_trunk_from_a_file(
    tmp_path: Path, net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the package computes it with the same trunk of torchvision."""
    import lpips
    from torchvision import models

    build = {"alex": models.alexnet, "squeeze": models.squeezenet1_1}[net]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = build(weights=None)
    state = {name: x for name, x in trunk.state_dict().items() if name.startswith("features")}
    torch.save(state, tmp_path / "trunk.pth")
    name, distance = perceptual.load_lpips(tmp_path / "trunk.pth", torch.device("cpu"))
    assert name == net
    reference = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    for k, piece in enumerate(trunk.features):
        for slice_ in reference.net.children():
            if str(k) in dict(slice_.named_children()):
                slice_.get_submodule(str(k)).load_state_dict(piece.state_dict())
    first, second = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = float(reference(2 * first[None] - 1, 2 * second[None] - 1))
    assert distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert distance(first, first) == 0


def test_a_file_that_is_no_trunk(tmp_path: Path) -> None:
    torch.save({"weight": torch.from_numpy(np.zeros(2))}, tmp_path / "other.pth")
    with pytest.raises(FiceError, match="alexnet, vgg16 or squeezenet"):
        perceptual.load_lpips(tmp_path / "other.pth", torch.device("cpu"))
