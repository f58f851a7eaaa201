"""Training of a generator: two processes, resuming, further training, freezing, progress."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from training_toys import on_one, on_two

from fice_core.errors import FiceError
from fice_core.training import generator
from fice_core.training.augmentation import CLOTHES
from fice_core.training.discriminator import Discriminator
from fice_core.training.distributed import Processes, generator_of
from fice_core.training.generator import GeneratorTraining, Recipe, build, kinds_of, train
from fice_core.training.loop import Schedule
from fice_core.training.photos import Photos

SIZE = 16


class Disc:
    """A photo of a bright disc on a dark ground, somewhere."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def image(self) -> Tensor:
        x, y = (0.3 + 0.4 * torch.rand(2, generator=generator_of(self.seed))).tolist()
        grid = torch.linspace(0, 1, SIZE)
        inside = (grid[None] - x) ** 2 + (grid[:, None] - y) ** 2 < 0.05
        return torch.where(inside, 0.9, 0.1).expand(1, 3, SIZE, SIZE).clone()


def make(
    processes: Processes | None = None,
    recipe: Recipe | None = None,
    resolution: tuple[int, int] = (SIZE, SIZE),
    batch: int = 8,
) -> GeneratorTraining:
    """In 64 bits: Adam makes much of rounding in its first steps, where squares are small."""
    network = build(resolution, 64, 8, latent=8).double()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        critic = Discriminator(resolution, 64, 8, group=4).double()
    photos = Photos([Disc(k) for k in range(12)], resolution)
    recipe = recipe or Recipe(adaptive=0.2, measured=8)
    return GeneratorTraining(network, critic, photos, recipe, batch, 0, processes or Processes())


def pixels(images: Tensor) -> Tensor:
    return images.mean(1).flatten(1)[:, ::16]


def _curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "generator.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def _train(processes: Processes, folder: Path, steps: int = 20) -> dict[str, Tensor]:
    schedule = Schedule(steps, save_every=8)
    found, _ = train(make(processes), folder, schedule, pixels, log_every=1)
    return found.state_dict()


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_SHOWN", 8)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    on_one(_train, tmp_path / "one")
    on_two(_train, tmp_path / "two")
    one, two = _curve(tmp_path / "one"), _curve(tmp_path / "two")
    assert len(one) == len(two) == 23
    assert max(line.get("augmented", 0) for line in one) > 0  # images were altered
    assert max(line.get("path", 0) for line in one) > 0
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, abs=1e-5)


class Killed(Exception):
    """Ends a run between two checkpoints."""


def test_a_run_that_is_killed_goes_on_from_its_checkpoint_to_the_same_losses(
    tmp_path: Path,
) -> None:
    whole = _train(Processes(), tmp_path / "whole", steps=13)
    killed, parts = make(), tmp_path / "parts"
    step = killed.step

    def until(i: int) -> dict[str, Tensor]:
        if i == 11:
            raise Killed
        return step(i)

    killed.step = until  # type: ignore[method-assign]
    with pytest.raises(Killed):
        train(killed, parts, Schedule(13, save_every=8), pixels, log_every=1)
    assert [line["step"] for line in _curve(parts)][-1] == 11
    found = _train(Processes(), parts, steps=13)
    for key, value in found.items():
        assert torch.equal(value, whole[key]), key
    assert _curve(parts) == _curve(tmp_path / "whole")
    assert len(_curve(parts)) == 15


def test_a_run_goes_on_with_another_rate(tmp_path: Path) -> None:
    train(make(), tmp_path, Schedule(1), log_every=1)
    training = make(recipe=Recipe(rate=0.001, measured=8))
    train(training, tmp_path, Schedule(2), log_every=1)
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(0.001 * 4 / 5)
    assert training.critic_optimizer.param_groups[0]["lr"] == pytest.approx(0.001 * 16 / 17)
    assert training.optimizer.param_groups[0]["betas"] == (0.0, pytest.approx(0.99**0.8))


def test_a_step_moves_what_it_should_and_nothing_else() -> None:
    training = make(recipe=Recipe(freeze=4, measured=8))
    before = {k: v.clone() for k, v in training.critic.state_dict().items()}
    own = {k: v.clone() for k, v in training.network.state_dict().items()}
    training.step(1)  # without penalties
    moved = {k for k, v in training.critic.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and not any(name.startswith("b16.") for name in moved)
    changed = {k for k, v in training.network.state_dict().items() if not torch.equal(v, own[k])}
    fixed = {name for name in own if name.endswith("noise_const")}
    assert changed == set(own) - fixed
    assert float(training.controls.path) == 0
    training.step(4)
    assert float(training.controls.path) > 0


def test_codes_are_mixed_of_two_and_are_those_of_the_mapping() -> None:
    plain = make(recipe=Recipe(mixing=0))
    codes, w = plain.codes(3, 0)
    assert torch.equal(codes.detach(), w[:, None].expand_as(codes))
    mixed, same = make(recipe=Recipe(mixing=1)).codes(3, 0)
    assert torch.equal(same, w) and torch.equal(mixed[:, 0].detach(), w)
    assert all(len(code.unique(dim=0)) == 2 for code in mixed.detach())


def test_the_mean_of_w_follows_the_mapping() -> None:
    training = make()
    _, w = training.codes(1, 0)
    training.step(1)
    torch.testing.assert_close(training.network.w_avg, 0.005 * w.mean(0))


def test_gradients_that_are_not_finite_are_left_out() -> None:
    training = make()
    parameter = training.network.synthesis.b4.const
    before = parameter.detach().clone()
    parameter.grad = torch.full_like(parameter, torch.nan)
    training._move(training.optimizer, [parameter])
    assert torch.equal(parameter.detach(), before)


def test_groups_must_fit_into_every_share() -> None:
    with pytest.raises(FiceError, match="each process has 3 images of a step"):
        make(Processes(0, 2), batch=6)


def test_half_wide_images_and_no_augmentation(tmp_path: Path) -> None:
    recipe = Recipe(augmentations=(), mirror=False, measured=4)
    training = make(recipe=recipe, resolution=(16, 8), batch=4)
    found, finished = train(training, tmp_path, Schedule(2), log_every=1)
    assert finished and float(training.controls.probability) == 0
    assert found(torch.zeros(1, 8).double()).shape == (1, 3, 16, 8)


def test_training_brings_the_images_nearer_to_the_photos(tmp_path: Path) -> None:
    training = make(recipe=Recipe(rate=0.01, measured=12))
    train(training, tmp_path, Schedule(60, save_every=15), pixels, log_every=5)
    numbers = [line["distance"] for line in _curve(tmp_path) if "distance" in line]
    assert len(numbers) == 4
    assert numbers[-1] < 0.5 * numbers[0]
    assert (tmp_path / "generator-000060.png").exists()


def test_augmentations_are_named() -> None:
    assert kinds_of("clothes") == CLOTHES
    assert kinds_of("none") == ()
    assert kinds_of("hue, flip") == ("flip", "hue")
    with pytest.raises(FiceError, match="there is no augmentation 'spin'"):
        kinds_of("flip,spin")


def test_there_is_no_generator_of_an_odd_size() -> None:
    with pytest.raises(FiceError, match="there is no such generator"):
        build((24, 24))


def test_a_checkpoint_of_another_batch_is_refused(tmp_path: Path) -> None:
    train(make(), tmp_path, Schedule(1), log_every=1)
    with pytest.raises(FiceError, match="was made with batch 8, not 4"):
        train(make(batch=4, recipe=Recipe(gamma=0.0064)), tmp_path, Schedule(1), log_every=1)
