"""What the generator's training minimises: losses by hand, second gradients, controls, augmentation."""

import math

import pytest
import torch
from torch import Tensor
from training_toys import tiny_generator

from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import Generator
from fice_core.training.adversaries import (
    Controls,
    average_decay,
    default_gamma,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    path_lengths,
    random_noise,
    synthesize,
)
from fice_core.training.augmentation import CLOTHES, KINDS, Augmentation
from fice_core.training.discriminator import (
    Discriminator,
    load_discriminator,
    save_discriminator,
)
from fice_core.training.distributed import generator_of
from fice_core.training.frechet import frechet_distance, load_inception


def small(resolution: tuple[int, int] = (8, 8), clamp: float | None = None) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Generator(resolution, 4, 4, channel_base=32, channel_max=4, conv_clamp=clamp)
        for name, parameter in network.named_parameters():
            if "noise_strength" in name:
                torch.nn.init.constant_(parameter, 0.3)
        return network.double()


def critic(group: int = 2, resolution: tuple[int, int] = (8, 8)) -> Discriminator:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return Discriminator(resolution, 32, 4, conv_clamp=None, group=group).double()


def draws(count: int, seed: int = 0) -> list[torch.Generator]:
    return [generator_of(seed, k) for k in range(count)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator_of(seed), dtype=torch.float64)


def test_losses_by_hand() -> None:
    real, fake = torch.tensor([0.0, 2.0]), torch.tensor([-1.0])
    assert float(generator_loss(fake)) == pytest.approx(math.log(1 + math.e))
    expected = math.log(1 + math.exp(-1)) + (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected)
    assert default_gamma((256, 256), 16) == pytest.approx(0.8192)
    assert default_gamma((256, 128), 16) == pytest.approx(0.4096)


def test_average_has_the_half_life_of_ten_thousand_images() -> None:
    assert average_decay(0, 32) == 0
    # a twentieth of the images that were seen, at first
    assert average_decay(100, 32) ** (0.05 * 100) == pytest.approx(0.5)
    assert average_decay(10**6, 32) ** (10_000 / 32) == pytest.approx(0.5)
    assert average_decay(10**6, 64) ** (20_000 / 64) == pytest.approx(0.5)


@pytest.mark.parametrize("resolution", [(16, 16), (16, 8)])
@pytest.mark.parametrize("clamp", [None, 256.0])
def test_the_training_pass_is_that_of_the_generator(
    resolution: tuple[int, int], clamp: float | None
) -> None:
    network = small(resolution, clamp)
    codes = normal(2, network.num_ws, 4)
    with torch.no_grad():
        own = network.synthesis(codes)
        torch.testing.assert_close(synthesize(network, codes), own)
        noise = random_noise(network, 0, 0, 0, [5, 6])
        other = synthesize(network, codes, noise)
        assert not torch.allclose(other, own)
        # a sample's noise depends on its number alone
        assert torch.equal(random_noise(network, 0, 0, 0, [6])[0], noise[1])
        single = synthesize(network, codes[1:], noise[1:])
        torch.testing.assert_close(single[0], other[1])
        half = synthesize(network.float(), codes.float(), noise.float(), half=True)
        assert half.dtype == torch.float32
        assert float((half - other).abs().max()) < 0.1 * float(other.abs().max())


def test_noise_of_the_samples_is_that_of_the_layers() -> None:
    network = small()
    codes = normal(1, network.num_ws, 4)
    layers = [network.synthesis.b4.conv1, network.synthesis.b8.conv0, network.synthesis.b8.conv1]
    noise = torch.cat([layer.noise_const.flatten() for layer in layers])[None]
    with torch.no_grad():
        torch.testing.assert_close(synthesize(network, codes, noise), network.synthesis(codes))


def test_second_gradients_of_the_generator() -> None:
    network = small()
    noise = random_noise(network, 0, 0, 0, [0])
    codes = normal(1, network.num_ws, 4, seed=1).requires_grad_(True)

    def image(w: Tensor) -> Tensor:
        return synthesize(network, w, noise)[:, :, ::3, ::3]

    assert torch.autograd.gradcheck(image, codes)
    assert torch.autograd.gradgradcheck(image, codes)


