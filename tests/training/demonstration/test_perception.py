"""Training of the perception networks: losses by hand, both stages, resuming."""

import math
from pathlib import Path

import pytest
import torch

from fice_core import checkpoints
from fice_core.networks.densepose import DensePose
from fice_core.networks.segmenter import Segmenter
from fice_core.people.classes import CLASSES
from fice_core.training.demonstration import perception
from fice_core.training.demonstration.dataset import People
from fice_core.training.demonstration.scenes import Scene
from fice_core.training.loop import Schedule


def scene(size: int = 32) -> Scene:
    generator = torch.Generator().manual_seed(0)
    return Scene(
        torch.rand(2, 3, size, size, generator=generator),
        torch.randint(len(CLASSES), (2, size, size), generator=generator),
        torch.randint(25, (2, size, size), generator=generator),
        1.0,
    )


def test_losses_of_networks_that_know_nothing() -> None:
    segmenter = Segmenter(**perception.SEGMENTER)
    last = segmenter.classifier[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    loss = perception.class_loss(segmenter, scene())
    assert float(loss.detach()) == pytest.approx(math.log(len(CLASSES)), rel=1e-5)
    densepose = DensePose(**perception.DENSEPOSE)
    predictor = densepose.roi_heads.densepose_predictor
    for layer in (predictor.ann_index_lowres, predictor.index_uv_lowres):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    found = perception.part_loss(densepose, scene())
    assert float(found.detach()) == pytest.approx(math.log(2) + math.log(25), rel=1e-5)


def test_class_loss_is_small_where_the_network_is_right() -> None:
    segmenter = Segmenter(**perception.SEGMENTER)
    last = segmenter.classifier[-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.full((len(CLASSES),), -10.0)
    last.bias.data[3] = 10.0
    true = scene()
    true.classes[:] = 3
    assert float(perception.class_loss(segmenter, true).detach()) < 1e-6
    true.classes[:] = 4
    assert float(perception.class_loss(segmenter, true).detach()) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("name", ["segmenter", "densepose", "judge"])
def test_networks_are_trained_in_growing_sizes_and_saved(
    name: str, people: People, tmp_path: Path
) -> None:
    train = getattr(perception, f"train_{name}")
    network, finished = train(people, tmp_path, Schedule(8), batch=2)
    assert finished and not network.training
    made = {path.name for path in tmp_path.glob("*.ckpt")}
    assert made == {
        f"{name}-{people.size // 2}.ckpt",
        f"{name}-{people.size * 3 // 4}.ckpt",
        f"{name}.ckpt",
    }
    kind = "segmenter" if name == "segmenter" else "densepose"
    checkpoints.save(network, tmp_path / "saved.safetensors", half=True)
    assert (tmp_path / "saved.safetensors").stat().st_size < 4e6
    found = getattr(checkpoints, f"load_{kind}")(tmp_path / "saved.safetensors")
    assert found.config == network.config
    # all done: it comes back the same
    again, finished = train(people, tmp_path, Schedule(8), batch=2)
    assert finished
    for key, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]), key


def test_a_resumed_training_equals_an_uninterrupted_one(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = perception.train_segmenter(people, tmp_path / "whole", Schedule(4), batch=2)
    stop = Schedule(4, minutes=0.0)  # after every step
    finished, runs = False, 0
    while not finished:
        parts, finished = perception.train_segmenter(people, tmp_path / "parts", stop, batch=2)
        runs += 1
    assert runs >= 3
    for key, value in parts.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key]), key


def test_the_judge_is_another_network() -> None:
    assert perception.JUDGE["blocks"] != perception.DENSEPOSE["blocks"]
    assert perception.JUDGE["width"] != perception.DENSEPOSE["width"]
