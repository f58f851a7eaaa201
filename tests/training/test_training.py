"""Training: losses by hand, resuming, averages, and the stages on tiny pools."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fice_core import checkpoints
from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import Generator
from fice_core.training import adversarial, perception, train_demo
from fice_core.training.clip import attack, augment, contrastive_loss, recolour
from fice_core.training.discriminator import Discriminator
from fice_core.training.fakes import make
from fice_core.training.generator import (
    APPEARANCE_LAYER,
    WARDROBE,
    jitter,
    reconstruction_loss,
    spread_over_layers,
)
from fice_core.training.loop import Average, Schedule, Stage, cosine
from fice_core.training.pool import Pool
from fice_core.training.wardrobe import AttributeMapping, features


def test_contrastive_loss_by_hand() -> None:
    image = torch.eye(2)
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    true = torch.tensor([[True, False], [False, True], [True, False]])
    scale = torch.tensor(2.0)
    # rows: every caption has one true image, logits (2, 0): -log(e^2 / (e^2 + 1))
    row = math.log(1 + math.exp(-2))
    # columns: image 0 has two true captions of logit 2 and a false one of 0; image 1 one and two
    columns = (math.log(1 + math.exp(-2) / 2) + math.log(1 + 2 * math.exp(-2))) / 2
    loss = contrastive_loss(image, text, scale, true, ~true)
    assert float(loss) == pytest.approx((row + columns) / 2, rel=1e-6)


def test_contrastive_loss_ignores_undecided_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (
        nn.functional.normalize(torch.randn(4, 8, generator=generator)) for _ in range(2)
    )
    true = torch.eye(4, dtype=torch.bool)
    false = ~true
    false[0, 1] = False
    scale = torch.tensor(5.0)
    # one competitor less in a row and in a column: a smaller loss
    assert contrastive_loss(image, text, scale, true, false) < contrastive_loss(
        image, text, scale, true, ~true
    )


def test_image_loss_is_zero_only_for_the_same_image() -> None:
    a = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(reconstruction_loss(a, a)) == 0
    # a constant offset costs nothing in the differences; what is beyond each scale's small error
    # (0.1, 0.1 / 4, 0.1 / 16) costs its size less half of that
    small = 0.1 + 0.1 / 4 + 0.1 / 16
    assert float(reconstruction_loss(a + 0.2, a)) == pytest.approx(0.6 - small / 2, rel=1e-4)
    # and a small one its square: 0.01^2 / 0.2 for pixels, 0.01^2 / 0.05 for fours
    pixels, fours, sixteens = 0.01**2 / 0.2, 0.01**2 / 0.05, 0.01 - 0.1 / 32
    assert float(reconstruction_loss(a + 0.01, a)) == pytest.approx(
        pixels + fours + sixteens, rel=1e-3
    )


def test_pixels_without_importance_have_no_loss() -> None:
    a, b = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weight = torch.zeros(2, 1, 16, 16)
    assert float(reconstruction_loss(a, b, weight)) == 0
    assert float(reconstruction_loss(a, b, weight + 1)) == pytest.approx(
        float(reconstruction_loss(a, b))
    )


def test_mixtures_split_the_layers() -> None:
    w_plus = spread_over_layers(torch.zeros(2, 4), torch.ones(2, 4), 12)
    assert w_plus.shape == (2, 12, 4)
    assert w_plus[:, :APPEARANCE_LAYER].sum() == 0 and w_plus[:, APPEARANCE_LAYER:].min() == 1


def test_jitter_has_the_given_size() -> None:
    w_plus = (
        torch.randn(512, 1, 16, generator=torch.Generator().manual_seed(0)).expand(-1, 6, -1) * 3
    )
    moved = jitter(w_plus, 0.2, torch.Generator().manual_seed(1)) - w_plus
    assert float(moved.std()) == pytest.approx(0.6, rel=0.03)
    assert (moved[:, 0] - moved[:, 1]).abs().mean() > 0.1


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [cosine(i, 1000, warmup=100, floor=0.1) for i in range(1000)]
    assert rates[0] == 0.01 and rates[99] == 1.0
    assert rates[549] == pytest.approx(0.55, abs=0.01) and rates[-1] == pytest.approx(0.1, abs=0.01)


def test_average_follows_slowly() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = Average(network, 0.9)
    nn.init.ones_(network.weight)
    for i in range(1000, 1003):
        average.update(network, i)
    assert float(average.network.weight.detach()) == pytest.approx(1 - 0.9**3)


def _stage(folder: Path) -> tuple[Stage, nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(3)
    state = {"network": network, "optimizer": optimizer}
    return Stage("toy", folder, dict(state), generator), network, optimizer


def _train(folder: Path, steps: int) -> Tensor:
    stage, network, optimizer = _stage(folder)
    stage.resume()

    def step(i: int) -> dict[str, Tensor]:
        loss = network(torch.randn(8, 4, generator=stage.generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    assert stage.run(Schedule(steps), step)
    return network.weight.detach().clone()


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", 9)
    _train(tmp_path / "parts", 4)
    assert torch.equal(_train(tmp_path / "parts", 9), whole)


def test_a_diverging_run_is_an_error(tmp_path: Path) -> None:
    stage, _, _ = _stage(tmp_path)
    with pytest.raises(RuntimeError, match="diverged"):
        stage.run(Schedule(30), lambda i: {"loss": torch.tensor(torch.nan)})


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pool"), 500, 32)


def test_pool_contains_mixtures_and_their_codes(pool: Pool) -> None:
    from fice_core.demo.renderer import render

    batch = pool.batch(torch.tensor([3, 400]))
    assert torch.equal(batch.geometry[0], batch.appearance[0])
    assert not torch.equal(batch.geometry[1], batch.appearance[1])
    drawn = render(batch.attributes(), 32)
    assert (drawn.images - batch.images).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(drawn.labels, batch.labels)


def test_wardrobe_depends_on_every_attribute(pool: Pool) -> None:
    torch.manual_seed(0)
    wardrobe = AttributeMapping(16)
    worn = pool.batch(torch.arange(4)).attributes()
    base = features(worn)
    assert torch.isfinite(base).all() and wardrobe(worn).shape == (4, 16)
    for name in ("sleeve", "colour", "pattern", "skin", "skirt", "fold_phase", "neckline"):
        value = getattr(worn, name)
        assert not torch.equal(features(worn.replace(**{name: value * 0.5 + 0.1})), base), name


def test_fakes_are_the_images_of_their_codes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Generator((16, 16), 48, 8, 64, 8, 2)
    wardrobe = AttributeMapping(8)
    fakes = make(network, wardrobe, tmp_path / "fakes.npz", 8)
    drawn = network.synthesize(fakes.w_plus).clamp(0, 1)
    assert (drawn - fakes.batch(torch.arange(8))).abs().max() < 0.05  # drawn in half precision
    again = make(network, wardrobe, tmp_path / "fakes.npz", 8)
    assert torch.equal(again.images, fakes.images)


def test_augmentation_keeps_the_size_and_is_reproducible() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first, second = (augment(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == images.shape and torch.equal(first, second)


def test_attack_changes_every_pixel_to_raise_the_loss() -> None:
    images = torch.rand(64, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1))

    def loss(x: Tensor) -> Tensor:
        return (weights * x).sum()

    moved = attack(images, loss, 0.1, torch.Generator().manual_seed(2)) - images
    assert not moved.requires_grad
    torch.testing.assert_close(moved.sign(), weights.sign().expand_as(moved))
    size = moved.abs().flatten(1)
    torch.testing.assert_close(size, size[:, :1].expand_as(size), atol=1e-6, rtol=0)
    assert 0.08 < float(size.max()) <= 0.1 and float(size.mean()) == pytest.approx(0.05, rel=0.2)


def test_training_starts_from_given_weights(pool: Pool, tmp_path: Path) -> None:
    first, _ = perception.train_segmenter(pool, tmp_path / "a", Schedule(1), batch=2)
    again, _ = perception.train_segmenter(
        pool, tmp_path / "b", Schedule(1), first.state_dict(), batch=2
    )
    # one step of Adam at a fiftieth of 3e-3: close to where it started, far from a fresh network
    for name, value in again.state_dict().items():
        if name.endswith("conv1.weight"):
            assert float((value - first.state_dict()[name]).abs().max()) < 1e-3


def test_recolouring_does_not_change_the_garment() -> None:
    images = torch.full((200, 3, 1, 3), 0.5)
    garment, person = (
        torch.tensor(row).expand(200, 1, 1, 3) for row in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    )
    found = recolour(images, garment, person, torch.Generator().manual_seed(0))
    assert torch.equal(found[..., 0], images[..., 0])
    changed = (found != images).flatten(1).any(1)
    assert 70 < int(changed.sum()) < 130
    person_gain, wall_gain = (found[changed] / 0.5)[..., 0, 1], (found[changed] / 0.5)[..., 0, 2]
    for gain in (person_gain, wall_gain):
        assert 0.4 <= float(gain.min()) < 0.5 and 1.2 < float(gain.max()) <= 1.3
    assert (person_gain - wall_gain).abs().mean() > 0.1


def test_discriminator_detects_a_collapsed_batch() -> None:
    torch.manual_seed(0)
    critic = Discriminator(16, 64, 8)
    varied = torch.rand(4, 3, 16, 16)
    same = varied[:1].expand(4, -1, -1, -1)
    assert critic(varied).shape == (4,)
    # alone in its batch an image has no deviation, beside three equal ones neither
    torch.testing.assert_close(critic(same)[:1], critic(varied[:1]))
    assert not torch.allclose(critic(varied)[:1], critic(varied[:1]))


def test_unknown_stages_and_existing_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="no training stage 'shoes'"):
        train_demo.run(tmp_path, ["shoes"])
    (tmp_path / "clip.ckpt").touch()
    with pytest.raises(FiceError, match="--resume"):
        train_demo.run(tmp_path)


def test_stages_that_need_a_generator_are_refused_without_one(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="train the stage 'generator' first"):
        train_demo.run(tmp_path, ["encoder"])


def test_trained_generator_is_read_back_with_its_teacher(tmp_path: Path) -> None:
    network, wardrobe = Generator((16, 16), 48, 8, 64, 8, 2), AttributeMapping(8)
    state = train_demo._Run(tmp_path, None, "cpu", None)
    state.weights.mkdir()
    checkpoints.save(
        network, state.weights / "generator.safetensors", train_demo.METADATA, half=True
    )
    save_file(wardrobe.state_dict(), state.weights / WARDROBE)
    read, teacher = state.trained
    w_plus = torch.randn(2, network.num_ws, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            read.synthesize(w_plus), network.synthesize(w_plus), atol=0.02, rtol=0
        )
    assert torch.equal(teacher.straight.weight, wardrobe.straight.weight)


def test_adversarial_training_keeps_the_mapping_and_changes_the_images(
    pool: Pool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network, wardrobe = Generator((32, 32), 48, 8, 64, 8, 2), AttributeMapping(8)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    found, finished = adversarial.train(
        network.requires_grad_(False), wardrobe, pool, tmp_path, Schedule(3), batch=4
    )
    assert finished and (tmp_path / "adversarial-000003.png").exists()
    moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(name.startswith("synthesis.") for name in moved)
    # resumed when all is done, it comes back the same
    again, finished = adversarial.train(
        Generator((32, 32), 48, 8, 64, 8, 2), wardrobe, pool, tmp_path, Schedule(3), batch=4
    )
    assert finished
    for name, value in again.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name
