"""Segmenter: equality with torchvision's network, order of classes, inferred settings."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.segmentation import deeplabv3_resnet50

from fice_core import checkpoints
from fice_core.acceleration.fusion import fuse_for_inference
from fice_core.errors import FiceError
from fice_core.networks.segmenter import Segmenter, infer_config

TINY = {"stem_channels": 4, "width": 2, "blocks": (1, 1, 2, 2), "aspp_channels": 4}


def tiny(seed=0, **kwargs) -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Segmenter(**(TINY | {"aspp_rates": (1, 2, 3)} | kwargs))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                torch.nn.init.uniform_(buffer, 0.5, 2)
    return network.eval()


def random_images(*shape, seed=1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def reference():
    """torchvision's network with running statistics and biases that are not trivial."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=3)
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif name.endswith(("bias", "running_mean")):
                value.normal_(std=0.1)
    return network.eval()


@pytest.mark.parametrize("size", [(64, 64), (72, 41)])
def test_equals_torchvision(reference, size):
    network = Segmenter(**infer_config(reference.state_dict())).eval()
    network.load_state_dict(reference.state_dict())
    images = random_images(2, 3, *size)
    with torch.inference_mode():
        expected = reference(images)["out"]
        logits = network.logits(images)
        regions = network(images)
    assert logits.shape == (2, 3, *size)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    maps = expected.softmax(1).split(1, dim=1)
    torch.testing.assert_close(list(regions), list(maps), rtol=1e-4, atol=1e-5)


def test_features_are_the_intermediate_results_of_the_regions():
    network = tiny()
    images = random_images(2, 3, 32, 24)
    with torch.inference_mode():
        maps = network.features(images, 5)
        assert [tuple(x.shape[1:]) for x in maps] == [
            (4, 16, 12), (8, 8, 6), (16, 4, 3), (32, 4, 3), (64, 4, 3)
        ]  # fmt: skip
        assert torch.equal(maps[-1], network.backbone(images))
        assert all(
            torch.equal(a, b) for a, b in zip(network.features(images, 2), maps, strict=False)
        )
    assert all((x >= 0).all() and x.std() > 0 for x in maps)


def test_later_features_are_not_computed():
    network = tiny()
    network.backbone.layer3 = network.backbone.layer4 = None
    assert len(network.features(random_images(1, 3, 16, 16), 3)) == 3


def test_keys_are_torchvisions():
    with torch.device("meta"):
        ours = Segmenter().state_dict()
        theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=3)
    expected = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.items()} == expected


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 33, 50)])
def test_regions_are_a_partition(shape):
    regions = tiny()(random_images(*shape))
    assert all(m.shape == (shape[0], 1, *shape[2:]) for m in regions)
    assert all((m >= 0).all() for m in regions)
    torch.testing.assert_close(sum(regions), torch.ones(shape[0], 1, *shape[2:]))


def test_class_order_permutes_the_channels():
    usual, swapped = tiny(), tiny(class_order=("background", "head", "body"))
    images = random_images(1, 3, 32, 32)
    a, b = usual(images), swapped(images)
    assert torch.equal(a.background, b.background)
    assert torch.equal(a.body, b.head)
    assert torch.equal(a.head, b.body)
    assert not torch.equal(a.body, a.head)


@pytest.mark.parametrize("order", [("background", "body"), ("background", "body", "face"), "abc"])
def test_wrong_class_order_is_refused(order):
    with pytest.raises(ValueError, match="class_order"):
        Segmenter(class_order=order)


def test_samples_do_not_influence_each_other():
    network, images = tiny(), random_images(3, 3, 40, 40)
    together = torch.cat(network(images), 1)
    alone = torch.cat([torch.cat(network(image[None]), 1) for image in images])
    torch.testing.assert_close(together, alone)


def test_gradients():
    network = tiny(width=1, stem_channels=2, blocks=(1, 1, 1, 1), aspp_channels=2).double()
    images = random_images(1, 3, 16, 16).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: torch.cat(network(x), 1), images, fast_mode=True)


