"""What NVIDIA's files record of a generator is honoured or refused by name; and encoders' averages."""

import argparse
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_writers import prefixed, randomized, tiny_encoder, tiny_generator, write_nvidia
from rosinality_reference import random_state
from torch import Tensor
from torch.nn import functional as F

from fice_core import checkpoints
from fice_core.errors import FiceError, FiceWarning
from fice_core.networks.stylegan2 import Generator

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])


@pytest.fixture(scope="module")
def generator() -> Generator:
    network = randomized(tiny_generator())
    assert isinstance(network, Generator)
    return network


def arguments(
    mapping: dict[str, Any] | None = None, flat: bool = False, **synthesis: Any
) -> dict[str, Any]:
    """The constructor's arguments, nested as in stylegan2-ada-pytorch or flat as in stylegan3's."""
    given: dict[str, Any] = {"z_dim": 8, "w_dim": 8, "img_resolution": 16, "img_channels": 3}
    given["mapping_kwargs"] = mapping or {}
    synthesis = {"channel_base": 64, "channel_max": 8, "conv_clamp": 256} | synthesis
    return given | (synthesis if flat else {"synthesis_kwargs": synthesis})


def write(path: Path, form: str, state: dict[str, Tensor], given: dict[str, Any]) -> Path:
    if form == "pickle":
        write_nvidia(path, state, arguments=given)
    else:
        torch.save({"G": state, "G_kwargs": given}, path)
    return path


# Honoured


@pytest.mark.parametrize("multiplier", [0.01, 0.1, 1, 1e-3])
@pytest.mark.parametrize("form", ["pickle", "authors'"])
def test_the_multiplier_of_the_mapping(tmp_path, generator, form, multiplier):
    """y = lrelu(x (W m / sqrt(fan_in))^T + b m) sqrt(2), with multiplier m."""
    given = arguments({"num_layers": 2, "lr_multiplier": multiplier})
    state = dict(generator.state_dict())
    loaded = checkpoints.load_generator(write(tmp_path / "g", form, state, given))
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    x = z / z.square().mean(1, keepdim=True).sqrt()
    for i in range(2):
        weight, bias = state[f"mapping.fc{i}.weight"], state[f"mapping.fc{i}.bias"]
        x = F.linear(x, weight * multiplier / 8**0.5, bias * multiplier)
        x = F.leaky_relu(x, 0.2) * 2**0.5
    torch.testing.assert_close(loaded.map(z)[:, 0], x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("form", ["pickle", "authors'"])
def test_without_noise(tmp_path, generator, form, flat):
    """`use_noise=False`: the file has neither noise nor its strengths."""
    state = {key: value for key, value in generator.state_dict().items() if ".noise_" not in key}
    path = write(tmp_path / "g", form, state, arguments(flat=flat, use_noise=False))
    loaded = checkpoints.load_generator(path)
    silent = Generator(**generator.config)
    silent.load_state_dict(generator.state_dict())
    with torch.no_grad():
        for name, parameter in silent.named_parameters():
            if name.endswith("noise_strength"):
                parameter.zero_()
    w_plus = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.synthesize(w_plus), silent.synthesize(w_plus))
    assert not torch.equal(loaded.synthesize(w_plus), generator.synthesize(w_plus))


def test_defaults_that_are_written_out(tmp_path, generator):
    given = arguments(
        {"num_layers": 2, "activation": "lrelu", "lr_multiplier": 0.01},
        architecture="skip",
        resample_filter=[1, 3, 3, 1],
        activation="lrelu",
        use_noise=True,
    )
    state = dict(generator.state_dict())
    loaded = checkpoints.load_generator(write(tmp_path / "g.pkl", "pickle", state, given))
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


