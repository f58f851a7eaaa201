"""DensePose: pooling against torchvision, probabilities, variants, gradients, inferred settings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import roi_align

from fice_core.errors import FiceError
from fice_core.networks.densepose import DensePose, bin_weights, infer_config, pool_box
from fice_core.networks.resnet import StridedBottleneck

TINY = {
    "stem_channels": 4,
    "width": 1,
    "blocks": (1, 1, 2, 1),
    "fpn_channels": 4,
    "decoder_channels": 4,
    "head_convs": 2,
    "head_channels": 8,
    "pooler_size": 4,
}
VARIANTS = {
    "s1x": {},
    "dl": {"head": "dl"},
    "legacy": {"decoder_channels": 0, "coarse_channels": 15},
}


def tiny(seed=0, **kwargs) -> DensePose:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = DensePose(**(TINY | kwargs))
        for name, buffer in network.named_buffers():
            if name.endswith("stem.conv1.norm.running_var"):
                buffer.fill_(1e4)  # the input is 0..255
    return network.eval()


def random_images(*shape, seed=1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Pooling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [4, 14, 28])
@pytest.mark.parametrize("size", [(256, 256), (96, 64), (50, 70), (32, 32)])
@pytest.mark.parametrize("level", [2, 4])
def test_pooling_equals_torchvision(bins, size, level):
    scale = 2**level
    padded = [-(-side // 32) * 32 // scale for side in size]
    features = torch.randn(2, 3, *padded, generator=torch.Generator().manual_seed(0)).double()
    height, width = (float(side) for side in size)
    box = torch.tensor([[0.0, 0.0, width, height]], dtype=torch.float64)
    expected = roi_align(features, [box, box], bins, 1 / scale, sampling_ratio=2, aligned=False)
    pooled = pool_box(features, (height / scale, width / scale), bins)
    torch.testing.assert_close(pooled, expected)


def test_bin_weights_by_hand():
    """Extent 4, 4 pixels, 2 bins: samples at 0.5, 1.5 | 2.5, 3.5; the last is clamped to 3."""
    weights = bin_weights(4.0, 4, 2, torch.zeros(()))
    expected = [[0.25, 0.5, 0.25, 0.0], [0.0, 0.0, 0.25, 0.75]]
    torch.testing.assert_close(weights, torch.tensor(expected))


@given(size=st.integers(1, 40), bins=st.integers(1, 30), fraction=st.floats(0.1, 1))
def test_bin_weights_average(size, bins, fraction):
    weights = bin_weights(size * fraction, size, bins, torch.zeros((), dtype=torch.float64))
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(bins, dtype=torch.float64))


# Parts --------------------------------------------------------------------------------------------


def test_bottleneck_strides_in_its_first_convolution():
    block = StridedBottleneck(4, 2, stride=2).eval()
    x = random_images(1, 4, 9, 9)
    # A pixel that the 1x1 convolution with stride 2 skips does not affect the output.
    changed = x.clone()
    changed[:, :, 1::2] += 1
    changed[:, :, :, 1::2] += 1
    assert torch.equal(block(x), block(changed))
    assert block.conv2.stride == (1, 1)


def test_pyramid_shapes():
    network = tiny()
    pyramid = network.backbone(random_images(2, 3, 64, 96))
    shapes = {level: tuple(x.shape) for level, x in pyramid.items()}
    assert shapes == {k: (2, 4, 64 // 2**k, 96 // 2**k) for k in (2, 3, 4, 5)}
    assert network.roi_heads.decoder(pyramid).shape == (2, 4, 16, 24)


def test_input_is_blue_green_red_of_255_less_the_mean(monkeypatch):
    network = tiny()
    seen = []
    monkeypatch.setattr(network.backbone, "forward", lambda x: seen.append(x) or {2: x})
    monkeypatch.setattr(network.roi_heads.decoder, "forward", lambda pyramid: pyramid[2])
    images = torch.tensor([1.0, 0.5, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 40, 64)
    network._pool(images)
    (x,) = seen
    assert x.shape == (1, 3, 64, 64)  # padded to a multiple of 32 with zeros after normalising
    assert not x[:, :, 40:].any()
    expected = torch.tensor([0 - 103.530, 127.5 - 116.280, 255 - 123.675])
    torch.testing.assert_close(x[0, :, 0, 0], expected)


# The whole network --------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 40, 70)])
def test_parts_are_probabilities(variant, shape):
    parts = tiny(**VARIANTS[variant])(random_images(*shape))
    assert parts.shape == (shape[0], 14, 16, 16)
    assert (parts >= 0).all()
    assert (parts.sum(1) <= 1).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_follow_from_the_charts(variant):
    network, images = tiny(**VARIANTS[variant]), random_images(2, 3, 64, 64)
    charts = network.predict_charts(images)
    coarse, fine = charts.coarse.exp(), charts.fine.exp()
    person = 1 - coarse[:, :1] / coarse.sum(1, keepdim=True)
    upper = [1, 2, 3, 4, *range(15, 25)]
    expected = (fine / fine.sum(1, keepdim=True))[:, upper] * person
    torch.testing.assert_close(network(images), expected)
    assert charts.u.shape == charts.v.shape == (2, 25, 16, 16)
    assert charts.coarse.shape[1] == network.config["coarse_channels"]


def test_charts_are_not_computed_for_parts(monkeypatch):
    network = tiny()

    def fail(x):
        raise AssertionError("u and v are not needed here")

    monkeypatch.setattr(network.roi_heads.densepose_predictor.u_lowres, "forward", fail)
    monkeypatch.setattr(network.roi_heads.densepose_predictor.v_lowres, "forward", fail)
    network(random_images(1, 3, 64, 64))


def test_published_output_size():
    with torch.device("meta"):
        network = DensePose()
        parts = network(torch.zeros(1, 3, 256, 256))
        legacy = DensePose(decoder_channels=0, coarse_channels=15, pooler_size=14)
        assert legacy(torch.zeros(1, 3, 256, 256)).shape == (1, 14, 56, 56)
    assert parts.shape == (1, 14, 112, 112)


@pytest.mark.parametrize(("size", "level"), [(64, 2), (128, 3), (256, 4), (448, 5), (800, 5)])
def test_without_decoder_the_size_chooses_the_level(size, level):
    network = tiny(decoder_channels=0)
    images = random_images(1, 3, size, size)
    x = images.flip(1) * 255 - network.mean
    features = network.backbone(x)[level]
    expected = pool_box(features, (size / 2**level, size / 2**level), 4)
    torch.testing.assert_close(network._pool(images), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_samples_do_not_influence_each_other(variant):
    network, images = tiny(**VARIANTS[variant]), random_images(3, 3, 64, 64)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients(variant):
    network = tiny(**VARIANTS[variant]).double()
    images = random_images(1, 3, 32, 32).double().requires_grad_()
    assert torch.autograd.gradcheck(network, images, fast_mode=True, eps=1e-7, rtol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_in_use_can_learn(variant):
    network = tiny(**VARIANTS[variant]).train()
    charts = network.predict_charts(random_images(4, 3, 224, 224))
    sum(map.square().sum() for map in charts).backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    if variant == "legacy":  # pooled from level 4: the finer outputs stay out of it
        silent = {n for n in silent if "fpn_output" not in n and "lateral" not in n}
    assert silent == set()


def test_inference_mode():
    network, images = tiny(), random_images(1, 3, 64, 64)
    with torch.inference_mode():
        parts = network(images)
    torch.testing.assert_close(parts, network(images))


def test_doubling_is_bilinear_between_pixel_centres():
    predictor = tiny().roi_heads.densepose_predictor
    x = random_images(1, 8, 4, 4)
    (fine,) = predictor(x, ["index_uv"])
    low = predictor.index_uv_lowres(x)
    expected = F.interpolate(low, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(fine, expected)


def test_unknown_head_is_refused():
    with pytest.raises(ValueError, match="head must be"):
        DensePose(head="cse")


# Files --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(
    stem=st.integers(1, 5),
    width=st.integers(1, 3),
    blocks=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    fpn=st.integers(1, 5),
    decoder=st.integers(0, 5),
    head=st.sampled_from(["s1x", "dl"]),
    convs=st.integers(1, 4),
    channels=st.integers(1, 6),
    coarse=st.sampled_from([2, 15]),
)
def test_settings_are_inferred(stem, width, blocks, fpn, decoder, head, convs, channels, coarse):
    pooler_size = 28 if decoder else 14
    network = DensePose(
        stem, width, blocks, fpn, decoder, head, convs, channels, coarse, pooler_size
    )
    state = network.state_dict()
    assert infer_config(state) == network.config
    assert DensePose(**network.config).config == network.config
    DensePose(**infer_config(state)).load_state_dict(state)


def test_detection_heads_and_counters_may_be_there_or_not():
    network = tiny()
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("_tracked")}
    extra = ("proposal_generator.rpn_head.conv.bias", "roi_heads.box_head.fc1.bias", "pixel_mean")
    network.load_state_dict(state | {key: torch.zeros(3) for key in extra})


@pytest.mark.parametrize(
    "key",
    [
        "backbone.fpn_lateral2.weight",
        "roi_heads.densepose_predictor.ann_index_lowres.weight",
        "roi_heads.densepose_head.body_conv_fcn1.weight",
    ],
)
def test_missing_key_is_named(key):
    state = tiny().state_dict()
    del state[key]
    with pytest.raises(FiceError, match=key):
        infer_config(state)


def test_non_local_heads_are_refused():
    key = "roi_heads.densepose_head.NLBlock.theta.weight"
    with pytest.raises(FiceError, match="non-local"):
        infer_config(tiny().state_dict() | {key: torch.zeros(1)})
