"""Training of an encoder: its schedule, pairs and losses, resuming, two processes."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import write_models
from training_toys import SIZE, on_one, on_two, tiny_generator

from fice_core import checkpoints
from fice_core.datasets import open_photos
from fice_core.errors import FiceError
from fice_core.networks.e4e import Encoder
from fice_core.networks.segmenter import Segmenter
from fice_core.training import encoder
from fice_core.training.critics import feature_difference, features_of, summary
from fice_core.training.distributed import Processes, generator_of
from fice_core.training.encoder import EncoderTraining, Pairs, Recipe, code_statistics, offsets_at
from fice_core.training.latent_critic import CodePool, LatentCritic, critic_loss
from fice_core.training.loop import Schedule
from fice_core.training.losses import differences, psnr
from fice_core.training.photos import Photos

CONFIG: dict[str, Any] = {"input_size": 32, "stages": ((4, 1), (6, 1), (8, 1), (10, 1))}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoder.SIZES, "small", CONFIG | {"head_channels": 6})
    monkeypatch.setattr(encoder, "HELD_OUT", 4)
    monkeypatch.setattr(encoder, "_SHOWN", 2)


class Noise:
    """A photo of random pixels."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def image(self) -> torch.Tensor:
        return torch.rand(1, 3, 40, 40, generator=generator_of(self.seed))


def test_offsets_come_one_after_the_other() -> None:
    assert [offsets_at(i, 1000, 8) for i in (0, 99, 100, 109, 110, 159, 160, 999)] == [
        *(0, 0, 1, 1, 2, 6, 7, 7)
    ]


def test_an_encoder_without_offsets_gives_one_w_for_all_styles() -> None:
    network = Encoder(num_styles=5, style_dim=8, head_channels=4, **CONFIG).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        none, some, all_of = (network(images, k) for k in (0, 2, None))
        assert torch.equal(none, none[:, :1].expand_as(none))
        assert torch.equal(some[:, :3], all_of[:, :3])
        assert torch.equal(some[:, 3:], none[:, 3:])


def test_pairs_follow_from_their_generators_and_the_recipe() -> None:
    network = tiny_generator()
    _, spread = code_statistics(network)
    plain = Pairs(network, Recipe(mixed=0, disturbed=0), spread)
    codes = plain.codes([generator_of(k) for k in range(3)])
    assert torch.equal(codes, codes[:, :1].expand_as(codes))
    assert torch.equal(plain.codes([generator_of(2)])[0], codes[2])
    mixed = Pairs(network, Recipe(mixed=1, disturbed=0), spread).codes([generator_of(0)])[0]
    assert torch.equal(mixed[0], codes[0, 0]) and not torch.equal(mixed[-1], codes[0, 0])
    assert len(mixed.unique(dim=0)) == 2
    noisy = Pairs(network, Recipe(mixed=0, disturbed=0.5), spread).codes([generator_of(0)])[0]
    assert len(noisy.unique(dim=0)) == network.num_ws


def test_losses_by_hand() -> None:
    images = torch.full((2, 3, 16, 16), 0.5)
    brighter = images + torch.tensor([0.05, 0.2])[:, None, None, None]
    # the squared error below the limit of 0.1 and of its sixteenths; above, the absolute one
    small = 0.05**2 / 0.2 + (0.05 - 0.0125) + (0.05 - 0.003125)
    large = (0.2 - 0.05) + (0.2 - 0.0125) + (0.2 - 0.003125)
    assert differences(brighter, images).tolist() == pytest.approx([small, large], rel=1e-4)
    assert psnr(brighter, images).tolist() == pytest.approx(
        [-20 * math.log10(0.05), -20 * math.log10(0.2)], rel=1e-4
    )


def test_features_are_compared_by_direction_and_only_the_output_has_a_gradient() -> None:
    def features(images: torch.Tensor) -> list[torch.Tensor]:
        return [images, images.mean((2, 3))]

    target = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 2, 2).clone()
    output = torch.tensor([0.0, 2, 0])[None, :, None, None].expand(1, 3, 2, 2).clone()
    target.requires_grad_(True)
    output.requires_grad_(True)
    loss = feature_difference(features, output, target)
    assert float(loss.detach()) == pytest.approx(
        2
    )  # vectors at right angles, whatever their length
    loss.sum().backward()
    assert target.grad is None and output.grad is not None
    assert feature_difference(features, 3 * target, target).detach().tolist() == pytest.approx([0])
    assert summary(features, output).tolist() == [[0, 2, 0, 0, 2, 0]]