# Refused


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("form", ["pickle", "authors'"])
@pytest.mark.parametrize(
    ("synthesis", "message"),
    [
        ({"resample_filter": [1, 2, 1]}, r"resample_filter\) is not \[1, 3, 3, 1\]"),
        ({"resample_filter": None, "activation": "relu"}, "its activation is 'relu'"),
        ({"activation": "linear"}, "its activation is 'linear'; only generators with 'lrelu'"),
        ({"architecture": "resnet"}, "its architecture is 'resnet'; only generators with 'skip'"),
        ({"architecture": "orig"}, "its architecture is 'orig'"),
        ({"img_channels": 1}, "its img_channels is 1; only generators with 3"),
    ],
)
def test_other_synthesis_networks(tmp_path, generator, form, flat, synthesis, message):
    given = arguments(flat=flat, **synthesis)
    path = write(tmp_path / "g.x", form, dict(generator.state_dict()), given)
    with pytest.raises(FiceError, match=rf"^g\.x: .*{message}") as caught:
        checkpoints.load_generator(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FiceError, match=message):
        checkpoints.describe(path)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"activation": "sigmoid"}, "its activation is 'sigmoid'"),
        ({"lr_multiplier": 0}, "its lr_multiplier is 0"),
        ({"lr_multiplier": "1"}, "its lr_multiplier is '1'"),
    ],
)
def test_other_mapping_networks(tmp_path, generator, mapping, message):
    state = dict(generator.state_dict())
    with pytest.raises(FiceError, match=message):
        checkpoints.load_generator(write(tmp_path / "g.pkl", "pickle", state, arguments(mapping)))


@pytest.mark.parametrize(
    "kernel",
    [torch.ones(4, 4) / 16, torch.tensor([1.0, 2, 1]).outer(torch.tensor([1.0, 2, 1])) / 16],
    ids=["box", "1 2 1"],
)
def test_filters_are_read_from_the_buffers(tmp_path, generator, kernel):
    """Also where no argument is recorded, as in a plain state dict."""
    right = {"synthesis.b4.resample_filter": torch.outer(TAPS, TAPS) / 64}
    torch.save({"G": dict(generator.state_dict()) | right}, tmp_path / "g.pt")
    checkpoints.load_generator(tmp_path / "g.pt")
    wrong = right | {"synthesis.b8.conv0.resample_filter": kernel}
    torch.save({"G": dict(generator.state_dict()) | wrong}, tmp_path / "g.pt")
    with pytest.raises(FiceError, match="resample_filter"):
        checkpoints.load_generator(tmp_path / "g.pt")


def test_architectures_that_the_tensors_show(tmp_path, generator):
    state = dict(generator.state_dict())
    last = {k: v for k, v in state.items() if ".torgb." not in k or ".b16." in k}
    skip = {f"synthesis.b{h}.skip.weight": torch.zeros(8, 8, 1, 1) for h in (8, 16)}
    grey = {k: v[:1] if ".torgb." in k and "affine" not in k else v for k, v in state.items()}
    for changed, message in (
        (last, "architecture is 'orig'"),
        (last | skip, "architecture is 'resnet'"),
        (grey, "img_channels is 1"),
    ):
        torch.save({"G": changed}, tmp_path / "g.pt")
        with pytest.raises(FiceError, match=message):
            checkpoints.load_generator(tmp_path / "g.pt")


def test_layers_of_other_generators_are_refused(tmp_path, generator):
    state = dict(generator.state_dict()) | {"synthesis.b8.attention.weight": torch.zeros(2)}
    torch.save({"G": state}, tmp_path / "g.pt")
    with pytest.raises(FiceError, match=r"1 tensors \(synthesis\.b8\.attention\.weight\)"):
        checkpoints.load_generator(tmp_path / "g.pt")


# Encoders


def encoder_file(path: Path, **more: Any) -> Path:
    """An encoder's file without an average; `decoder` adds a generator's tensors."""
    state = prefixed(dict(randomized(tiny_encoder()).state_dict()), "encoder.")
    del state["encoder.latent_avg"]
    state |= prefixed(more.pop("decoder", {}), "decoder.")
    torch.save({"state_dict": state, **more}, path)
    return path