def _slope(loss, parameter: torch.nn.Parameter, index: int) -> float:  # type: ignore[no-untyped-def]
    """The change of a loss with one number of a parameter, by finite differences."""
    step, values = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            parameter.view(-1)[index] += sign * step
        values.append(float(loss().detach()))
        with torch.no_grad():
            parameter.view(-1)[index] -= sign * step
    return (values[0] - values[1]) / (2 * step)


def test_path_length_penalty_and_its_gradient() -> None:
    network = small()
    noise = random_noise(network, 0, 0, 0, [0, 1])
    direction = normal(2, 3, 8, 8, seed=2)
    codes = normal(2, network.num_ws, 4, seed=1)

    def lengths() -> Tensor:
        w = codes.clone().requires_grad_(True)
        return path_lengths(synthesize(network, w, noise), w, direction)

    jacobian = torch.autograd.functional.jacobian(
        lambda w: (synthesize(network, w[None], noise[:1]) * direction[0] / 8).sum(), codes[0]
    )
    expected = jacobian.square().sum(1).mean().sqrt()
    assert float(lengths()[0].detach()) == pytest.approx(float(expected.detach()))

    def loss() -> Tensor:
        return (lengths() - 0.1).square().mean()

    loss().backward()
    for parameter, index in ((network.synthesis.b8.conv0.weight, 5), (network.synthesis.b4.const, 9),
                             (network.synthesis.b8.conv1.affine.weight, 3)):  # fmt: skip
        assert parameter.grad is not None
        found = float(parameter.grad.view(-1)[index])
        assert found == pytest.approx(_slope(loss, parameter, index), rel=1e-5)
        assert found != 0


def test_gradient_penalty_and_its_gradient() -> None:
    network = critic()
    images = normal(4, 3, 8, 8, seed=5).clamp(-1, 1)

    def loss() -> Tensor:
        seen = images.clone().requires_grad_(True)
        return gradient_penalty(network(seen), seen)

    loss().backward()
    for parameter, index in ((network.b8.conv1.weight, 7), (network.b4.fc.weight, 3)):
        assert parameter.grad is not None
        found = float(parameter.grad.view(-1)[index])
        assert found == pytest.approx(_slope(loss, parameter, index), rel=1e-5)
        assert found != 0


def test_the_discriminator_sees_the_spread_of_groups_and_nothing_else_of_them() -> None:
    network = critic(group=2)
    images = normal(4, 3, 8, 8)
    with torch.no_grad():
        whole = network(images)
        torch.testing.assert_close(network(images[:2]), whole[:2])
        torch.testing.assert_close(network(images[[2, 3, 0, 1]]), whole[[2, 3, 0, 1]])
        alike = images.clone()
        alike[1] = alike[0]
        assert float(network(alike)[0]) != pytest.approx(float(whole[0]))
        assert critic(resolution=(16, 8))(normal(2, 3, 16, 8)).shape == (2,)


