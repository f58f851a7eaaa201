"""rosinality's layout: images and codes against an independent forward pass."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_writers import write_legacy
from command import fice
from hypothesis import given, settings
from hypothesis import strategies as st
from rosinality_reference import map_z, random_state, render
from safetensors.torch import save_file

from fice_core import checkpoints
from fice_core.checkpoints.layouts import rosinality
from fice_core.checkpoints.reading.records import TensorRecord
from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import infer_config


def write(path: Path, state: dict[str, torch.Tensor], **more: object) -> Path:
    torch.save({"g_ema": state, **more}, path)
    return path


def codes(count: int, num_ws: int, dim: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, num_ws, dim, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_state((10, 10, 8))


@pytest.mark.parametrize(
    ("channels", "layers", "half"),
    [
        ((10, 10), 1, False),
        ((10, 10, 10, 8), 8, False),
        ((8, 8, 4, 2), 2, False),
        ((10, 10, 8, 4), 8, True),
        ((4, 4, 4, 4, 2), 2, True),
    ],
)
def test_images(tmp_path, channels, layers, half):
    state = random_state(channels, layers=layers, half=half)
    network = checkpoints.load_generator(write(tmp_path / "g.pt", state))
    height = 2 << len(channels)
    assert network.resolution == (height, height // 2 if half else height)
    assert network.config["mapping_layers"] == layers
    assert network.config["conv_clamp"] is None
    w_plus = codes(2, network.num_ws, 12)
    expected = np.stack([render(state, code) for code in w_plus.double().numpy()])
    assert np.ptp(expected) > 1
    found = network.synthesize(w_plus) * 2 - 1
    torch.testing.assert_close(found, torch.tensor(expected).float(), atol=1e-4, rtol=0)


def test_the_reference_distinguishes_conventions(state):
    """The comparison detects a flipped kernel, a wrong noise, a w shared with the wrong layer."""
    w_plus = codes(1, 6, 12)[0].double().numpy()
    picture = render(state, w_plus)
    turned = {k: v.flip(3, 4) if k == "convs.0.conv.weight" else v for k, v in state.items()}
    swapped = state | {
        "noises.noise_1": state["noises.noise_2"],
        "noises.noise_2": state["noises.noise_1"],
    }
    for other in (render(turned, w_plus), render(swapped, w_plus), render(state, w_plus[::-1])):
        assert np.abs(other - picture).max() > 0.05


def test_small_styles_are_demodulated_alike(tmp_path, state):
    """The epsilon of the demodulation matters only for a weak style: here it halves the output."""
    weak = dict(state)
    for leaf in ("weight", "bias"):
        key = f"convs.1.conv.modulation.{leaf}"
        weak[key] = state[key] * 1e-4
    network = checkpoints.load_generator(write(tmp_path / "g.pt", weak))
    w_plus = codes(1, network.num_ws, 12)
    expected = torch.tensor(render(weak, w_plus[0].double().numpy()))
    found = network.synthesize(w_plus)[0].double() * 2 - 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    strong = torch.tensor(render(state, w_plus[0].double().numpy()))
    assert (strong - expected).abs().max() > 0.1


def test_mapping(tmp_path, state):
    network = checkpoints.load_generator(write(tmp_path / "g.pt", state))
    z = codes(3, 1, 12)[:, 0]
    expected = np.stack([map_z(state, row) for row in z.double().numpy()])
    torch.testing.assert_close(network.mapping(z), torch.tensor(expected).float())


@pytest.mark.parametrize("shape", [(12,), (1, 12)])
def test_the_mean_of_w_is_read(tmp_path, state, shape):
    average = torch.randn(shape)
    network = checkpoints.load_generator(write(tmp_path / "g.pt", state, latent_avg=average))
    assert torch.equal(network.w_avg, average.reshape(12))


def test_a_missing_mean_of_w_is_computed(tmp_path, state):
    path = write(tmp_path / "g.pt", state)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    network, again = (checkpoints.load_generator(path) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(network.w_avg, again.w_avg)
    z = np.random.default_rng(1).normal(size=(2000, 12))
    sample = np.stack([map_z(state, row) for row in z])
    error = sample.std(0) * np.sqrt(1 / len(z) + 1 / rosinality.SAMPLES)
    assert (np.abs(network.w_avg.numpy() - sample.mean(0)) < 4.5 * error).all()
    assert np.abs(network.w_avg.numpy()).max() > 0.1


def test_training_files(tmp_path, state):
    """They also have the raw generator, a discriminator and optimisers; the moving average is used."""
    other = {key: value + 1 for key, value in state.items()}
    critic = {"convs.0.0.weight": torch.zeros(4, 3, 1, 1)}
    more = {"g": other, "d": critic, "args": argparse.Namespace(size=16), "ada_aug_p": 0.2}
    network = checkpoints.load_generator(write(tmp_path / "a.pt", state, **more))
    alone = checkpoints.load_generator(write(tmp_path / "b.pt", state))
    w_plus = codes(1, network.num_ws, 12)
    assert torch.equal(network.synthesize(w_plus), alone.synthesize(w_plus))


@pytest.mark.parametrize(("blocks", "multiplier"), [(7, 1), (7, 2), (9, 2)])
def test_published_channel_counts(blocks, multiplier):
    """512 channels up to 32 pixels, then 256, 128, 64, 32, 16 times the channel multiplier."""
    channels = [512] * 4 + [count * multiplier for count in (256, 128, 64, 32, 16)]
    state = random_state(channels[:blocks], style_dim=512)
    state = {key: value.to("meta") for key, value in state.items() if "kernel" not in key}
    config = infer_config(rosinality.translate(state, None))
    assert config["resolution"] == [2 << blocks, 2 << blocks]
    assert config["channel_base"] == 16384 * multiplier
    assert config["channel_max"] == config["z_dim"] == config["w_dim"] == 512
    assert config["mapping_layers"] == 8


@pytest.mark.parametrize("kind", ["pt", "legacy", "safetensors", "bare"])
def test_every_container(tmp_path, state, kind):
    path = tmp_path / "g.pt"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "legacy":
        write_legacy(path, {"g_ema": state})
    else:
        torch.save(state if kind == "bare" else {"g_ema": state}, path)
    network = checkpoints.load_generator(path)
    torch.testing.assert_close(network.synthesis.b16.torgb.bias, state["to_rgbs.1.bias"].flatten())


def test_inspect_and_convert(tmp_path, state):
    first, second = write(tmp_path / "g.pt", state), tmp_path / "g.safetensors"
    result = fice("inspect", first)
    assert result.stdout.startswith("g.pt is a StyleGAN2 generator (16 x 16, 6 styles of 12)\n")
    details = dict(line.split(None, 1) for line in result.stdout.splitlines()[1:])
    assert details["layout"] == "rosinality's"
    assert details["num_ws"] == "6"
    assert details["mapping_layers"] == "8"
    assert fice("convert", first, second).exit_code == 0
    network, again = (checkpoints.load_generator(path) for path in (first, second))
    assert again.config == network.config
    w_plus = codes(1, 6, 12)
    assert torch.equal(again.synthesize(w_plus), network.synthesize(w_plus))
    assert torch.equal(again.w_avg, network.w_avg)


def test_inspecting_reads_no_weights(tmp_path, state, monkeypatch):
    """Only the filters, sixteen numbers each, are read."""
    path = write(tmp_path / "g.pt", state)
    read = []

    def to_tensor(record: TensorRecord) -> torch.Tensor:
        read.append(record.shape)
        return original(record)

    original = TensorRecord.to_tensor
    monkeypatch.setattr(TensorRecord, "to_tensor", to_tensor)
    checkpoints.describe(path)
    assert set(read) == {(4, 4)}


# Files that cannot be used


def refusal(tmp_path: Path, state: dict[str, torch.Tensor], **more: object) -> str:
    with pytest.raises(FiceError) as caught:
        checkpoints.load_generator(write(tmp_path / "g.pt", state, **more))
    message = str(caught.value)
    assert "g.pt" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "key",
    [
        "input.input",
        "style.1.weight",
        "style.8.bias",
        "conv1.noise.weight",
        "convs.2.conv.weight",
        "convs.3.conv.modulation.bias",
        "to_rgbs.1.bias",
        "noises.noise_4",
    ],
)
def test_a_missing_tensor_is_named_as_the_file_names_it(tmp_path, state, key):
    rest = {name: value for name, value in state.items() if name != key}
    assert refusal(tmp_path, rest).endswith(f"is incomplete: {key}")


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("input.input", (2, 10, 4, 4)),
        ("style.3.weight", (12, 13)),
        ("style.1.bias", (12, 1)),
        ("convs.0.conv.weight", (2, 10, 10, 3, 3)),
        ("noises.noise_1", (8,)),
        ("convs.0.noise.weight", (3,)),
    ],
)
def test_a_wrong_shape_is_named(tmp_path, state, key, shape):
    message = refusal(tmp_path, state | {key: torch.zeros(shape)})
    assert key in message
    assert str(shape) in message


def test_a_mean_of_another_width(tmp_path, state):
    message = refusal(tmp_path, state, latent_avg=torch.zeros(13))
    assert "latent_avg is (13,), expected (12,)" in message


@pytest.mark.parametrize("key", ["convs.0.conv.blur.kernel", "to_rgbs.0.upsample.kernel"])
@pytest.mark.parametrize("kernel", [torch.ones(4, 4) / 4, torch.ones(3, 3)])
def test_other_filters_are_refused(tmp_path, state, key, kernel):
    message = refusal(tmp_path, state | {key: kernel})
    assert f"filter {key} is not [1, 3, 3, 1]" in message


@settings(deadline=None, max_examples=60)
@given(
    place=st.integers(0, 10**6),
    shape=st.lists(st.integers(0, 12), max_size=5),
    dtype=st.sampled_from([torch.float16, torch.float64, torch.int64, torch.bool, torch.complex64]),
)
def test_an_unexpected_tensor_anywhere_is_loaded_or_refused(tmp_path_factory, place, shape, dtype):
    state = random_state((4, 4), style_dim=6, layers=2)
    key = sorted(state)[place % len(state)]
    own = state[key].to(dtype) if place % 2 else torch.zeros(shape, dtype=dtype)
    path = write(tmp_path_factory.mktemp("strange") / "g.pt", state | {key: own})
    try:
        network = checkpoints.load_generator(path)
    except FiceError:
        return
    assert network.resolution == (8, 8)
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
