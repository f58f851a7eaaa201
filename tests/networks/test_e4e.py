"""e4e encoder: its parts by hand, sizes, style routing, gradients, inferred settings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fice_core.errors import FiceError
from fice_core.networks.e4e import (
    BodyBlock,
    Encoder,
    ScaledLinear,
    SqueezeExcitation,
    StyleHead,
    infer_config,
)

TINY = {"stages": ((2, 1), (3, 2), (4, 1), (5, 1)), "num_styles": 9, "style_dim": 6}


def tiny(seed=0, **kwargs) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Encoder(**({"input_size": 32} | TINY | kwargs))
        network.latent_avg.normal_()
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                torch.nn.init.uniform_(buffer, 0.5, 2)
    return network.eval()


def random_images(*shape, seed=1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Parts --------------------------------------------------------------------------------------------


def test_squeeze_excitation_by_hand():
    layer = SqueezeExcitation(2)
    layer.fc1.weight.data = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)
    layer.fc2.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    x = torch.tensor([[1.0, 3.0], [0.5, -0.5]]).reshape(1, 2, 1, 2)
    # channel means 2 and 0: gates sigmoid(2) and sigmoid(-2)
    gates = torch.tensor([2.0, -2.0]).sigmoid().reshape(1, 2, 1, 1)
    torch.testing.assert_close(layer(x), x * gates)


def test_scaled_linear_by_hand():
    layer = ScaledLinear(4, 1)
    layer.weight.data.fill_(3.0)
    layer.bias.data.fill_(0.5)
    # 3 * (1 + 2 + 3 + 4) / sqrt(4) + 0.5
    torch.testing.assert_close(layer(torch.tensor([[1.0, 2, 3, 4]])).item(), 15.5)


@pytest.mark.parametrize(("channels", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_body_block_without_residual_is_its_shortcut(channels, stride):
    block = BodyBlock(3, channels, stride).eval()
    torch.nn.init.zeros_(block.res_layer[3].weight)  # zero, and stays so through norm and gate
    x = random_images(2, 3, 9, 8)
    if channels == 3:
        expected = F.max_pool2d(x, 1, stride)
    else:
        expected = F.conv2d(x, block.shortcut_layer[0].weight, stride=stride) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), expected)


def test_body_block_adds_residual_and_shortcut():
    block = BodyBlock(3, 3, 1).eval()
    x = random_images(2, 3, 8, 8)
    torch.testing.assert_close(block(x), x + block.res_layer(x))


def test_style_head_has_a_small_negative_slope():
    head = StyleHead(1, 1, 1, halvings=1)
    head.convs[0].weight.data.zero_()
    head.convs[0].weight.data[0, 0, 1, 1] = 1.0  # takes the top left pixel
    head.convs[0].bias.data.zero_()
    head.linear.weight.data.fill_(1.0)
    features = torch.tensor([[-3.0, 7.0], [7.0, 7.0]]).reshape(1, 1, 2, 2)
    torch.testing.assert_close(head(features).item(), -0.03)


# The whole network --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (20, 20), (50, 31), (64, 32), (32, 16)])
def test_shapes(batch, size):
    assert tiny()(random_images(batch, 3, *size)).shape == (batch, 9, 6)


def test_published_settings():
    with torch.device("meta"):
        network = Encoder()
    assert len(network.body) == 24
    assert network.taps == [6, 20, 23]
    convs = [len(head.convs) // 2 for head in network.styles]
    assert convs == [4] * 3 + [5] * 4 + [6] * 7


def test_other_sizes_are_averaged_over_areas():
    network, images = tiny(), random_images(2, 3, 64, 64)
    torch.testing.assert_close(network(images), network(F.avg_pool2d(images, 2)))


def test_half_wide_images_keep_their_aspect_ratio():
    network, images = tiny(), random_images(1, 3, 64, 32)
    torch.testing.assert_close(network(images), network(F.avg_pool2d(images, 2)))
    squeezed = F.interpolate(images, (32, 32), mode="area")
    assert not torch.allclose(network(images), network(squeezed))


def test_output_is_average_plus_first_style_plus_difference():
    """With all heads but one set to zero, only the style of that one differs from the average."""
    network, images = tiny(), random_images(1, 3, 32, 32)
    for i in (0, 2, 5, 8):
        silenced = tiny()
        for j, head in enumerate(silenced.styles):
            if j != i:
                torch.nn.init.zeros_(head.linear.weight)
                torch.nn.init.zeros_(head.linear.bias)
        offset = (silenced(images) - silenced.latent_avg)[0]
        touched = [j for j in range(9) if offset[j].any()]
        assert touched == (list(range(9)) if i == 0 else [i])
    assert not torch.allclose(network(images)[0, 0], network(images)[0, 1])


def test_heads_use_their_own_level():
    """Styles 0-2 do not depend on the finer lateral layers, 3-6 on latlayer1 only, 7-8 on both."""
    images = random_images(1, 3, 32, 32)
    before = tiny()(images)[0]
    for layer, unchanged in (("latlayer1", 3), ("latlayer2", 7)):
        network = tiny()
        torch.nn.init.constant_(getattr(network, layer).bias, 1.0)
        changed = (network(images)[0] != before).any(1).tolist()
        assert changed == [i >= unchanged for i in range(9)]


def test_samples_do_not_influence_each_other():
    network, images = tiny(), random_images(3, 3, 32, 32)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone)


def test_gradients():
    network = tiny(num_styles=8, style_dim=2).double()
    images = random_images(1, 3, 32, 32).double().requires_grad_()
    assert torch.autograd.gradcheck(network, images, fast_mode=True)


def test_every_parameter_can_learn():
    network = tiny().train()
    network(random_images(4, 3, 32, 32)).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_inference_mode():
    network, images = tiny(), random_images(1, 3, 32, 32)
    with torch.inference_mode():
        w_plus = network(images)
    torch.testing.assert_close(w_plus, network(images))


@pytest.mark.parametrize("stages", [((4, 1), (4, 1), (6, 1), (8, 1)), ((4, 1), (6, 1), (8, 1))])
def test_wrong_stages_are_refused(stages):
    with pytest.raises(ValueError, match="stages"):
        Encoder(stages=stages)


@pytest.mark.parametrize("size", [16, 100])
def test_wrong_size_is_refused(size):
    with pytest.raises(ValueError, match="input_size"):
        Encoder(input_size=size)


# Files --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(
    input_size=st.sampled_from([32, 64, 128]),
    widths=st.lists(st.integers(1, 6), min_size=4, max_size=4, unique=True),
    blocks=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    num_styles=st.integers(1, 12),
    style_dim=st.integers(1, 6),
    head_channels=st.integers(1, 6),
)
def test_settings_are_inferred(input_size, widths, blocks, num_styles, style_dim, head_channels):
    stages = list(zip(widths, blocks, strict=True))
    network = Encoder(input_size, stages, num_styles, style_dim, head_channels)
    state = network.state_dict()
    assert infer_config(state) == network.config
    assert Encoder(**network.config).config == network.config
    Encoder(**infer_config(state)).load_state_dict(state)


@pytest.mark.parametrize("shape", [(1, 9, 6), (9, 6), (6,), (1, 6)])
def test_latent_average_in_every_published_shape(shape):
    network = tiny()
    average = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    network.load_state_dict(network.state_dict() | {"latent_avg": average})
    assert network.latent_avg.shape == (9, 6)
    assert torch.equal(network.latent_avg, average.reshape(-1, 6).expand(9, 6))


@pytest.mark.parametrize("prefix", ["styles.", "body.0."])
def test_other_files_are_refused(prefix):
    state = {k: v for k, v in tiny().state_dict().items() if not k.startswith(prefix)}
    with pytest.raises(FiceError, match="not an e4e encoder"):
        infer_config(state)


def test_incomplete_body_is_refused():
    state = tiny().state_dict()
    del state["body.2.res_layer.3.weight"]
    with pytest.raises(FiceError, match=r"body\.2"):
        infer_config(state)


def test_other_bodies_are_refused():
    state = {k: v for k, v in tiny().state_dict().items() if ".fc" not in k}
    with pytest.raises(FiceError, match="squeeze-and-excitation"):
        infer_config(state)