def test_layers_are_frozen_from_the_image_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = critic(resolution=(16, 16))
    network.freeze(4)
    frozen = {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    free = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert (frozen, free) == ({"b16"}, {"b8", "b4"})
    save_discriminator(network, tmp_path / "d.safetensors")
    again = load_discriminator(tmp_path / "d.safetensors", group=4).double()
    assert again.group == 4
    images = normal(4, 3, 16, 16)
    with torch.no_grad():
        network.group = 4
        assert torch.equal(again(images), network(images))
    (tmp_path / "d.safetensors").write_bytes(b"nothing")
    with pytest.raises(FiceError, match="cannot read the discriminator"):
        load_discriminator(tmp_path / "d.safetensors", group=4)


def test_augmentation_adapts_to_the_signs() -> None:
    controls = Controls()
    for step in range(4):
        controls.judge(0.9, step, batch=10, images=1000)
    assert float(controls.probability) == pytest.approx(0.04)
    for step in range(4, 8):
        controls.judge(0.5, step, batch=10, images=1000)
    assert float(controls.probability) == pytest.approx(0)
    for step in range(8, 12):
        controls.judge(-1, step, batch=10, images=1000)
    assert float(controls.probability) == 0  # never below
    controls.judge(1, 15, batch=10, images=0)  # it is not adapted
    assert float(controls.probability) == 0
    assert controls.lengthen(10) == pytest.approx(0.1)
    assert controls.lengthen(0.1) == pytest.approx(0.1)


def images(count: int = 64, size: tuple[int, int] = (16, 16)) -> Tensor:
    return (normal(count, 3, *size, seed=8) * 0.3).clamp(-1, 1)


def test_no_probability_no_change() -> None:
    assert torch.equal(Augmentation(KINDS)(images(), 0, draws(64)), images())
    assert torch.equal(Augmentation(())(images(), 1, draws(64)), images())
    with pytest.raises(ValueError, match="unknown augmentation 'spin'"):
        Augmentation(("spin",))


@pytest.mark.parametrize("kind", KINDS)
def test_about_the_probability_of_images_are_altered_and_each_by_its_own_draws(kind: str) -> None:
    before = images()
    altered = Augmentation((kind,))(before, 0.5, draws(64))
    changed = (altered - before).abs().amax((1, 2, 3)) > 1e-9
    half = kind in ("flip", "luma")  # these do nothing in half of the cases
    assert (8 <= int(changed.sum()) <= 26) if half else (20 <= int(changed.sum()) <= 44)
    single = Augmentation((kind,))(before[5:6], 0.5, [generator_of(0, 5)])
    torch.testing.assert_close(single[0], altered[5])


def test_flips_turns_and_shifts_keep_pixels() -> None:
    before = images(32)
    flipped = Augmentation(("flip",))(before, 1, draws(32))
    assert {bool(torch.equal(a, b)) or bool(torch.equal(a, b.flip(-1)))
            for a, b in zip(flipped, before, strict=True)} == {True}  # fmt: skip
    turned = Augmentation(("rotate90",))(before, 1, draws(32))
    turns = {k for a, b in zip(turned, before, strict=True)
             for k in range(4) if torch.equal(a, torch.rot90(b, k, (-2, -1)))}  # fmt: skip
    assert turns == {0, 1, 2, 3}
    shifted = Augmentation(("shift",))(before, 1, draws(32))
    for a, b in zip(shifted, before, strict=True):
        inner = a[:, 4:-4, 4:-4]
        places = [(x, y) for x in range(-2, 3) for y in range(-2, 3)
                  if torch.equal(inner, b[:, 4 - y : 12 - y, 4 - x : 12 - x])]  # fmt: skip
        assert len(places) == 1


def test_movements_move_a_point_where_they_should() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(16.0), indexing="ij")
    spot = torch.exp(-((x - 10.5) ** 2 + (y - 20.5) ** 2) / 8).double()
    before = spot.expand(16, 3, 32, 16) * 2 - 1
    for kind in ("scale", "rotate", "aniso", "fraction"):
        after = (Augmentation((kind,))(before, 1, draws(16)) + 1) / 2
        mass = after[:, 0].sum((1, 2))
        place = torch.stack([(after[:, 0] * grid).sum((1, 2)) / mass for grid in (x, y)], 1)
        moved = place - torch.tensor([10.5, 20.5], dtype=torch.float64)
        # from the centre (7.5, 15.5) the spot lies at (3, 5)
        radius = (place - torch.tensor([7.5, 15.5], dtype=torch.float64)).norm(dim=1)
        if kind == "rotate":
            assert float((radius - math.sqrt(34)).abs().max()) < 0.2
            angle = torch.atan2(place[:, 1] - 15.5, place[:, 0] - 7.5) - math.atan2(5, 3)
            assert 0.1 < float(angle.abs().max()) < math.radians(11)
        if kind == "scale":
            kept = (radius > 5.2) & (
                radius < 6.6
            )  # others leave the image, or are seen mirrored too
            ratio = (place[:, 0] - 7.5) / (place[:, 1] - 15.5)
            assert float((ratio[kept] - 0.6).abs().max()) < 0.05
        assert float(moved.abs().max()) > 0.3


