"""Fusion and memory layout change results by rounding only."""

import copy

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d
from torch import nn

from fice_core.acceleration.fusion import (
    DilatedConv,
    OneQueryPool,
    fuse_for_inference,
    with_winograd,
)
from fice_core.acceleration.winograd import WinogradConv
from fice_core.networks.clip import Clip
from fice_core.networks.densepose import DensePose
from fice_core.networks.segmenter import Segmenter
from fice_core.networks.stylegan2 import Generator
from fice_core.profiling.stages import Operations

SMALL = {"stem_channels": 8, "width": 4, "blocks": (2, 1, 1, 2)}


def densepose(head: str) -> DensePose:
    return DensePose(
        **SMALL, fpn_channels=8, decoder_channels=8, head=head, head_convs=2, head_channels=8, pooler_size=7
    )  # fmt: skip


def clip() -> Clip:
    vision = {"layers": [1, 1, 2, 1], "width": 8, "image_size": 64, "head_width": 8}
    return Clip(16, vision, {"width": 16, "heads": 2, "layers": 1, "vocab_size": 49408})


NETWORKS = {
    "densepose s1x": (lambda: densepose("s1x"), lambda network, x: network(x)),
    "densepose dl": (lambda: densepose("dl"), lambda network, x: network(x)),
    "segmenter": (
        lambda: Segmenter(**SMALL, aspp_channels=8),
        lambda network, x: torch.cat(network(x), dim=1),
    ),
    "clip": (clip, lambda network, x: network.encode_image(x)),
}


def settled(network: nn.Module) -> nn.Module:
    """A network with running statistics and scales like those after training."""
    rng = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_(generator=rng).mul_(0.3)
            module.weight.data.add_(1)
            module.running_var.uniform_(0.5, 2, generator=rng)
    return network.double().eval().requires_grad_(False)


def has_winograd(network: nn.Module) -> bool:
    return any(isinstance(module, WinogradConv) for module in network.modules())


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("many", [1, 256])
@pytest.mark.parametrize("name", NETWORKS)
def test_results_and_gradients_are_the_same(
    name: str, many: int, rounds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fice_core.acceleration.fusion._MIN_WINOGRAD_CHANNELS", many)
    monkeypatch.setattr("fice_core.acceleration.fusion.multiplies_bfloat16", lambda device: rounds)
    build, use = NETWORKS[name]
    torch.manual_seed(0)
    network = settled(build())
    quick = fuse_for_inference(copy.deepcopy(network))
    assert (many == 1 and not rounds) == has_winograd(quick)
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(use(network, images).shape, dtype=torch.float64)
    less = with_winograd(quick)
    assert (many == 1) == has_winograd(less)
    found = []
    for one in (network, quick, less):
        result = use(one, images)
        found.append((result, torch.autograd.grad((weight * result).sum(), images)[0]))
    for ours in found[1:]:
        for mine, theirs in zip(ours, found[0], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


def test_winograd_networks_share_all_other_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fice_core.acceleration.fusion._MIN_WINOGRAD_CHANNELS", 8)
    network = Segmenter(**SMALL, aspp_channels=8).eval().requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    less = with_winograd(network)
    assert has_winograd(less) and not has_winograd(network)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    mine, theirs = (dict(one.named_parameters()) for one in (less, network))
    assert 10 < len(mine) < len(theirs)
    assert all(value is theirs[key] for key, value in mine.items() if key in theirs)


def test_devices_that_choose_their_own_algorithms_keep_their_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fice_core.acceleration.fusion._MIN_WINOGRAD_CHANNELS", 1)
    network = Segmenter(**SMALL, aspp_channels=8).eval().requires_grad_(False).to("meta")
    assert with_winograd(network) is network


@pytest.mark.parametrize("name", NETWORKS)
def test_no_normalisation_by_batch_statistics_is_left(name: str) -> None:
    quick = fuse_for_inference(settled(NETWORKS[name][0]()))
    assert not [m for m in quick.modules() if isinstance(m, nn.BatchNorm2d)]
    wide = [p for p in quick.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert wide and all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)
    assert not any(p.requires_grad for p in quick.parameters())


def test_a_network_fused_in_inference_mode_still_has_gradients() -> None:
    with torch.inference_mode():
        with torch.inference_mode(False):
            network = settled(NETWORKS["segmenter"][0]())
        quick = fuse_for_inference(network)
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    quick(images).head.sum().backward()
    assert images.grad is not None and images.grad.any()


def test_attention_pool_computes_one_query() -> None:
    torch.manual_seed(0)
    pool = AttentionPool2d(3, 24, 4, 7).double().eval().requires_grad_(False)
    x = torch.randn(2, 24, 3, 3, dtype=torch.float64)
    with Operations() as operations:
        expected = pool(x)
        whole = operations.read()
        found = OneQueryPool(pool)(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert operations.read() - whole < whole / 2


@pytest.mark.parametrize("size", [(3, 5), (5, 6), (6, 6), (9, 4)])
def test_taps_outside_of_the_image_are_skipped(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, padding=6, dilation=6).double().requires_grad_(False)
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    with Operations() as operations:
        expected = conv(x)
        whole = operations.read()
        found = DilatedConv(conv)(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    share = (operations.read() - whole) / whole
    assert share == pytest.approx(1 / 9 if max(size) <= 6 else 1)


def test_only_the_memory_layout_of_a_generator_changes() -> None:
    torch.manual_seed(0)
    generator = Generator((16, 16), 8, 8, 128, 8).requires_grad_(False)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    codes = torch.randn(2, generator.num_ws, 8)
    expected = generator.synthesize(codes)
    quick = fuse_for_inference(generator)
    torch.testing.assert_close(quick.synthesize(codes), expected)
    assert quick.synthesis.b16.conv0.weight.transpose(0, 1).is_contiguous()
    assert all(torch.equal(value, before[key]) for key, value in quick.state_dict().items())
