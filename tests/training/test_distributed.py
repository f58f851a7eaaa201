"""Processes that train together: shares, means, gradients, batch statistics."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_toys import on_one, on_two

from fice_core.errors import FiceError
from fice_core.training.distributed import (
    Processes,
    generator_of,
    share_batch_statistics,
    shuffled,
    together,
)


def test_a_batch_is_shared_out_in_order_and_evenly() -> None:
    assert [list(Processes(rank, 3).share(6)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(FiceError, match="a batch of 7 cannot be shared out evenly to 3 processes"):
        Processes(0, 3).share(7)


def test_random_generators_follow_from_all_their_numbers() -> None:
    first = torch.rand(3, generator=generator_of(1, 2, 3))
    assert torch.equal(first, torch.rand(3, generator=generator_of(1, 2, 3)))
    for other in ((1, 2, 4), (1, 3, 2), (1, 2), (-1, 2, 3)):
        assert not torch.equal(first, torch.rand(3, generator=generator_of(*other)))


def test_every_item_comes_once_in_an_epoch() -> None:
    items = [k for step in range(10) for k in shuffled(10, 3, 7, step)]
    epochs = [items[:10], items[10:20], items[20:]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1]
    assert shuffled(2, 5, 0, 0).count(0) + shuffled(2, 5, 0, 0).count(1) == 5


def test_without_a_launcher_there_is_one_process() -> None:
    with together("cpu") as processes:
        assert (processes.rank, processes.count, processes.is_first) == (0, 1, True)
        value = torch.ones(2, requires_grad=True)
        assert torch.equal(processes.mean(value), value) and not processes.mean(value).requires_grad
        assert processes.first_says(3.0) == 3.0


def _pieces(processes: Processes, folder: Path) -> dict[str, Any]:
    own = processes.share(4)
    values = torch.arange(4.0)[own.start : own.stop]
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, float(processes.rank))
    processes.copy_first(layer)
    (layer(torch.ones(1, 2)) * values.sum()).sum().backward()
    processes.average_gradients(layer.parameters())
    return {
        "mean": processes.mean(values.mean()),
        "rows": processes.gather(values[:, None]),
        "first": processes.first_says(10.0 + processes.rank),
        "weight": layer.weight.detach(),
        "gradient": layer.weight.grad,
    }


def test_means_rows_and_gradients_of_two_processes(tmp_path: Path) -> None:
    for found in on_two(_pieces, tmp_path):
        assert float(found["mean"]) == 1.5
        assert found["rows"].flatten().tolist() == [0, 1, 2, 3]
        assert found["first"] == 10
        assert found["weight"].tolist() == [[0, 0]]
        assert found["gradient"].tolist() == [[3, 3]]  # the mean of 0 + 1 and 2 + 3


def _normalised(processes: Processes, folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    network.double()
    share_batch_statistics(network, processes)
    images = torch.rand(4, 3, 6, 6, generator=generator_of(0), dtype=torch.float64)
    own = processes.share(4)
    output = network(images[own.start : own.stop])
    loss = (output * torch.linspace(-1, 1, output[0].numel()).view_as(output[0])).square().mean()
    loss.backward()
    processes.average_gradients(network.parameters())
    return {
        "loss": processes.mean(loss),
        "gradients": [p.grad for p in network.parameters()],
        "buffers": list(network.buffers()),
        "keys": list(network.state_dict()),
    }


def test_shared_batch_statistics_are_those_of_one_process(tmp_path: Path) -> None:
    whole = on_one(_normalised, tmp_path / "one")
    for found in on_two(_normalised, tmp_path / "two"):
        assert found["keys"] == whole["keys"]
        torch.testing.assert_close(found["loss"], whole["loss"])
        torch.testing.assert_close(found["gradients"], whole["gradients"])
        torch.testing.assert_close(found["buffers"], whole["buffers"])


def _frozen(processes: Processes, folder: Path) -> dict[str, Any]:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    still = network[0]
    share_batch_statistics(network, processes)
    network.train()
    still.eval()
    network(torch.full((2, 2, 3, 3), 5.0 + processes.rank))
    return {"means": [layer.running_mean for layer in network]}


def test_a_normalisation_that_is_held_still_keeps_its_statistics(tmp_path: Path) -> None:
    for found in on_two(_frozen, tmp_path):
        still, other = found["means"]
        assert still.tolist() == [0, 0]
        assert other.tolist() == pytest.approx([0.55, 0.55], rel=1e-4)


def _checkpoint(processes: Processes, folder: Path) -> str:
    from fice_core.training.loop import Stage

    own = folder / f"only-{processes.rank}"
    own.mkdir(exist_ok=True)
    stage = Stage("stage", own, {}, None, processes=processes)
    if processes.is_first:
        torch.save({"done": 3}, stage.path)
    try:
        stage.resume()
    except FiceError as error:
        return str(error)
    return "" if processes.is_first else "nothing was wrong"


def test_a_checkpoint_that_some_processes_do_not_see_is_refused(tmp_path: Path) -> None:
    assert "not all processes see the same checkpoint" in on_two(_checkpoint, tmp_path)[1]
