"""SegFormers as transformers writes them give what transformers gives, and a gradient."""

import json

import pytest
import torch
from parser_files import ATR, FASHN, write_segformer
from safetensors.torch import load_file, save_file

from fice_core import checkpoints
from fice_core.acceleration.fusion import fuse_for_inference, with_winograd
from fice_core.errors import FiceError
from fice_core.networks import segformer
from fice_core.networks.segformer import infer_config, published_layout

pytest.importorskip("transformers")  # an extra


_CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("segformer")


@pytest.fixture(scope="module")
def theirs(folder):
    return write_segformer(folder, ATR, {"height": 64, "width": 64})


@pytest.fixture(scope="module")
def ours(folder, theirs):
    return checkpoints.load_segmenter(folder)


def images_of(height, width, count=2):
    rng = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=rng)


def their_logits(model, folder, images):
    """transformers' own way: its image processor, its model, its resizing of the result."""
    from transformers import SegformerImageProcessor

    processor = SegformerImageProcessor.from_pretrained(folder)
    pixels = processor([*images], do_rescale=False, return_tensors="pt").pixel_values
    low = model(pixels).logits
    return torch.nn.functional.interpolate(low, images.shape[-2:], mode="bilinear")


def test_logits_are_those_of_transformers(folder, theirs, ours):
    images = images_of(64, 64)
    expected = their_logits(theirs, folder, images)
    # Older releases normalise images in another order.
    torch.testing.assert_close(ours.logits(images), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 1  # they tell something


def test_named_maps_are_sums_of_the_labels(folder, theirs, ours):
    images = images_of(64, 64)
    soft = their_logits(theirs, folder, images).softmax(1)
    classes = ours.classes(images)
    torch.testing.assert_close(classes["lower"], soft[:, [5, 6, 8]].sum(1, keepdim=True), **_CLOSE)
    torch.testing.assert_close(classes["shoes"], soft[:, [9, 10]].sum(1, keepdim=True), **_CLOSE)
    regions = ours(images)
    torch.testing.assert_close(regions.head, soft[:, [1, 2, 3, 11]].sum(1, keepdim=True), **_CLOSE)
    torch.testing.assert_close(regions.background, soft[:, :1], **_CLOSE)
    torch.testing.assert_close(sum(regions), torch.ones(2, 1, 64, 64))


def test_gradient_reaches_the_image_as_through_transformers(folder, theirs, ours):
    images, again = images_of(64, 64, 1).requires_grad_(), images_of(64, 64, 1).requires_grad_()
    ours(images).head.square().mean().backward()
    mean, std = ours.mean, ours.std
    low = theirs((again - mean) / std).logits
    soft = torch.nn.functional.interpolate(low, (64, 64), mode="bilinear").softmax(1)
    soft[:, [1, 2, 3, 11]].sum(1).square().mean().backward()
    assert again.grad.abs().max() > 0
    torch.testing.assert_close(images.grad, again.grad, rtol=1e-3, atol=1e-7)


def test_gradient_in_inference_mode(folder, theirs):
    """ComfyUI runs nodes in inference mode; networks are loaded and used outside of it."""
    with torch.inference_mode():
        network = checkpoints.load_segmenter(folder)
        with torch.inference_mode(False), torch.enable_grad():
            images = images_of(64, 64, 1).requires_grad_()
            network(images).head.sum().backward()
    assert images.grad.abs().max() > 0


def test_fused_networks_give_the_same(folder, ours):
    images = images_of(64, 64)
    fused = fuse_for_inference(checkpoints.load_segmenter(folder))
    assert not [m for m in fused.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    torch.testing.assert_close(fused.logits(images), ours.logits(images), rtol=1e-3, atol=1e-3)
    copied = with_winograd(fused)
    torch.testing.assert_close(copied.logits(images), fused.logits(images), rtol=1e-3, atol=1e-3)


def test_in_bfloat16_it_stays_close(ours):
    from fice_core.acceleration.bfloat16 import in_bfloat16

    images, rounded = images_of(64, 64), in_bfloat16(ours)
    with torch.autocast("cpu", torch.bfloat16):
        head = rounded(images).head.float()
    assert (head - ours(images).head).abs().mean() < 0.02


def test_features_come_from_the_first_stages(ours):
    maps = ours.features(images_of(64, 48), 3)
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 12), (16, 8, 6), (24, 4, 3)]


def test_images_are_seen_in_the_trained_size_but_not_enlarged_more_than_twice(ours):
    assert ours.size == (64, 64)
    assert ours.seen_size(images_of(256, 128)) == (64, 64)
    assert ours.seen_size(images_of(64, 20)) == (64, 40)
    assert ours(images_of(40, 20)).head.shape == (2, 1, 40, 20)


def test_convert_keeps_the_published_layout(folder, ours, tmp_path):
    checkpoints.save(ours, tmp_path / "parser.safetensors", extra_metadata={"license": "x"})
    assert {*load_file(tmp_path / "parser.safetensors")} == {
        *load_file(folder / "model.safetensors")
    }
    again = checkpoints.load_segmenter(tmp_path / "parser.safetensors")  # no config beside it
    assert again.config == ours.config
    images = images_of(64, 64)
    assert torch.equal(again.logits(images), ours.logits(images))
    assert checkpoints.describe(tmp_path / "parser.safetensors").kind == "segformer"


