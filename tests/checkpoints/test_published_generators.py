"""Published generators: NVIDIA's and StyleGAN-Human's pickles at every size.

Files are written in their layouts, with all blocks and few channels. What a file holds is compared
with the network whose weights were written.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from checkpoint_writers import nvidia_layout, randomized, write_nvidia
from command import fice

from fice_core import checkpoints
from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import Generator

CHANNELS = {"channel_base": 1024, "channel_max": 8}


class Published(NamedTuple):
    name: str
    resolution: tuple[int, int]
    num_ws: int
    mapping_layers: int
    arguments: dict[str, Any]
    clamp: float | None


def ada(resolution: int, layers: int, **synthesis: Any) -> dict[str, Any]:
    """The constructor's arguments in stylegan2-ada-pytorch."""
    return {
        "z_dim": 8,
        "c_dim": 0,
        "w_dim": 8,
        "img_resolution": resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": layers},
        "synthesis_kwargs": {**CHANNELS, "num_fp16_res": 4, **synthesis},
    }


def third(resolution: int) -> dict[str, Any]:
    """The arguments in the stylegan3 repository, where synthesis arguments are not nested."""
    arguments = ada(resolution, 8)
    return arguments | arguments.pop("synthesis_kwargs")


def human(resolution: int) -> dict[str, Any]:
    return ada(resolution, 8, conv_clamp=256) | {"square": False}


PUBLISHED = [
    Published("ada-auto-256", (256, 256), 14, 2, ada(256, 2, conv_clamp=256), 256),
    Published("config-f-256", (256, 256), 14, 8, ada(256, 8, conv_clamp=256), 256),
    Published("config-f-512", (512, 512), 16, 8, ada(512, 8, conv_clamp=256), 256),
    Published("config-f-1024", (1024, 1024), 18, 8, ada(1024, 8, conv_clamp=256), 256),
    Published("config-f-1024-fp32", (1024, 1024), 18, 8, ada(1024, 8), None),
    Published("third-256", (256, 256), 14, 8, third(256), 256),
    Published("third-1024", (1024, 1024), 18, 8, third(1024), 256),
    Published("third-512-fp32", (512, 512), 16, 8, third(512) | {"conv_clamp": None}, None),
    Published("human-512", (512, 256), 16, 8, human(512), 256),
    Published("human-1024", (1024, 512), 18, 8, human(1024), 256),
]


def network_of(published: Published) -> Generator:
    network = Generator(
        published.resolution,
        8,
        8,
        **CHANNELS,
        mapping_layers=published.mapping_layers,
        conv_clamp=published.clamp,
    )
    randomized(network)
    return network


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.name)
def test_pickles(tmp_path: Path, published: Published) -> None:
    network, path = network_of(published), tmp_path / "g.pkl"
    write_nvidia(path, nvidia_layout(network), arguments=published.arguments)
    again = checkpoints.load_generator(path)
    assert again.config == network.config
    assert again.resolution == published.resolution
    assert again.num_ws == published.num_ws
    w_plus = torch.randn(1, again.num_ws, 8, generator=torch.Generator().manual_seed(0))
    picture = again.synthesize(w_plus)
    assert picture.shape == (1, 3, *published.resolution)
    assert torch.equal(picture, network.synthesize(w_plus))
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.map(z, 0.7), network.map(z, 0.7))


@pytest.mark.parametrize("published", PUBLISHED[-2:], ids=lambda published: published.name)
def test_the_first_block_is_half_as_wide(published: Published) -> None:
    """So is every layer's noise: no image is cropped or stretched."""
    state = network_of(published).state_dict()
    assert state["synthesis.b4.const"].shape == (8, 4, 2)
    for key, value in state.items():
        if key.endswith("noise_const"):
            height = int(key.split(".")[1][1:])
            assert value.shape == (height, height // 2)


@pytest.mark.parametrize("published", PUBLISHED[-2:], ids=lambda published: published.name)
def test_inspect_and_convert(tmp_path: Path, published: Published) -> None:
    first, second = tmp_path / "human.pkl", tmp_path / "human.safetensors"
    write_nvidia(first, nvidia_layout(network_of(published)), arguments=published.arguments)
    result = fice("inspect", first)
    height, width = published.resolution
    summary = f"a StyleGAN2 generator ({height} x {width}, {published.num_ws} styles of 8)"
    assert result.stdout.startswith(f"human.pkl is {summary}\n")
    details = dict(line.split(None, 1) for line in result.stdout.splitlines()[1:])
    assert details["format"] == "pickle"
    assert details["num_ws"] == str(published.num_ws)
    assert details["resolution"] == f"[{height}, {width}]"
    assert fice("convert", first, second).stdout.startswith(f"human.safetensors is {summary}\n")
    network, again = (checkpoints.load_generator(path) for path in (first, second))
    assert again.config == network.config
    assert all(
        torch.equal(value, network.state_dict()[key]) for key, value in again.state_dict().items()
    )


def test_arguments_beside_an_averaged_copy(tmp_path: Path) -> None:
    """`G_kwargs` are also the arguments of `G_ema`."""
    network = Generator((16, 16), 8, 8, 64, 8)
    kwargs = {"synthesis_kwargs": {"conv_clamp": 7}}
    torch.save({"G_ema": network.state_dict(), "G_kwargs": kwargs}, tmp_path / "g.pt")
    assert checkpoints.load_generator(tmp_path / "g.pt").config["conv_clamp"] == 7


def test_tensorflow_pickles_are_named(tmp_path: Path) -> None:
    """`(G, D, Gs)` of the first releases; nothing after the first class is read."""
    (tmp_path / "f.pkl").write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.")
    with pytest.raises(FiceError, match=r"^f\.pkl is a TensorFlow network .* PyTorch version"):
        checkpoints.load_generator(tmp_path / "f.pkl")
