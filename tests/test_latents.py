"""W+ codes: statistics, files, blending."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from toys import toy_generator

from fice_core.errors import FiceError
from fice_core.latents import (
    interpolate,
    is_latent,
    latent_statistics,
    load_latent,
    mix_layers,
    save_latent,
)


def codes(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("outer", [False, True])
def test_whitened_w_has_zero_mean_and_unit_covariance(outer):
    with torch.inference_mode(outer):
        generator = toy_generator()
        statistics = latent_statistics(generator)
        w = generator.mapping(torch.randn(50_000, 5, generator=torch.Generator().manual_seed(9)))
        white = statistics.whiten(w)
        assert white.mean(dim=0).abs().max() < 0.05
        assert (torch.cov(white.T) - torch.eye(4)).abs().max() < 0.08
        assert statistics.std == pytest.approx(w.var(dim=0).mean().sqrt().item(), rel=0.03)
        assert not statistics.mean.is_inference()


def test_directions_without_variance_have_finite_distances():
    generator = toy_generator()
    generator.projection[:, 0] = 0  # the first component of w is always 0.5
    statistics = latent_statistics(generator)
    step = torch.tensor([1.0, 0, 0, 0])
    distance = statistics.whiten(statistics.mean + step).square().sum().item()
    # The floor: a variance of 1 percent of the mean.
    assert distance == pytest.approx(1 / (0.01 * statistics.std**2), rel=1e-3)


def test_codes_are_the_same_after_saving_and_loading(tmp_path):
    path = tmp_path / "code.safetensors"
    save_latent(path, codes(), prompt="a red shirt")
    loaded, notes = load_latent(path, toy_generator())
    assert torch.equal(loaded, codes())
    assert notes == {"prompt": "a red shirt"}
    assert [file.name for file in tmp_path.iterdir()] == ["code.safetensors"]


def test_a_latent_is_known_by_its_header(tmp_path):
    latent, other, broken = (tmp_path / f"{n}.safetensors" for n in ("latent", "other", "broken"))
    save_latent(latent, torch.zeros(1, 2, 3))
    save_file({"w_plus": torch.zeros(1, 2, 3)}, other)
    broken.write_bytes(b"nothing")
    assert is_latent(latent)
    assert not any(is_latent(path) for path in (other, broken, tmp_path / "gone"))


def test_bad_files_are_refused_with_one_line(tmp_path):
    with pytest.raises(FiceError, match="there is no latent file"):
        load_latent(tmp_path / "none.safetensors")
    noise = tmp_path / "noise.safetensors"
    noise.write_bytes(b"\x00\x01 no safetensors")
    with pytest.raises(FiceError, match="not a readable safetensors file") as caught:
        load_latent(noise)
    assert "\n" not in str(caught.value)
    other = tmp_path / "other.safetensors"
    from fice_core.files import KIND_KEY, write_safetensors

    write_safetensors(other, {"weight": torch.zeros(2)}, {KIND_KEY: "generator"})
    with pytest.raises(FiceError, match=r"contains no latent code \(kind: generator"):
        load_latent(other)
    with pytest.raises(FiceError, match="cannot write"):
        save_latent(tmp_path / "missing" / "code.safetensors", codes())
    save_latent(other, codes()[:, :2])
    with pytest.raises(FiceError, match=r"takes \(N, 3, 4\)"):
        load_latent(other, toy_generator())


@given(st.floats(0, 1))
def test_interpolation_is_linear(amount):
    first, second = codes(seed=1), codes(seed=2)
    expected = (1 - amount) * first + amount * second
    torch.testing.assert_close(interpolate(first, second, amount), expected)


def test_mixing_changes_only_the_range():
    first, second = codes(seed=1), codes(seed=2)
    mixed = mix_layers(first, second, 1, 3)
    assert torch.equal(mixed[:, 0], first[:, 0])
    assert torch.equal(mixed[:, 1:], second[:, 1:])
    half = mix_layers(first, second, 0, 1, amount=0.5)
    torch.testing.assert_close(half[:, 0], (first[:, 0] + second[:, 0]) / 2)
    assert mix_layers(first, second[:1], 0, 3).shape == first.shape
    assert torch.equal(first, codes(seed=1))


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (2, 2), (-1, 1), (2, 1)])
def test_mixing_outside_the_layers_is_a_user_error(start, stop):
    with pytest.raises(FiceError, match="not within"):
        mix_layers(codes(), codes(), start, stop)


def test_codes_of_two_generators_are_not_blended():
    with pytest.raises(FiceError, match="blend codes of one generator"):
        interpolate(codes(), codes()[:, :2], 0.5)