def test_every_parameter_can_learn():
    network = tiny().train()
    torch.cat(network(random_images(3, 3, 64, 64)), 1).square().sum().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_inference_mode():
    network, images = tiny(), random_images(1, 3, 32, 32)
    with torch.inference_mode():
        regions = network(images)
    torch.testing.assert_close(tuple(regions), tuple(network(images)))


@settings(deadline=None, max_examples=15)
@given(
    stem=st.integers(1, 6),
    width=st.integers(1, 4),
    blocks=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    aspp=st.integers(1, 6),
)
def test_settings_are_inferred(stem, width, blocks, aspp):
    network = Segmenter(stem_channels=stem, width=width, blocks=blocks, aspp_channels=aspp).eval()
    rebuilt = Segmenter(**infer_config(network.state_dict())).eval()
    rebuilt.load_state_dict(network.state_dict())
    assert rebuilt.config == network.config
    images = random_images(1, 3, 16, 16)
    assert torch.equal(rebuilt.logits(images), network.logits(images))


def test_config_rebuilds():
    network = tiny(class_order=("head", "body", "background"), dropout=0.25)
    assert Segmenter(**network.config).config == network.config


def test_leftovers_of_training_are_ignored():
    network = tiny()
    state = network.state_dict() | {"loss.weight": torch.ones(3)}
    network.load_state_dict(state | {"aux_classifier.0.weight": torch.zeros(1)})


@pytest.mark.parametrize("key", ["backbone.conv1.weight", "classifier.4.weight"])
def test_missing_key_is_named(key):
    state = tiny().state_dict()
    del state[key]
    with pytest.raises(FiceError, match=key):
        infer_config(state)


FIVE = ("Background", "Left-shoe", "Right-shoe", "Face", "Dress")


def write_deeplab(path, classes):
    """A DeepLabV3 of as many classes, as training scripts write it, without names."""
    torch.manual_seed(0)
    network = tiny(labels=["background", "head", *["body"] * (classes - 2)]).eval()
    torch.save(network.state_dict(), path)
    return network


@pytest.mark.parametrize(
    ("name", "stored"),
    [("parser.json", {"labels": FIVE}), ("config.json", {"labels": FIVE}),
     ("parser.json", {"id2label": dict(enumerate(FIVE))}),
     ("config.json", {"id2label": dict(enumerate(FIVE)), "model_type": "deeplab"})],
)  # fmt: skip
def test_a_label_map_beside_the_file_names_its_classes(tmp_path, name, stored):
    network = write_deeplab(tmp_path / "parser.pth", 5)
    (tmp_path / name).write_text(json.dumps(stored))
    found = checkpoints.load_segmenter(tmp_path / "parser.pth")
    assert found.channels == ("background", "shoes", "shoes", "face", "dress")
    images = random_images(1, 3, 16, 16)
    found.backbone, found.classifier[0] = (
        network.backbone,
        network.classifier[0],
    )  # its rates differ
    soft = network.logits(images).softmax(1)
    torch.testing.assert_close(found.classes(images)["shoes"], soft[:, 1:2] + soft[:, 2:3])
    checkpoints.save(found, tmp_path / "again.safetensors")
    assert checkpoints.load_segmenter(tmp_path / "again.safetensors").channels == found.channels


def test_labels_can_be_given(tmp_path):
    write_deeplab(tmp_path / "parser.pth", 5)
    found = checkpoints.load_segmenter(tmp_path / "parser.pth", labels=FIVE)
    assert found.labels == ("background", "shoes", "face", "dress")
    with pytest.raises(FiceError, match="names 2 classes, but the network has 5"):
        checkpoints.load_segmenter(tmp_path / "parser.pth", labels=FIVE[:2])