def test_the_pool_keeps_codes_and_returns_older_ones() -> None:
    pool = CodePool((2,), size=3)
    generator = generator_of(0)
    first = torch.arange(6.0).view(3, 2)
    assert torch.equal(pool.exchange(first, generator), first)  # it fills up
    seen = set()
    for k in range(40):
        new = torch.full((1, 2), 100.0 + k)
        shown = pool.exchange(new, generator)
        assert torch.equal(shown, new) or float(shown[0, 0]) < 100 + k
        seen.add(bool(torch.equal(shown, new)))
    assert seen == {True, False}
    again = CodePool((2,), size=3)
    again.load_state_dict(pool.state_dict())
    assert int(again.filled) == 3 and torch.equal(again.codes, pool.codes)


def test_the_penalty_of_the_discriminator_is_that_of_its_gradient() -> None:
    critic = LatentCritic(3).double()
    real, fake = torch.randn(2, 5, 3, generator=generator_of(1), dtype=torch.float64).unbind()
    alone, same = critic_loss(critic, real, fake, 1)
    assert same is alone
    alone, with_penalty = critic_loss(critic, real, fake, 16)
    step = 1e-6
    slopes = []
    with torch.no_grad():
        for axis in range(3):
            moved = torch.zeros(3, dtype=torch.float64)
            moved[axis] = step
            slopes.append((critic(real + moved) - critic(real - moved)) / (2 * step))
    penalty = 80 * torch.stack(slopes).square().sum(0).mean()
    assert (with_penalty - alone).item() == pytest.approx(float(penalty), rel=1e-5)


def test_loss_is_nothing_where_the_encoder_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_generator()
    recipe = Recipe(offsets=0, adversarial=0, harmed=0)
    training = EncoderTraining(
        encoder.build(network, "small"), network, recipe, batch=4, half=False
    )
    images, _ = training.draw(0)
    images.targets = network.synthesize(images.codes)
    monkeypatch.setattr(training, "network", lambda inputs, offsets: images.codes)
    loss, _, figures = training.losses(images, network.num_ws - 1)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    monkeypatch.setattr(training, "network", lambda inputs, offsets: images.codes + training.spread)
    _, _, figures = training.losses(images, network.num_ws - 1)
    assert float(figures["code"]) == pytest.approx(recipe.code)


def test_photos_are_every_second_image_and_have_no_code(tmp_path: Path) -> None:
    network = tiny_generator()
    photos = Photos([Noise(k) for k in range(5)], (SIZE, SIZE))
    training = EncoderTraining(
        encoder.build(network, "small"), network, Recipe(harmed=0), (), photos, 4, half=False
    )
    images, _ = training.draw(0)
    assert images.known.tolist() == [1, 0, 1, 0]
    # one of two processes may have no photo, or photos alone
    for share, known in ((range(0, 1), [1]), (range(1, 2), [0])):
        training.own = share
        assert training.draw(0)[0].known.tolist() == known
    with torch.no_grad():
        own = network.synthesize(images.codes).clamp(0, 1)
    assert torch.equal(images.targets[0], own[0])
    every = photos.images(range(5))
    alike = [(images.targets[1] - each).abs().max() for each in (*every, *every.flip(-1))]
    assert min(alike) == 0


def _curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "encoder.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def _train(
    processes: Processes, folder: Path, steps: int = 20, minutes: float | None = None
) -> dict[str, torch.Tensor]:
    # In 64 bits: Adam makes much of rounding in its first steps, where squares are small.
    network = tiny_generator().double()
    photos = Photos([Noise(k) for k in range(6)], (SIZE, SIZE))
    found, _ = encoder.train(
        encoder.build(network, "small").double(),
        network,
        folder,
        Schedule(steps, minutes, save_every=8),
        photos=photos,
        batch=4,
        processes=processes,
        half=False,
        log_every=1,
    )
    return found.state_dict()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    on_one(_train, tmp_path / "one")
    on_two(_train, tmp_path / "two")
    one, two = _curve(tmp_path / "one"), _curve(tmp_path / "two")
    assert len(one) == len(two) == 23
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, abs=1e-6)


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = _train(Processes(), tmp_path / "whole")
    parts = tmp_path / "parts"
    _train(Processes(), parts, minutes=1e-9)  # one step
    _train(Processes(), parts, minutes=1e-9)
    # it was killed later, so that the log has lines beyond the checkpoint
    with open(parts / "encoder.jsonl", "a") as file:
        file.write('{"step": 3, "loss": 99}\n{"step": 4, "lo')
    found = _train(Processes(), parts)
    for key, value in found.items():
        assert torch.equal(value, whole[key]), key
    measured = {"psnr", "code_error", "photo_psnr"}
    stripped = [
        [line for line in _curve(tmp_path / name) if not measured & set(line)]
        for name in ("whole", "parts")
    ]
    assert stripped[0] == stripped[1] and len(stripped[0]) == 20


