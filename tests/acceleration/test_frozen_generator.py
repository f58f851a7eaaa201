"""A generator with precomputed styles computes the same bytes."""

import torch
from torch import nn

from fice_core.acceleration.frozen_generator import with_precomputed_styles
from fice_core.networks.stylegan2 import Generator


def a_generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator((16, 8), 8, 8, channel_base=64, channel_max=8)
    for name, parameter in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            nn.init.normal_(parameter)
    return generator.eval().requires_grad_(False)


def test_images_and_gradients_are_the_same():
    generator = a_generator()
    codes = generator.map(torch.randn(2, generator.z_dim)).clone().requires_grad_()
    found = []
    with torch.inference_mode():
        held = with_precomputed_styles(generator)
    for one in (generator, held):
        images = one.synthesize(codes)
        found.append((images, torch.autograd.grad(images.square().sum(), codes)[0]))
    for other, same in zip(*found, strict=True):
        assert torch.equal(other, same)


def test_the_original_can_still_be_tuned():
    generator = a_generator()
    codes = generator.map(torch.randn(1, generator.z_dim))
    held = with_precomputed_styles(generator)
    before = held.synthesize(codes)
    assert generator.synthesis.b8.conv0.weight is held.synthesis.b8.conv0.weight
    generator.synthesis.b8.conv0.affine.weight.mul_(2)
    assert not torch.equal(generator.synthesize(codes), before)
    assert torch.equal(
        held.synthesize(codes), before
    )  # which knows the old ones: it was told they stay
