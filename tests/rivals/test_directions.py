"""StyleSpace and the global directions, on a tiny StyleGAN2 and a tiny CLIP."""

from pathlib import Path

import pytest
import torch
from tiny_models import SIZE, WORDS
from torch.nn import functional as F

from fice_core.networks.clip import Clip
from fice_core.networks.stylegan2 import Generator
from fice_core.rivals import global_directions, stylespace
from fice_core.rivals.global_directions import Matrix, matrix, offsets_of
from fice_core.rivals.text_directions import averaged, directions


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_directions, "SAMPLES", 64)


@pytest.fixture(scope="module")
def networks() -> tuple[Generator, Clip]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator((SIZE, SIZE), 8, 8, channel_base=128, channel_max=8)
        clip = Clip(
            embed_dim=8,
            vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            text_cfg={"context_length": 8, "width": 64, "heads": 1, "layers": 1},
            vocabulary=WORDS,
        )
    return generator.eval().requires_grad_(False), clip.eval().requires_grad_(False)


def zeros(generator: Generator, count: int) -> list[torch.Tensor]:
    return [torch.zeros(count, size) for size in stylespace.channels(generator)]


def test_layer_i_takes_code_i(networks: tuple[Generator, Clip]) -> None:
    """Only the style of layer i changes when w_i does."""
    generator, _ = networks
    layers = stylespace.layers(generator)
    assert len(layers) == generator.num_ws - 1  # the last w is for RGB alone
    seen: list[torch.Tensor] = []
    handles = [
        layer.affine.register_forward_hook(lambda m, i, out: seen.append(out)) for layer in layers
    ]
    w_plus = torch.randn(1, generator.num_ws, 8)
    for number in range(len(layers)):
        seen.clear()
        generator.synthesize(w_plus)
        changed = w_plus.clone()
        changed[:, number] += 1
        generator.synthesize(changed)
        before, after = seen[: len(layers)], seen[len(layers) :]
        pairs = zip(before, after, strict=True)
        assert [k for k, (a, b) in enumerate(pairs) if not torch.equal(a, b)] == [number]
    for handle in handles:
        handle.remove()


def test_moving_a_channel_is_moving_its_bias(networks: tuple[Generator, Clip]) -> None:
    generator, _ = networks
    w_plus = torch.randn(2, generator.num_ws, 8)
    plain = generator.synthesize(w_plus)
    offsets = zeros(generator, 2)
    with stylespace.moved(generator, offsets):
        assert torch.equal(generator.synthesize(w_plus), plain)
    offsets[3][:, 1] = 0.7
    with stylespace.moved(generator, offsets):
        found = generator.synthesize(w_plus)
    bias = stylespace.layers(generator)[3].affine.bias
    bias[1] += 0.7
    expected = generator.synthesize(w_plus)
    bias[1] -= 0.7
    torch.testing.assert_close(found, expected)
    assert torch.equal(generator.synthesize(w_plus), plain)  # no hook is left


def test_statistics_are_those_of_the_styles(networks: tuple[Generator, Clip]) -> None:
    generator, _ = networks
    z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    near = generator.w_avg.lerp(generator.mapping(z), 0.7)
    found = stylespace.statistics(generator, 50, 0.7, 2)
    for number, w in ((0, near), (2, generator.mapping(z))):
        style = stylespace.layers(generator)[number].affine(w)
        torch.testing.assert_close(found[number][0], style.mean(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            found[number][1], style.std(0, correction=0), rtol=1e-3, atol=1e-4
        )


def test_a_row_is_the_mean_unit_difference(
    networks: tuple[Generator, Clip], tmp_path: Path
) -> None:
    """The channel's style is made constant, once high and once low, by hand."""
    generator, clip = networks
    found = matrix(generator, clip, images=3, limit=2, folder=tmp_path)
    mean, spread = stylespace.statistics(generator, 64, 0.7, 8)[0][:, 1]
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    w_plus = generator.map(z, 0.7)
    affine = stylespace.layers(generator)[0].affine
    weight, bias = affine.weight[1].clone(), affine.bias[1].clone()
    seen = []
    for reach in (-5, 5):
        affine.weight[1], affine.bias[1] = 0, mean + reach * spread
        seen.append(clip.encode_image(generator.synthesize(w_plus).clamp(0, 1)))
    affine.weight[1], affine.bias[1] = weight, bias
    expected = F.normalize(F.normalize(seen[1] - seen[0], dim=1).mean(0), dim=0)
    torch.testing.assert_close(found.rows[1], expected, rtol=1e-3, atol=1e-3)
    assert not found.rows[2:].any()  # beyond the limit nothing moves


def test_the_matrix_is_read_again_and_continued(
    networks: tuple[Generator, Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, clip = networks
    monkeypatch.setattr(global_directions, "_BLOCK", 2)
    explorer = global_directions._Explorer
    real, made = explorer.rows, []

    def counted(self: object, channels: range, most: int = 2) -> torch.Tensor:
        if len(made) == most:
            raise KeyboardInterrupt
        made.append(list(channels))
        return real(self, channels)

    monkeypatch.setattr(explorer, "rows", counted)
    with pytest.raises(KeyboardInterrupt):
        matrix(generator, clip, 1, 6, tmp_path)
    monkeypatch.setattr(explorer, "rows", lambda self, k: counted(self, k, 3))
    found = matrix(generator, clip, 1, 6, tmp_path)
    assert made == [[0, 1], [2, 3], [4, 5]]  # each once
    assert torch.equal(matrix(generator, clip, 1, 6, tmp_path).rows, found.rows)
    assert len(made) == 3


def test_offsets_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_directions, "FEWEST", 1)
    rows = torch.tensor([[0.5, 0.0], [-0.3, 0.0], [0.1, 0.0], [0.0, 1.0]])
    found = Matrix(rows, torch.tensor([1.0, 2.0, 3.0, 4.0]), [4])
    offsets = offsets_of(found, torch.tensor([[1.0, 0.0], [0.1, 0.0]]), 3.0, 0.15)
    # relevance 0.5, -0.3, 0.1, 0: the third is below the threshold
    torch.testing.assert_close(offsets[0], torch.tensor([3.0, 3 * -0.6 * 2, 0.0, 0.0]))
    # nothing reaches the threshold: the most relevant one moves
    torch.testing.assert_close(offsets[1], torch.tensor([3.0, 0.0, 0.0, 0.0]))


def test_texts_too_long_for_a_template_count_alone(networks: tuple[Generator, Clip]) -> None:
    _, clip = networks
    text = "red striped blue shirt a red"  # six words, of six that fit
    torch.testing.assert_close(averaged(clip, text), clip.encode_text([text])[0], atol=0.2, rtol=0)
    (found,) = directions(clip, ["red shirt"], "blue shirt")
    away = averaged(clip, "red shirt") - averaged(clip, "blue shirt")
    torch.testing.assert_close(found, F.normalize(away, dim=0))
