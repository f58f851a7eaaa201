"""StyleGAN2 generator: operations by hand and by scipy, gradients, inferred settings."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from torch.nn import functional as F

from fice_core.errors import FiceError
from fice_core.networks.stylegan2 import Generator, HeldFeatures, MappingNetwork, infer_config
from fice_core.networks.stylegan2_layers import EqualizedLinear, StyledConv, ToRGB, smooth, upsample

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
SQRT2 = math.sqrt(2)


def tiny(resolution=(16, 16), seed=0, **kwargs) -> Generator:
    """A generator of a few thousand parameters whose noise strengths are not 0."""
    settings = {"z_dim": 5, "w_dim": 6, "channel_base": 64, "channel_max": 8} | kwargs
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Generator(resolution, **settings)
        for name, value in network.named_parameters():
            if name.endswith(("bias", "noise_strength")) and "affine" not in name:
                torch.nn.init.normal_(value, std=0.1)
        network.mapping.w_avg.normal_()
    return network.eval()


def random(*shape, seed=1, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Operations ---------------------------------------------------------------------------------------


def test_upsample_is_zero_stuffing_and_binomial_filter():
    x = random(2, 3, 5, 4, dtype=torch.float64)
    stuffed = np.zeros((2, 3, 10, 8))
    stuffed[..., ::2, ::2] = x.numpy()
    padded = np.pad(stuffed, ((0, 0), (0, 0), (2, 1), (2, 1)))
    expected = signal.convolve(padded, 4 * FILTER[None, None], mode="valid", method="direct")
    np.testing.assert_allclose(upsample(x).numpy(), expected, atol=1e-12)


def test_upsample_keeps_a_flat_image_flat_inside():
    x = torch.ones(1, 3, 6, 6)
    torch.testing.assert_close(upsample(x)[..., 1:-1, 1:-1], torch.ones(1, 3, 10, 10))


def test_smooth_is_binomial_filter_with_gain_four():
    x = random(2, 3, 9, 7, dtype=torch.float64)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = signal.convolve(padded, 4 * FILTER[None, None], mode="valid", method="direct")
    np.testing.assert_allclose(smooth(x).numpy(), expected, atol=1e-12)


def test_equalized_linear_by_hand():
    layer = EqualizedLinear(4, 1, lr=0.01)
    layer.weight.data.fill_(100.0)
    layer.bias.data.fill_(3.0)
    # (1 + 2 + 3 + 4) * 100 * 0.01 / sqrt(4) + 3 * 0.01
    torch.testing.assert_close(layer(torch.tensor([[1.0, 2, 3, 4]])), torch.tensor([[5.03]]))


def test_mapping_by_hand():
    mapping = MappingNetwork(2, 2, 1)
    mapping.fc0.weight.data = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    z = torch.tensor([[3.0, -4.0]])
    # z / sqrt(12.5), / sqrt(2), leaky ReLU, * sqrt(2)
    expected = torch.tensor([[3.0, -0.8]]) / math.sqrt(12.5)
    torch.testing.assert_close(mapping(z), expected)


def test_mapping_ignores_the_length_of_z():
    mapping = tiny().mapping
    z = random(3, 5)
    torch.testing.assert_close(mapping(z), mapping(7 * z))


def test_styled_conv_by_hand():
    layer = StyledConv(2, 1, 1, (1, 1), up=False, clamp=None)
    layer.affine.weight.data = torch.tensor([[1.0], [2.0]])  # w = 1: styles 1 + 1 and 2 + 1
    layer.weight.data.zero_()
    layer.weight.data[0, :, 1, 1] = torch.tensor([3.0, -4.0])
    layer.bias.data.fill_(0.5)
    layer.noise_strength.data.fill_(0.25)
    layer.noise_const.fill_(2.0)
    x = torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1)
    # modulated weights 6 and -12; (60 - 240) / sqrt(180) + noise 0.5 + bias 0.5; * 0.2 * sqrt(2)
    expected = (-180 / math.sqrt(180) + 1) * 0.2 * SQRT2
    torch.testing.assert_close(layer(x, torch.ones(1, 1)).item(), expected)


@pytest.mark.parametrize("up", [False, True])
def test_styled_conv_equals_modulated_weights(up):
    """The textbook form: one set of weights per sample, one grouped convolution."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        layer = StyledConv(3, 4, 5, (10, 10) if up else (5, 5), up, clamp=None).double()
    torch.nn.init.constant_(layer.noise_strength, 0.3)
    x, w = random(2, 3, 5, 5, dtype=torch.float64), random(2, 5, seed=3, dtype=torch.float64)
    weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]
    weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if up:
        kernel = weight.transpose(1, 2).reshape(6, 4, 3, 3)
        y = F.conv_transpose2d(x.reshape(1, 6, 5, 5), kernel, stride=2, groups=2)
        y = smooth(y.reshape(2, 4, 11, 11))
    else:
        y = F.conv2d(x.reshape(1, 6, 5, 5), weight.reshape(8, 3, 3, 3), padding=1, groups=2)
        y = y.reshape(2, 4, 5, 5)
    y = y + layer.noise_const * 0.3 + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x, w), F.leaky_relu(y, 0.2) * SQRT2)