@pytest.mark.parametrize(
    ("stored", "said"),
    [(None, "the names of its 5 classes are missing"),
     ({"labels": ["background", "head"]}, "names 2 classes, but the network has 5"),
     ({"labels": ["background", "head", "body", "cat", "dog"]}, "cat, dog"),
     ({"labels": ["background", "body", "body", "arms", "legs"]}, "no class of the head")],
)  # fmt: skip
def test_classes_without_a_known_name_are_refused(tmp_path, stored, said):
    write_deeplab(tmp_path / "parser.pth", 5)
    if stored is not None:
        (tmp_path / "parser.json").write_text(json.dumps(stored))
    with pytest.raises(FiceError, match=said):
        checkpoints.load_segmenter(tmp_path / "parser.pth")


def test_a_label_map_orders_the_three_classes(tmp_path):
    write_deeplab(tmp_path / "segmenter.pth", 3)
    (tmp_path / "segmenter.json").write_text(json.dumps({"labels": ["background", "head", "body"]}))
    assert checkpoints.load_segmenter(tmp_path / "segmenter.pth").labels == (
        "background",
        "head",
        "body",
    )


def test_the_configuration_of_another_model_names_no_classes(tmp_path):
    """A folder may hold CLIP's config.json too."""
    write_deeplab(tmp_path / "segmenter.pth", 3)
    other = {"model_type": "clip", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    (tmp_path / "config.json").write_text(json.dumps(other))
    found = checkpoints.load_segmenter(tmp_path / "segmenter.pth")
    assert found.labels == ("background", "body", "head")


NAMED = ("background", "face", "upper", "hair", "arms")


def test_regions_are_sums_of_the_named_classes():
    network = tiny(labels=NAMED)
    images = random_images(2, 3, 32, 24)
    classes, regions = network.classes(images), network(images)
    assert tuple(classes) == NAMED
    torch.testing.assert_close(sum(classes.values()), torch.ones(2, 1, 32, 24))
    assert torch.equal(regions.background, classes["background"])
    assert torch.equal(regions.head, classes["face"] + classes["hair"])
    assert torch.equal(regions.body, classes["upper"] + classes["arms"])


def test_three_classes_are_their_own_regions():
    network, images = tiny(class_order=("head", "body", "background")), random_images(1, 3, 32, 32)
    regions, maps = network(images), network.logits(images).softmax(1)
    assert torch.equal(torch.cat([regions.head, regions.body, regions.background], 1), maps)
    assert all(torch.equal(network.classes(images)[n], m) for n, m in regions._asdict().items())


@pytest.mark.parametrize(
    "labels",
    [("background", "upper"), ("background", "face"), ("face", "upper")],
)  # fmt: skip
def test_labels_without_a_region_are_refused(labels):
    with pytest.raises(ValueError, match="labels"):
        tiny(labels=labels)


def test_decoder_adds_fine_features():
    network, images = tiny(labels=NAMED, decoder_channels=3), random_images(1, 3, 64, 48)
    assert network.coarse_logits(images).shape == (1, 5, 16, 12)
    assert tiny(labels=NAMED).coarse_logits(images).shape == (1, 5, 8, 6)
    assert network.logits(images).shape == (1, 5, 64, 48)
    # without its fine features, it sees less
    before = network.logits(images)
    torch.nn.init.zeros_(network.decoder.reduce[0].weight)
    assert not torch.allclose(network.logits(images), before)


def test_named_classes_and_decoder_are_saved(tmp_path):
    network = tiny(labels=NAMED, decoder_channels=3)
    checkpoints.save(network, tmp_path / "named.safetensors")
    found = checkpoints.load_segmenter(tmp_path / "named.safetensors")
    images = random_images(1, 3, 32, 32)
    assert found.labels == NAMED and found.config == network.config
    assert torch.equal(found.logits(images), network.logits(images))
    fused = fuse_for_inference(found)
    torch.testing.assert_close(fused.logits(images), network.logits(images), rtol=1e-4, atol=1e-4)


def test_every_parameter_of_the_decoder_can_learn():
    network = tiny(labels=NAMED, decoder_channels=3).train()
    network.logits(random_images(3, 3, 64, 64)).square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