def test_training_reduces_the_loss(tmp_path: Path) -> None:
    network = tiny_generator()
    encoder.train(
        encoder.build(network, "small"),
        network,
        tmp_path,
        Schedule(40),
        critics=[
            Segmenter(
                stem_channels=4, width=2, blocks=(1, 1, 1, 1), aspp_channels=4, aspp_rates=(1, 2, 3)
            )
        ],
        batch=4,
        rate=5e-3,
        half=False,
        log_every=1,
    )
    curve = [line["loss"] for line in _curve(tmp_path) if "loss" in line]
    assert sum(curve[-10:]) < 0.8 * sum(curve[:10])
    assert (tmp_path / "encoder-000040.png").exists()


def test_a_checkpoint_of_other_options_is_refused(tmp_path: Path) -> None:
    _train(Processes(), tmp_path, steps=1)
    network = tiny_generator()
    with pytest.raises(FiceError, match="was made with batch 4, not 2"):
        encoder.train(
            encoder.build(network, "small"),
            network,
            tmp_path,
            Schedule(2),
            photos=Photos([Noise(k) for k in range(6)], (SIZE, SIZE)),
            batch=2,
        )
    (tmp_path / "encoder.ckpt").write_bytes(b"damaged")
    with pytest.raises(FiceError, match="is damaged"):
        _train(Processes(), tmp_path)


def test_half_wide_generators_and_larger_ones_get_their_encoder(tmp_path: Path) -> None:
    network = tiny_generator(resolution=(64, 32))
    found, finished = encoder.train(
        encoder.build(network, "small"), network, tmp_path, Schedule(2), batch=2
    )
    assert finished
    checkpoints.save(found, tmp_path / "e4e.safetensors")
    again = checkpoints.load_encoder(tmp_path / "e4e.safetensors")
    images = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(again(images), found(images))
        assert network.synthesize(again(images)).shape == (1, 3, 64, 32)


def test_photos_are_read_once_and_fitted(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "below").mkdir()
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "b.png")
    Image.new("RGB", (16, 16), (0, 255, 0)).save(tmp_path / "below" / "a.jpg")
    Image.new("RGB", (16, 16)).save(tmp_path / ".hidden.png")
    files = open_photos(str(tmp_path))
    assert [file.source.name for file in files] == ["b.png", "a.jpg"]
    photos = Photos(files, (16, 8))
    images = photos.images([0, 1, 0])
    assert images.shape == (3, 3, 16, 8)
    assert images[0].mean((1, 2)).tolist() == [1, 0, 0]
    (tmp_path / "b.png").unlink()
    assert torch.equal(photos.images([0])[0], images[0])
    few = Photos(files[1:], (16, 8), memory=1)
    assert torch.equal(few.images([0, 0])[1], images[1])


@pytest.mark.parametrize("kind", ["segmenter", "densepose", "clip"])
def test_features_of_every_critic_tell_images_apart(kind: str, tmp_path: Path) -> None:
    write_models(tmp_path)
    features = features_of(getattr(checkpoints, f"load_{kind}")(tmp_path / f"{kind}.safetensors"))
    images = torch.rand(2, 3, SIZE, SIZE, generator=generator_of(4))
    output = images.clone()
    output[1] = 1 - output[1]
    output.requires_grad_(True)
    loss = feature_difference(features, output, images)
    assert loss.shape == (2,) and loss[0].item() == pytest.approx(0, abs=1e-6)
    assert loss[1].item() > 1e-4
    loss[1].backward()
    assert output.grad is not None and float(output.grad[1].abs().max()) > 0
    assert summary(features, images).shape[0] == 2


def test_features_of_other_networks_are_refused() -> None:
    with pytest.raises(TypeError, match="Linear has no features"):
        features_of(torch.nn.Linear(1, 1))