def test_styled_conv_ignores_the_scale_of_the_style():
    layer = StyledConv(3, 4, 5, (5, 5), up=False, clamp=None)
    x, w = random(2, 3, 5, 5), random(2, 5)
    before = layer(x, w)
    layer.affine.weight.data *= 3
    layer.affine.bias.data *= 3
    torch.testing.assert_close(layer(x, w), before)


def test_to_rgb_by_hand():
    layer = ToRGB(4, 1, clamp=None)
    layer.affine.weight.data.zero_()
    layer.affine.bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    layer.weight.data.fill_(1.0)
    layer.bias.data = torch.tensor([0.0, 1.0, 2.0])
    x = torch.tensor([1.0, 1.0, 1.0, -1.0]).reshape(1, 4, 1, 1)
    # styles / sqrt(4): (1 + 2 + 3 - 4) / 2 = 1, linear, + bias
    rgb = layer(x, torch.zeros(1, 1)).flatten()
    torch.testing.assert_close(rgb, torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("limit", [0.01, 0.5])
def test_clamp_bounds_activations_and_every_image(limit):
    network = tiny(conv_clamp=limit)
    block = network.synthesis.b4
    x, rgb = block(None, None, 50 * random(2, 2, 6))
    assert x.abs().max() == limit
    assert rgb.abs().max() == limit


# The whole network --------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [(8, 8), (32, 32), (16, 8), (64, 32)])
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes(resolution, batch):
    network = tiny(resolution)
    w_plus = network.map(random(batch, 5))
    assert network.num_ws == 2 * int(math.log2(resolution[0])) - 2
    assert w_plus.shape == (batch, network.num_ws, 6)
    assert network.synthesize(w_plus).shape == (batch, 3, *resolution)


def test_published_sizes_have_the_published_number_of_layers():
    with torch.device("meta"):
        assert Generator((256, 256)).num_ws == 14
        human = Generator((1024, 512), channel_base=32768, mapping_layers=8)
    assert human.num_ws == 18
    assert human.synthesis.b4.const.shape == (512, 4, 2)
    assert human.synthesis.b1024.conv1.noise_const.shape == (1024, 512)


def test_samples_do_not_influence_each_other():
    network = tiny()
    w_plus = random(3, network.num_ws, 6)
    together = network.synthesize(w_plus)
    alone = torch.cat([network.synthesize(w[None]) for w in w_plus])
    torch.testing.assert_close(together, alone)


def test_each_w_reaches_only_its_own_layers():
    """Layer i of W+ does not affect the images of lower resolutions."""
    network = tiny((32, 32))
    w_plus = random(1, network.num_ws, 6).repeat(2, 1, 1)
    for i in range(network.num_ws):
        changed = w_plus.clone()
        changed[1, i] += 1
        x = rgb = None
        first_change = None
        for k, height in enumerate(network.synthesis.heights):
            ws = changed[:, :2] if k == 0 else changed[:, 2 * k - 1 : 2 * k + 2]
            x, rgb = getattr(network.synthesis, f"b{height}")(x, rgb, ws)
            if first_change is None and not torch.equal(rgb[0], rgb[1]):
                first_change = k
        # torgb of block k reads layer 2k + 1, so an odd layer i already affects block (i - 1) / 2.
        assert first_change == (i // 2 if i % 2 == 0 else (i - 1) // 2)


def test_truncation():
    network = tiny()
    z = random(2, 5)
    w, average = network.map(z), network.w_avg
    torch.testing.assert_close(network.map(z, 0.0), average.expand(2, network.num_ws, 6))
    torch.testing.assert_close(network.map(z, 0.5), (w + average) / 2)
    assert torch.equal(network.map(z, 1.0), w)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (1, 3, 6), (1, 6, 5)])
def test_wrong_latent_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"w_plus must be \(N, 6, 6\)"):
        tiny().synthesize(torch.zeros(shape))


@pytest.mark.parametrize("resolution", [(4, 4), (48, 48), (32, 64), (64, 16)])
def test_wrong_resolution_is_refused(resolution):
    with pytest.raises(ValueError, match="resolution must be"):
        Generator(resolution)


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="channel_base"):
        Generator((256, 256), channel_base=128)


def test_gradients():
    """Of the image with respect to W+ and to every parameter, against finite differences."""
    network = tiny((8, 8), channel_base=16, channel_max=2, w_dim=3).double()
    w_plus = random(2, network.num_ws, 3, dtype=torch.float64).requires_grad_()
    names, values = zip(*network.synthesis.named_parameters(), strict=True)

    def render(w_plus, *parameters):
        replaced = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(network.synthesis, replaced, (w_plus,))

    assert torch.autograd.gradcheck(render, (w_plus, *values), fast_mode=True)