def told(path: Path, **options: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FiceWarning)
        network = checkpoints.load_encoder(path, **options)
    return network, [str(one.message) for one in caught if one.category is FiceWarning]


def test_the_average_of_the_decoder(tmp_path, generator):
    path = encoder_file(tmp_path / "e.pt", decoder=dict(generator.state_dict()))
    network, lines = told(path)
    assert torch.equal(network.latent_avg, generator.w_avg.expand(6, 8))
    assert len(lines) == 1 and "the generator in the file is used" in lines[0]


def test_the_average_of_a_decoder_in_rosinalitys_layout(tmp_path):
    state = random_state([8, 8, 8], 8, 2)
    torch.save({"g_ema": state}, tmp_path / "g.pt")
    path = encoder_file(tmp_path / "e.pt", decoder=state, opts={})
    average = checkpoints.load_generator(tmp_path / "g.pt").w_avg
    network, _ = told(path)
    torch.testing.assert_close(network.latent_avg, average.expand(6, 8))
    assert torch.equal(checkpoints.load_generator(path).w_avg, average)


def test_the_average_of_every_style_is_that_of_the_generator(tmp_path):
    """e4e files repeat the mean of w for every style; *Load Generator* takes one."""
    state, mean = random_state([8, 8, 8], 8, 2), torch.randn(8)
    path = encoder_file(
        tmp_path / "e.pt", decoder=state, opts={}, latent_avg=mean.expand(6, 8).clone()
    )
    assert torch.equal(checkpoints.load_generator(path).w_avg, mean)


def test_the_average_of_a_generator_that_is_given(tmp_path):
    path = encoder_file(tmp_path / "e.pt", opts={})
    with pytest.raises(FiceError, match="no latent_avg, the average code, and no generator"):
        checkpoints.load_encoder(path)
    network, lines = told(path, average=torch.arange(8.0))
    assert torch.equal(network.latent_avg, torch.arange(8.0).expand(6, 8))
    assert "the generator's mean of w is used" in lines[0]


@pytest.mark.parametrize("kind", ["GradualStyleEncoder", "ProgressiveBackboneEncoder"])
def test_encoders_that_are_recorded_as_others_are_refused(tmp_path, kind):
    for opts in ({"encoder_type": kind}, argparse.Namespace(encoder_type=kind)):
        path = encoder_file(tmp_path / "e.pt", opts=opts, latent_avg=torch.zeros(8))
        with pytest.raises(FiceError, match=r"is a (pSp|ReStyle-e4e) encoder; an e4e encoder was"):
            checkpoints.load_encoder(path)


def test_an_encoder_that_may_be_psp_is_told(tmp_path, generator):
    """pSp has the tensors of e4e. The authors' file is known by its generator's layout."""
    average = torch.zeros(8)
    _, lines = told(encoder_file(tmp_path / "e.pt", latent_avg=average))
    assert len(lines) == 1 and "e4e or a pSp encoder" in lines[0]
    decoder = dict(generator.state_dict())
    assert told(encoder_file(tmp_path / "e.pt", latent_avg=average, decoder=decoder))[1] == []
    opts = {"encoder_type": "Encoder4Editing"}
    assert told(encoder_file(tmp_path / "e.pt", latent_avg=average, opts=opts))[1] == []


def test_encoders_of_two_images_are_named(tmp_path):
    """ReStyle's and HyperStyle's see the photo and the last reconstruction."""
    state = prefixed(dict(tiny_encoder().state_dict()), "encoder.")
    state["encoder.input_layer.0.weight"] = torch.zeros(16, 6, 3, 3)
    torch.save({"state_dict": state}, tmp_path / "e.pt")
    with pytest.raises(FiceError, match=r"of 6 channels \(ReStyle, HyperStyle\?\)"):
        checkpoints.load_encoder(tmp_path / "e.pt")
