"""Images half as wide as high, as those of StyleGAN-Human: from files to a finished edit."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_writers import prefixed, write_nvidia
from command import fice
from rosinality_reference import random_state
from tiny_models import write_models
from torch import nn
from torch.nn import functional as F

from fice_core import checkpoints
from fice_core.editing.pipeline import edit
from fice_core.errors import FiceError
from fice_core.extraction.extractors import encode_latent
from fice_core.framing import Frame
from fice_core.images.photo import read_image, write_image
from fice_core.models import Models, load_models
from fice_core.networks.e4e import Encoder
from fice_core.networks.segmenter import CLASSES, Regions
from fice_core.networks.stylegan2 import Generator
from fice_core.settings import EditSettings

RESOLUTION, NUM_WS = (64, 32), 10
STAGES = ((2, 1), (3, 1), (4, 1), (5, 1))


def random_encoder(input_size: int, num_styles: int, stages=STAGES, style_dim: int = 8) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Encoder(input_size, stages, num_styles, style_dim).eval()


def write_encoder(path: Path, encoder: Encoder, decoder: dict[str, torch.Tensor]) -> None:
    """A file of its training program, which also has the generator in rosinality's layout."""
    state = {k: v for k, v in encoder.state_dict().items() if k != "latent_avg"}
    tree = {
        "state_dict": prefixed(state, "encoder.") | prefixed(decoder, "decoder."),
        "latent_avg": torch.full((encoder.num_styles, encoder.style_dim), 0.1),
        "opts": argparse.Namespace(encoder_type="Encoder4Editing", start_from_latent_avg=True),
    }
    torch.save(tree, path)