def test_a_mask_of_ones_or_zeros_gives_one_image_or_the_other():
    network = tiny((32, 16))
    w_plus, other = random(2, 8, 6), random(2, 8, 6, seed=2)
    for share, codes in ((0.0, w_plus), (1.0, other)):
        held = HeldFeatures(other, torch.full((2, 1, 32, 16), share))
        assert torch.equal(network.synthesize(w_plus, held), network.synthesize(codes))


def test_held_features_fix_the_image_away_from_the_free_side():
    """Convolutions mix neighbours at the border; far from the free side nothing changes."""
    network = tiny((64, 64))
    w_plus, other = random(1, 10, 6), random(1, 10, 6, seed=2)
    mask = torch.ones(1, 1, 64, 64)
    mask[..., 32:] = 0
    picture, old = network.synthesize(w_plus, HeldFeatures(other, mask)), network.synthesize(other)
    change = (picture - old).abs().amax(dim=(0, 1, 2))
    assert change[32:].min() > 0.01 > 100 * change[:16].max()


def test_gradients_with_held_features():
    """Gradients flow to the codes, and not to the held ones."""
    network = tiny((8, 8), channel_base=16, channel_max=2, w_dim=3).double().requires_grad_(False)
    w_plus = random(2, network.num_ws, 3, dtype=torch.float64).requires_grad_()
    other = random(2, network.num_ws, 3, seed=2, dtype=torch.float64).requires_grad_()
    held = HeldFeatures(other, torch.rand(2, 1, 8, 8, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda w: network.synthesize(w, held), w_plus, fast_mode=True)
    network.synthesize(w_plus, held).sum().backward()
    assert other.grad is None


def test_frozen_network_passes_gradients_to_the_latent_only():
    network = tiny().requires_grad_(False)
    w_plus = random(2, network.num_ws, 6).requires_grad_()
    network.synthesize(w_plus).square().sum().backward()
    assert all((w_plus.grad[:, i] != 0).any() for i in range(network.num_ws))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_every_parameter_can_learn():
    network = tiny()
    network(random(2, 5)).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_inference_mode_gives_the_same_image():
    network = tiny()
    w_plus = random(2, network.num_ws, 6)
    with torch.inference_mode():
        picture = network.synthesize(w_plus)
    assert picture.is_inference()
    torch.testing.assert_close(picture, network.synthesize(w_plus))


def test_untrained_network_has_images_of_plausible_contrast():
    """The run-time gains keep activations at unit variance at any depth."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Generator((64, 64), 32, 32, 512, 32, 8)
        pictures = network(torch.randn(16, 32))
    assert 0.2 < pictures.std() < 5


# Inferred settings --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    exponent=st.integers(3, 6),
    tall=st.booleans(),
    z_dim=st.integers(1, 9),
    w_dim=st.integers(1, 9),
    base_exponent=st.integers(6, 9),
    channel_max=st.sampled_from([2, 4, 8, 16]),
    layers=st.sampled_from([1, 2, 8]),
)
def test_settings_are_inferred(exponent, tall, z_dim, w_dim, base_exponent, channel_max, layers):
    height = 2**exponent
    resolution = (height, height // 2 if tall else height)
    network = Generator(resolution, z_dim, w_dim, 2**base_exponent, channel_max, layers)
    rebuilt = Generator(**infer_config(network.state_dict()))
    rebuilt.load_state_dict(network.state_dict())
    assert rebuilt.resolution == resolution
    w_plus = random(1, network.num_ws, w_dim)
    assert torch.equal(rebuilt.synthesize(w_plus), network.synthesize(w_plus))
    z = random(2, z_dim)
    assert torch.equal(rebuilt.map(z), network.map(z))


def test_config_rebuilds():
    network = tiny((16, 8), conv_clamp=None)
    rebuilt = Generator(**network.config)
    assert rebuilt.config == network.config
    assert rebuilt.synthesis.b4.conv1.clamp is None


def test_resample_filters_of_published_files_are_ignored():
    network = tiny()
    state = network.state_dict()
    state["synthesis.b8.conv0.resample_filter"] = torch.zeros(4, 4)
    state["synthesis.b4.resample_filter"] = torch.zeros(4, 4)
    network.load_state_dict(state)


@pytest.mark.parametrize("key", ["synthesis.b4.const", "mapping.fc0.weight"])
def test_missing_key_is_named(key):
    state = tiny().state_dict()
    del state[key]
    with pytest.raises(FiceError, match=key):
        infer_config(state)


def test_missing_block_is_noticed():
    state = {k: v for k, v in tiny().state_dict().items() if ".b8." not in k}
    with pytest.raises(FiceError, match="not a complete StyleGAN2 generator"):
        infer_config(state)


def test_labels_are_refused():
    state = tiny().state_dict() | {"mapping.embed.weight": torch.zeros(5, 5)}
    with pytest.raises(FiceError, match="labels"):
        infer_config(state)


def test_irregular_channels_are_refused():
    state = tiny().state_dict()
    state["synthesis.b8.torgb.weight"] = torch.zeros(3, 5, 1, 1)
    with pytest.raises(FiceError, match="channel counts"):
        infer_config(state)
