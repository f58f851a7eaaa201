"""The mapper: what it computes, and that its training resumes."""

from pathlib import Path

import pytest
import torch
from rival_tasks import task
from toys import LAYERS, WIDTH

from fice_core.rivals import mapper
from fice_core.rivals.mapper import MappedCode, Mapper, Modulation, train

TEXTS = ("a red shirt", "a blue shirt")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper, "_BANK", 8)


def test_modulation_by_hand() -> None:
    block = Modulation(2, 1)
    with torch.no_grad():
        block.linear.weight.copy_(torch.eye(2))
        block.linear.bias.zero_()
        block.gamma.weight.copy_(torch.tensor([[1.0], [2.0]]))
        block.gamma.bias.zero_()
        block.beta.weight.zero_()
        block.beta.bias.copy_(torch.tensor([0.5, 0.5]))
        found = block(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[1.0]]]))
    # normalised: 1 and -1; times 2 and 3, plus 0.5; leaky
    assert found[0, 0].tolist() == pytest.approx([2.5, -2.5 * 0.2], abs=1e-4)


def test_the_mapped_code_is_the_code_and_a_tenth() -> None:
    given = task()
    network = Mapper(LAYERS, WIDTH, 6).requires_grad_(False)
    for parameter in network.last.parameters():
        parameter.zero_()
    network.last.bias.fill_(2.0)
    found = MappedCode(network).edit(given)
    torch.testing.assert_close(found.w_plus, given.preparation.targets.w_plus + 0.2)
    torch.testing.assert_close(found.images, given.models.generator.synthesize(found.w_plus))


def test_training_follows_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper, "RATE", 1e-2)
    monkeypatch.setattr(mapper, "IMAGE", 0.0)
    given = task()
    texts = given.models.clip.encode_text(list(given.prompts))

    def cosine(network: Mapper) -> float:
        images = MappedCode(network).edit(given).images
        return float((given.models.clip.encode_image(images) * texts).sum(dim=1).mean())

    first, trained = (train(given.models, TEXTS, steps, tmp_path) for steps in (1, 80))
    assert cosine(trained) > cosine(first) + 0.05


def test_a_killed_training_continues_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = task().models
    whole = train(models, TEXTS, 6, tmp_path / "whole")
    real = mapper.Schedule
    monkeypatch.setattr(mapper, "Schedule", lambda steps, save_every: real(3, save_every=3))
    train(models, TEXTS, 6, tmp_path / "cut")
    monkeypatch.setattr(mapper, "Schedule", real)
    resumed = train(models, TEXTS, 6, tmp_path / "cut")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_trained_mapper_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = task().models
    first = train(models, TEXTS, 2, tmp_path)
    monkeypatch.setattr(mapper, "_stepping", None)  # nothing is trained
    again = train(models, TEXTS, 2, tmp_path)
    assert torch.equal(first.last.weight, again.last.weight)
    with pytest.raises(TypeError):
        train(models, ("a green shirt",), 2, tmp_path)