def photos(*size: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


# The encoder


@pytest.mark.parametrize(("height", "num_styles"), [(1024, 18), (512, 16)])
def test_the_encoder_sees_256_by_128(tmp_path, height, num_styles):
    decoder = random_state((4, 4, 2), half=True)
    write_encoder(tmp_path / "e4e.pt", random_encoder(256, num_styles), decoder)
    encoder = checkpoints.load_encoder(tmp_path / "e4e.pt")
    assert encoder.config["input_size"] == 256
    seen = []
    encoder.input_layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    images = photos(height, height // 2)
    w_plus = encoder(images)
    assert seen == [(1, 3, 256, 128)]
    assert w_plus.shape == (1, num_styles, 8)
    small = F.avg_pool2d(images, height // 256)
    torch.testing.assert_close(encoder(small), w_plus)
    result = fice("inspect", tmp_path / "e4e.pt")
    assert result.stdout.startswith(f"e4e.pt is an e4e encoder ({num_styles} styles, 8)\n")
    fice("convert", tmp_path / "e4e.pt", tmp_path / "e4e.safetensors")
    again = checkpoints.load_encoder(tmp_path / "e4e.safetensors")
    assert torch.equal(again(small), encoder(small))


def test_every_head_of_the_published_encoder_returns_one_vector():
    """16 x 8 features are halved four times for the height; the width is one pixel after three."""
    with torch.device("meta"):
        w_plus = Encoder(num_styles=18)(torch.zeros(1, 3, 256, 128))
    assert w_plus.shape == (1, 18, 512)


# From a photo to the edited photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The generator from StyleGAN-Human's pickle, the encoder from a file of its training program."""
    folder = tmp_path_factory.mktemp("half-wide")
    write_models(folder)
    (folder / "generator.safetensors").unlink()
    (folder / "encoder.safetensors").unlink()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Generator(RESOLUTION, 8, 8, 256, 8, 8)
    arguments = {"synthesis_kwargs": {"conv_clamp": 256}, "square": False}
    write_nvidia(folder / "generator.pkl", dict(network.state_dict()), arguments=arguments)
    decoder = random_state((4, 4, 4, 4, 2), half=True)
    write_encoder(folder / "e4e.pt", random_encoder(32, NUM_WS), decoder)
    return folder


@pytest.fixture(scope="module")
def models(folder) -> Models:
    return load_models(folder)


def test_codes(models):
    images = photos(*RESOLUTION, count=2)
    w_plus = encode_latent(models.generator, models.load_encoder(), images)
    assert w_plus.shape == (2, models.generator.num_ws, models.generator.w_dim) == (2, NUM_WS, 8)
    assert models.generator.synthesize(w_plus).shape == (2, 3, *RESOLUTION)
    expected = models.load_encoder()(F.avg_pool2d(images, 2))
    torch.testing.assert_close(w_plus, expected)


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize("size", [(64, 32), (90, 50), (60, 60), (128, 64)], ids=str)
def test_edit(models, size, preset):
    settings = EditSettings(framing="whole") if preset == "default" else EditSettings.paper()
    images = photos(*size, count=2)
    mask = torch.zeros(1, 1, *size)
    mask[..., size[0] // 4 : size[0] // 2, size[1] // 4 : -size[1] // 4] = 1
    for given in (None, mask):
        result = edit(models, images, "a red shirt", replace(settings, steps=3), mask=given)
        assert result.images.shape == images.shape
        assert result.edit_mask.shape == (2, 1, *size)
        assert result.generated.shape == result.initial.shape == (2, 3, *RESOLUTION)
        assert result.w_plus.shape == (2, NUM_WS, 8)
        assert result.images.isfinite().all()
        assert not torch.equal(result.trace.total[0], result.trace.total[-1])
    outside = (mask == 0).expand_as(images)
    assert torch.equal(result.images[outside], images[outside])


def find_parts(images: torch.Tensor) -> torch.Tensor:
    """Parts of a torso in the middle half of the frame."""
    parts = torch.zeros(len(images), 14, 112, 112)
    parts[:, 1, 28:84, 28:84] = 1
    return parts + 0 * images.mean()


class FindRegions(nn.Module):
    """Regions of the same torso, without a head."""

    labels = CLASSES

    def forward(self, images: torch.Tensor) -> Regions:
        height, width = images.shape[-2:]
        body = torch.zeros_like(images[:, :1])
        body[..., height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
        body = body + 0 * images.mean()
        return Regions(1 - body, body, 0 * body)

    def classes(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return self(images)._asdict()


@pytest.mark.parametrize("size", [(64, 32), (128, 64), (80, 60), (40, 40), (70, 20)], ids=str)
def test_the_mask_is_where_the_person_is(models, size):
    """The torso is half the frame's height and width, for any padding of the photo."""
    known = replace(models, densepose=find_parts, segmenter=FindRegions())
    images = photos(*size)
    settings = EditSettings(
        steps=2, framing="whole", sharp_mask=False
    )  # random pixels have no edges
    result = edit(known, images, "a red shirt", settings)
    left, right, top, bottom = Frame.around(size, RESOLUTION).padding
    height, width = size[0] + top + bottom, size[1] + left + right
    assert abs(height - 2 * width) <= 1
    rows = torch.arange(size[0])[:, None] + 0.5 + top
    columns = torch.arange(size[1])[None, :] + 0.5 + left
    # How far outside of the torso a pixel is, as a fraction of the frame's height
    down = (rows - height / 2).abs() - height / 4
    across = (columns - width / 2).abs() - width / 4
    distance = torch.maximum(down, across).expand(size) / height
    pixel = 1 / RESOLUTION[0]
    reach = 2 * (settings.mask_dilation + settings.mask_feather) + 2 * pixel
    mask = result.edit_mask[0, 0]
    assert mask[distance < -pixel].min() > 0.999
    assert not mask[distance > reach].any()
    assert (distance > reach).any()
    same = (result.edit_mask == 0).expand_as(images)
    assert torch.equal(result.images[same], images[same])
    assert not torch.equal(result.images, images)


def test_edit_on_the_command_line(folder, tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    write_image(photo, photos(80, 60)[0])
    options = ("--prompt", "a red shirt", "--models", folder, "--steps", 2, "-o", out)
    assert fice("edit", photo, *options).exit_code == 0
    assert read_image(out).shape == (3, 80, 60)


def test_an_encoder_with_the_styles_of_another_size(models, tmp_path):
    write_encoder(tmp_path / "e4e.pt", random_encoder(32, 8), random_state((4, 4), half=True))
    encoder = checkpoints.load_encoder(tmp_path / "e4e.pt")
    with pytest.raises(FiceError, match="use an encoder trained for this generator"):
        whole = EditSettings(framing="whole")
        edit(replace(models, load_encoder=lambda: encoder), photos(64, 32), "a red shirt", whole)
