"""The real networks, tiny and random: written to files, loaded, and used for an edit."""

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import write_models

from fice_core.editing.pipeline import edit
from fice_core.errors import FiceError
from fice_core.latents import load_latent, save_latent
from fice_core.models import Models, kept_on_gpus, load_models
from fice_core.settings import EditSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


def photos(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 48, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_load_and_edit(folder, outer, preset):
    settings = EditSettings(framing="whole") if preset == "default" else EditSettings.paper()
    if preset == "default":
        settings = replace(settings, clip_views=1).with_weights(latent_prior=0.5)
    settings = replace(settings, steps=4)
    with torch.inference_mode(outer):
        models = load_models(folder)
        assert isinstance(models, Models)
        result = edit(models, photos(), "a red tartan shirt", settings)
    assert result.images.isfinite().all()
    assert result.images.shape == (2, 3, 48, 40)
    assert result.w_plus.shape == (2, models.generator.num_ws, 8)
    assert "tartan" in result.warnings[0]
    first = result.trace.total[0]
    assert first.isfinite().all()
    assert not torch.equal(result.trace.total[3], first)
    networks = (
        models.generator,
        models.load_encoder(),
        models.densepose,
        models.segmenter,
        models.clip,
    )
    assert all(p.grad is None for network in networks for p in network.parameters())


def test_a_gpu_keeps_the_encoder():
    loaded = []

    def load():
        loaded.append(object())
        return loaded[-1]

    assert kept_on_gpus(load, "cpu") is load
    assert not loaded
    held = kept_on_gpus(load, "cuda:1")
    assert held() is held() is loaded[0]
    assert len(loaded) == 1


def test_the_encoder_is_in_memory_only_while_it_is_needed(folder):
    models = load_models(folder)
    lent = []

    def load_encoder():
        encoder = models.load_encoder()
        lent.append(weakref.ref(encoder))
        return encoder

    watched = replace(models, load_encoder=load_encoder)
    held = []
    edit(
        watched,
        photos(),
        "a red shirt",
        EditSettings(framing="whole", steps=2),
        on_step=lambda _: held.append(any(encoder() is not None for encoder in lent)),
    )
    assert len(lent) == 1
    assert len(held) > 2 and not any(held)  # the search for a start has steps too


def test_the_same_seed_gives_the_same_edit(folder):
    models = load_models(folder)
    settings = EditSettings(framing="whole", steps=4, start_noise=0.3, seed=11)
    first, second = (edit(models, photos(), "a blue shirt", settings) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.w_plus, second.w_plus)
    other = edit(models, photos(), "a blue shirt", replace(settings, seed=12))
    assert not torch.equal(first.w_plus, other.w_plus)


def test_the_loop_lowers_the_loss(folder):
    models = load_models(folder)
    settings = EditSettings(framing="whole", steps=40, plateau_patience=None)
    trace = edit(models, photos(1), "a red striped shirt", settings).trace
    assert trace.total.min() < 0.97 * trace.total[0, 0]


def test_codes_go_through_a_file(folder, tmp_path):
    models = load_models(folder)
    result = edit(models, photos(1), "a red shirt", EditSettings(framing="whole", steps=2))
    save_latent(tmp_path / "code.safetensors", result.w_plus)
    w_plus, _ = load_latent(tmp_path / "code.safetensors", models.generator)
    again = models.generator.synthesize(w_plus).clamp(0, 1)
    torch.testing.assert_close(again, result.generated)


def test_a_prompt_longer_than_the_context(folder):
    with pytest.raises(FiceError):
        edit(
            load_models(folder),
            photos(1),
            "a red shirt " * 100,
            EditSettings(framing="whole", steps=2),
        )


def test_an_encoder_of_another_generator(tmp_path):
    write_models(tmp_path, num_styles=10)
    with pytest.raises(FiceError, match="use an encoder trained for this generator"):
        edit(
            load_models(tmp_path), photos(1), "a red shirt", EditSettings(framing="whole", steps=2)
        )