def test_a_single_file_with_its_config_beside_it(folder, theirs, ours, tmp_path):
    (tmp_path / "clothes.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "clothes.json").write_bytes((folder / "config.json").read_bytes())
    found = checkpoints.load_segmenter(tmp_path / "clothes.safetensors")
    assert found.channels == ours.channels
    assert found.size == (512, 512)  # no preprocessor_config.json


def test_a_pickled_file(folder, theirs, ours, tmp_path):
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    images = images_of(64, 64)
    logits = checkpoints.load_segmenter(tmp_path).logits(images_of(32, 32))
    assert logits.shape == (2, 18, 32, 32)
    assert torch.equal(
        checkpoints.load_segmenter(tmp_path / "pytorch_model.bin").model(images).logits,
        ours.model(images).logits,
    )


def test_fashn_parser_sees_its_own_size(tmp_path):
    write_segformer(tmp_path, FASHN)
    found = checkpoints.load_segmenter(tmp_path)
    assert found.size == (576, 384)
    assert found.channels[16] == "neck" and found.channels[15] == "shoes"


def test_settings_of_the_images(tmp_path):
    write_segformer(tmp_path, ATR)
    settings = {"size": 96, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    found = checkpoints.load_segmenter(tmp_path)
    assert found.size == (96, 96)
    assert found.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert found.std.flatten().tolist() == pytest.approx([0.5, 0.6, 0.7])


def test_heads_of_the_config_are_used(tmp_path):
    """With other heads the same tensors compute something else."""
    theirs = write_segformer(tmp_path, ATR, num_attention_heads=[2, 4, 6, 8])
    found = checkpoints.load_segmenter(tmp_path)
    images = images_of(64, 64)
    expected = theirs((images - found.mean) / found.std).logits
    torch.testing.assert_close(found.model((images - found.mean) / found.std).logits, expected)
    assert found.config["architecture"]["num_attention_heads"] == [2, 4, 6, 8]


@pytest.mark.parametrize("sizes", [[8, 16, 24, 32], [16, 32, 48, 64]])
def test_layout_and_shapes_describe_each_other(tmp_path, sizes):
    write_segformer(tmp_path, ATR, hidden_sizes=sizes, mlp_ratios=[4, 2, 3, 4], depths=[2, 1, 3, 1])
    state = load_file(tmp_path / "model.safetensors")
    architecture = infer_config(state)
    layout = published_layout(architecture, 18)
    counters = {key for key in state if key.endswith("num_batches_tracked")}
    assert {name: tuple(t.shape) for name, t in layout.items()} == {
        name: tuple(t.shape) for name, t in state.items() if name not in counters
    }


def refused(path):
    with pytest.raises(FiceError) as caught:
        checkpoints.load_segmenter(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_names_it_is_refused(tmp_path):
    write_segformer(tmp_path, labels=None)
    assert "the names of its 18 classes are missing" in refused(tmp_path)
    assert "not usable here" in checkpoints.describe(tmp_path).details
    (tmp_path / "config.json").unlink()
    assert "config.json" in refused(tmp_path)
    assert checkpoints.load_segmenter(tmp_path, labels=ATR).channels[4] == "upper"


def test_a_parser_of_rooms_is_refused(tmp_path):
    write_segformer(tmp_path, ("wall", "building", "sky", "person"), num_labels=4)
    assert "wall, building, sky" in refused(tmp_path)


def test_a_parser_without_heads_is_refused(tmp_path):
    write_segformer(tmp_path, ("background", "shirt"), num_labels=2)
    assert "no class of the head" in refused(tmp_path)


def test_a_config_of_another_size_is_refused(tmp_path):
    write_segformer(tmp_path, ATR)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"hidden_sizes": [64, 128, 320, 512]})
    )
    assert "another SegFormer" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"num_attention_heads": [3, 3, 3, 3]}, "num_attention_heads"),
     ({"num_attention_heads": "many"}, "num_attention_heads"), ({"strides": [0, 1, 2, 3]}, "strides"),
     ({"hidden_act": "relu"}, "GELU")],
)  # fmt: skip
def test_settings_that_fit_no_network_are_refused(tmp_path, change, said):
    write_segformer(tmp_path, ATR)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    assert said in refused(tmp_path)


def test_missing_and_surplus_tensors_are_refused(tmp_path):
    write_segformer(tmp_path, ATR)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    save_file({k: v for k, v in state.items() if k != "decode_head.batch_norm.weight"}, path)
    assert "decode_head.batch_norm.weight" in refused(tmp_path)
    save_file(state | {"segformer.encoder.extra.weight": torch.zeros(2)}, path)
    assert "segformer.encoder.extra.weight" in refused(tmp_path)


def test_without_transformers_one_line_says_what_to_install(tmp_path, monkeypatch):
    write_segformer(tmp_path, ATR)
    real = segformer.import_module

    def absent(name, *rest):
        if name == "transformers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(segformer, "import_module", absent)
    assert "pip install transformers" in refused(tmp_path)


def test_loading_shows_no_bars_and_keeps_the_library_as_it_was(tmp_path, capfd):
    from transformers.utils import logging

    write_segformer(tmp_path, ATR)
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    checkpoints.load_segmenter(tmp_path)
    assert capfd.readouterr().err == ""
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
