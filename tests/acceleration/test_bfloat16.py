"""Critics in bfloat16: rounded once, as autocast does at every call; the originals do not change."""

import pytest
import torch
from torch import nn

from fice_core.acceleration.bfloat16 import in_bfloat16, multiplies_bfloat16
from fice_core.acceleration.fusion import fuse_for_inference
from fice_core.acceleration.winograd import WinogradConv
from fice_core.networks.clip import Clip
from fice_core.networks.densepose import DensePose
from fice_core.networks.segmenter import Segmenter

SMALL = {"stem_channels": 8, "width": 4, "blocks": (1, 1, 1, 1)}
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "head_width": 8}
TRANSFORMER = {"layers": 2, "width": 64, "patch_size": 16, "image_size": 64}
TEXT = {"width": 64, "heads": 1, "layers": 1, "vocab_size": 49408}
NETWORKS = {
    "densepose": (
        lambda: DensePose(
            **SMALL, fpn_channels=8, decoder_channels=8, head="dl", head_convs=1, head_channels=8
        ),
        lambda network, x: network(x),
    ),
    "segmenter": (lambda: Segmenter(**SMALL, aspp_channels=8), lambda network, x: network(x).head),
    "clip": (lambda: Clip(16, RESNET, TEXT), lambda network, x: network.encode_image(x)),
    "clip vit": (lambda: Clip(16, TRANSFORMER, TEXT), lambda network, x: network.encode_image(x)),
}  # fmt: skip


def seen(use, network: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a critic in autocast, and the gradient at the images."""
    picture = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = use(network, picture).float()
    way = torch.linspace(-1, 1, found.numel()).view_as(found)
    return found.detach(), torch.autograd.grad((way * found).sum(), picture)[0]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_those_of_the_original_in_autocast(name: str, quick: bool) -> None:
    build, use = NETWORKS[name]
    torch.manual_seed(0)
    network = build().eval().requires_grad_(False)
    network = fuse_for_inference(network) if quick else network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    twin = in_bfloat16(network)
    images = torch.rand(2, 3, 64, 64)
    for ours, theirs in zip(seen(use, twin, images), seen(use, network, images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert sum(p.dtype == torch.bfloat16 for p in twin.parameters()) > 5
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.dtype == before[key].dtype


def test_a_rounded_clip_shares_its_text_tower() -> None:
    clip = Clip(16, RESNET, TEXT).eval().requires_grad_(False)
    twin = in_bfloat16(clip)
    assert twin.tokenizer is clip.tokenizer
    assert twin.model.transformer is clip.model.transformer
    assert twin.model.visual is not clip.model.visual
    norms = [m for m in twin.model.visual.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {norm.weight.dtype for norm in norms} == {torch.float32}


def test_a_winograd_convolution_becomes_a_plain_one() -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1).requires_grad_(False)
    conv.weight.copy_(torch.randint(-8, 8, conv.weight.shape))  # nothing to round on the way back
    twin = in_bfloat16(nn.Sequential(WinogradConv(conv), nn.ReLU()))
    assert type(twin[0]) is nn.Conv2d
    assert torch.equal(twin[0].weight, conv.weight.bfloat16())
    assert torch.equal(twin[0].bias, conv.bias.bfloat16())


def test_devices_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not multiplies_bfloat16(torch.device("meta"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert multiplies_bfloat16(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")  # an older torch
    assert not multiplies_bfloat16(torch.device("cpu"))