def test_colours_are_altered_as_their_names_say() -> None:
    before = images(16)
    grey = before.mean(1, keepdim=True)
    deviation = before - grey

    def altered(kind: str) -> Tensor:
        return Augmentation((kind,))(before, 1, draws(16))

    brighter = altered("brightness") - before
    torch.testing.assert_close(brighter, brighter[:, :1, :1, :1].expand_as(brighter))
    contrast = altered("contrast") / before
    torch.testing.assert_close(contrast, contrast[:, :1, :1, :1].expand_as(contrast))
    saturated = altered("saturation")
    torch.testing.assert_close(saturated.mean(1, keepdim=True), grey)
    factor = (saturated - grey) / deviation
    torch.testing.assert_close(factor, factor[:, :1, :1, :1].expand_as(factor))
    turned = altered("hue")
    torch.testing.assert_close(turned.mean(1, keepdim=True), grey)
    torch.testing.assert_close((turned - grey).norm(dim=1), deviation.norm(dim=1))
    mirrored = altered("luma").mean(1, keepdim=True) / grey
    torch.testing.assert_close(mirrored.abs(), torch.ones_like(mirrored))
    assert {round(value) for value in mirrored[:, 0, 0, 0].tolist()} == {-1, 1}


def test_gradients_reach_the_images_through_all_augmentations() -> None:
    few = images(2, (8, 8)).requires_grad_(True)
    augment = Augmentation(CLOTHES)
    assert torch.autograd.gradcheck(
        lambda x: augment(x, 1.0, draws(2, seed=3)), few, fast_mode=True
    )


def test_frechet_distance_of_known_distributions() -> None:
    first = normal(4000, 3)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + torch.tensor([3.0, 0, 4])) == pytest.approx(25, abs=1e-6)
    # |2 s - s|^2 for each axis, where the covariances commute
    spread = float(torch.cov(first.T).trace())
    moved = 2 * (first - first.mean(0)) + first.mean(0)
    assert frechet_distance(first, moved) == pytest.approx(spread, rel=1e-6)
    linalg = pytest.importorskip("scipy.linalg")
    other = first @ normal(3, 3, seed=9) + 1
    one, two = torch.cov(first.T), torch.cov(other.T)
    root = linalg.sqrtm((one @ two).numpy()).real
    expected = (
        (first.mean(0) - other.mean(0)).square().sum() + (one + two).trace() - 2 * root.trace()
    )
    assert frechet_distance(first, other) == pytest.approx(float(expected), rel=1e-6)


class Inception(torch.nn.Module):
    """Takes what the published file takes."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        assert images.dtype == torch.uint8
        pooled = images.float().mean((2, 3))
        return pooled if return_features else pooled.sum(1)


def test_inception_is_read_from_torchscript(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.jit.script(Inception()).save(tmp_path / "inception.pt")
    embedding = load_inception(tmp_path / "inception.pt", torch.device("cpu"))
    assert embedding(torch.ones(2, 3, 4, 4)).tolist() == [[255.0] * 3] * 2
    torch.jit.script(torch.nn.Identity()).save(tmp_path / "other.pt")
    with pytest.raises(FiceError, match="does not take images and return_features"):
        load_inception(tmp_path / "other.pt", torch.device("cpu"))(torch.ones(1, 3, 4, 4))
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(FiceError, match="is not a TorchScript file"):
        load_inception(tmp_path / "broken.pt", torch.device("cpu"))
    with pytest.raises(FiceError, match="there is no file"):
        load_inception(tmp_path / "none.pt", torch.device("cpu"))


def test_a_tiny_generator_has_the_layers_that_the_training_pass_uses() -> None:
    network = tiny_generator()
    names = {name for name, _ in network.named_buffers() if name.endswith("noise_const")}
    assert random_noise(network, 0, 0, 0, [0]).shape[1] == sum(
        dict(network.named_buffers())[name].numel() for name in names
    )
