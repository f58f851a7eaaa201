"""Saving, loading and describing networks in this project's files."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from checkpoint_writers import (
    TINY,
    VOCABULARY,
    prefixed,
    randomized,
    safetensors_bytes,
    tiny_clip,
    tiny_generator,
    tiny_segmenter,
)
from safetensors import safe_open
from safetensors.torch import save_file

from fice_core import checkpoints
from fice_core.errors import FiceError
from fice_core.files import write_safetensors

KINDS = list(TINY)


def loader(kind):
    return getattr(checkpoints, f"load_{kind}")


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def saved(tmp_path, kind):
    """A random network of the kind, and its file."""
    network = randomized(TINY[kind]())
    path = tmp_path / f"{kind}.safetensors"
    checkpoints.save(network, path, {"note": "for a test"})
    return network, path


def same_weights(a, b) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# Round trips


def test_round_trip(saved, kind):
    network, path = saved
    again = loader(kind)(path)
    assert type(again) is type(network)
    assert again.config == network.config
    assert same_weights(again, network)
    assert same_weights(checkpoints.load(path), network)


def test_loaded_networks_are_frozen_and_independent_of_the_file(saved, kind):
    network, path = saved
    again = loader(kind)(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    assert same_weights(again, network)


def test_loading_inside_inference_mode_gives_normal_tensors(saved, kind):
    _, path = saved
    with torch.inference_mode():
        again = loader(kind)(path)
    tensors = [*again.parameters(), *again.buffers()]
    assert tensors
    assert not any(tensor.is_inference() for tensor in tensors)


def test_loading_does_not_change_the_random_state(saved, kind):
    _, path = saved
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    loader(kind)(path)
    assert torch.equal(torch.rand(3), expected)


def test_half_storage_is_smaller_and_close(tmp_path, kind):
    network = randomized(TINY[kind]())
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    checkpoints.save(network, full)
    checkpoints.save(network, half, half=True)
    assert half.stat().st_size < full.stat().st_size
    state = loader(kind)(half).state_dict()
    for key, value in network.state_dict().items():
        assert state[key].dtype == value.dtype
        torch.testing.assert_close(state[key], value, rtol=5e-4, atol=0)


def test_values_beyond_float16_stay_float32(tmp_path):
    network = tiny_generator()
    with torch.no_grad():
        network.mapping.fc0.weight[0, 0] = 1e6
        network.mapping.w_avg.fill_(1.0001)
    path = tmp_path / "g.safetensors"
    checkpoints.save(network, path, half=True)
    again = checkpoints.load_generator(path)
    assert again.mapping.fc0.weight[0, 0] == 1e6
    assert torch.equal(again.w_avg, network.w_avg)


def test_converted_files_need_no_fice_metadata(tmp_path, kind):
    """Any safetensors file with the published keys loads; settings come from the shapes."""
    if kind == "clip":
        pytest.skip("heads of a small CLIP cannot be told from its shapes")
    network = randomized(TINY[kind]())
    save_file(dict(network.state_dict()), tmp_path / "x.safetensors")
    assert same_weights(loader(kind)(tmp_path / "x.safetensors"), network)


def test_clip_files_contain_vocabulary_and_open_clip_keys(tmp_path):
    path = tmp_path / "clip.safetensors"
    checkpoints.save(tiny_clip(), path)
    with safe_open(path, framework="pt") as file:
        assert {"visual.proj", "logit_scale"} <= set(file.keys())
        assert json.loads(file.metadata()["fice.config"])["vocabulary"] == VOCABULARY
    assert checkpoints.load_clip(path).unknown_words("red tartan shirt") == ["tartan"]


def test_segmenter_class_order(tmp_path):
    network = randomized(tiny_segmenter())
    path = tmp_path / "s.safetensors"
    checkpoints.save(network, path)
    images = torch.rand(1, 3, 32, 32)
    plain = checkpoints.load_segmenter(path)(images)
    swapped = checkpoints.load_segmenter(path, ("background", "head", "body"))(images)
    assert torch.equal(plain.body, swapped.head)
    assert torch.equal(plain.head, swapped.body)
    assert not torch.equal(plain.head, plain.body)
    with pytest.raises(FiceError, match="class_order"):
        checkpoints.load_segmenter(path, ("background", "head", "legs"))


# Writing


def test_saving_something_else_is_a_programming_error(tmp_path):
    with pytest.raises(TypeError, match="Linear"):
        checkpoints.save(torch.nn.Linear(1, 1), tmp_path / "x.safetensors")


def test_saving_into_a_missing_folder(tmp_path):
    with pytest.raises(FiceError, match=r"cannot write .*nowhere"):
        checkpoints.save(tiny_generator(), tmp_path / "nowhere" / "g.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "g.safetensors"
    path.write_bytes(b"precious")

    def disk_full(tensors, filename, metadata):
        Path(filename).write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", disk_full)
    with pytest.raises(FiceError, match=r"cannot write .*: No space left on device"):
        checkpoints.save(tiny_generator(), path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["g.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="permission bits")
def test_written_files_have_ordinary_permissions(tmp_path):
    path, ordinary = tmp_path / "g.safetensors", tmp_path / "ordinary"
    write_safetensors(path, {"x": torch.zeros(1)}, {})
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


# Files in the wrong place, and files that lack something


@pytest.mark.parametrize("expected", KINDS)
def test_a_file_in_the_wrong_place_says_what_it_is(saved, kind, expected):
    _, path = saved
    if expected == kind:
        return
    with pytest.raises(FiceError) as caught:
        loader(expected)(path)
    message = str(caught.value)
    assert message.startswith(f"{kind}.safetensors is a")
    assert message.endswith(" was expected")
    assert checkpoints.describe(path).summary in message


def test_the_message_of_an_encoder_given_as_generator(tmp_path):
    path = tmp_path / "x.pt"
    state = prefixed(TINY["encoder"]().state_dict(), "encoder.")
    torch.save({"state_dict": state, "latent_avg": torch.zeros(8)}, path)
    with pytest.raises(FiceError) as caught:
        checkpoints.load_generator(path)
    assert str(caught.value) == (
        "x.pt is an e4e encoder (6 styles, 8); a StyleGAN2 generator was expected"
    )


def test_the_generator_of_an_encoders_file(tmp_path):
    """e4e files hold the generator too; each loader takes its own."""
    generator = randomized(tiny_generator())
    state = prefixed(TINY["encoder"]().state_dict(), "encoder.")
    state |= prefixed(generator.state_dict(), "decoder.")
    torch.save({"state_dict": state, "latent_avg": torch.zeros(8)}, tmp_path / "x.pt")
    assert same_weights(checkpoints.load_generator(tmp_path / "x.pt"), generator)
    assert checkpoints.load_encoder(tmp_path / "x.pt").num_styles == 6
    assert checkpoints.describe(tmp_path / "x.pt").kind == "encoder"


def test_missing_tensors_are_named(saved, kind):
    network, path = saved
    if kind == "encoder":
        key = "body.1.res_layer.1.weight"
    else:
        key = next(reversed(checkpoints.native.weights(network).state_dict()))
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {k: file.get_tensor(k) for k in file.keys() if k != key}  # noqa: SIM118
    save_file(tensors, path, metadata)
    with pytest.raises(
        FiceError, match=f"^{kind}.safetensors: this {kind} lacks the tensor {key}$"
    ):
        loader(kind)(path)


def test_wrong_shapes_are_named(tmp_path):
    state = dict(tiny_generator().state_dict()) | {"synthesis.b8.conv0.bias": torch.zeros(3)}
    torch.save({"G": state}, tmp_path / "g.pt")
    with pytest.raises(
        FiceError, match=r"b8.conv0.bias of this generator is \(3,\), expected \(8,\)"
    ):
        checkpoints.load_generator(tmp_path / "g.pt")


def test_extra_tensors_and_missing_batch_counts_are_tolerated(tmp_path):
    network = randomized(tiny_segmenter())
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("_tracked")}
    extra = {"aux_classifier.0.weight": torch.zeros(2), "loss.weight": torch.ones(3)}
    torch.save({"state": state | extra}, tmp_path / "s.pt")
    again = checkpoints.load_segmenter(tmp_path / "s.pt").state_dict()
    assert all(torch.equal(again[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"fice.kind": "generator"}, "settings of its network are missing"),
        ({"fice.kind": "generator", "fice.config": "{"}, "settings of its network are missing"),
        ({"fice.kind": "generator", "fice.config": "[1]"}, "settings of its network are missing"),
        (
            {"fice.kind": "generator", "fice.config": '{"depth": 3}'},
            "do not describe a valid generator.*depth",
        ),
        (
            {"fice.kind": "generator", "fice.config": '{"resolution": 7}'},
            "do not describe a valid generator",
        ),
        (
            {"fice.kind": "clip", "fice.config": '{"embed_dim": "x"}'},
            "do not describe a valid clip",
        ),
        (
            {"fice.kind": "orchestra"},
            "is a FICE orchestra file; a StyleGAN2 generator was expected",
        ),
    ],
)
def test_unreadable_settings_are_refused(tmp_path, metadata, message):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata)
    load = checkpoints.load_clip if metadata["fice.kind"] == "clip" else checkpoints.load_generator
    with pytest.raises(FiceError, match=message):
        load(path)


@pytest.mark.parametrize(
    "config",
    [
        {"resolution": [2**20, 2**20]},
        {"w_dim": 2**40},
        {"mapping_layers": 10**9},
        {"channel_base": 2**30, "channel_max": 2**28},
    ],
)
def test_settings_cannot_describe_a_network_far_larger_than_the_file(tmp_path, config):
    """A small file must not make the program build or allocate a huge network."""
    path = tmp_path / "x.safetensors"
    state = dict(tiny_generator().state_dict())
    metadata = {"fice.kind": "generator", "fice.config": json.dumps(config)}
    save_file(state, path, metadata)
    with pytest.raises(FiceError, match=r"do not describe a valid generator"):
        checkpoints.load_generator(path)


def test_unknown_device(saved, kind):
    with pytest.raises(FiceError, match="device 'abacus' is not available"):
        loader(kind)(saved[1], device="abacus")


# Descriptions


def test_descriptions_have_settings_counts_and_notes(saved, kind):
    network, path = saved
    description = checkpoints.describe(path)
    assert description.kind == kind
    assert description.summary.startswith(f"{path.name} is a")
    details = description.details
    numbers = sum(
        value.numel() for value in checkpoints.native.weights(network).state_dict().values()
    )
    assert details["format"] == "safetensors"
    assert details["note"] == "for a test"
    assert details["numbers"] == numbers
    assert not any(key.startswith("fice.") for key in details)


def test_generator_details(tmp_path):
    checkpoints.save(tiny_generator((32, 16), 8), tmp_path / "g.safetensors")
    details = checkpoints.describe(tmp_path / "g.safetensors").details
    assert details["resolution"] == [32, 16]
    assert details["num_ws"] == 8
    assert details["mapping_layers"] == 8
    assert details["conv_clamp"] == 256.0


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["synthesis.input.freqs"], "StyleGAN3"),
        (["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], "ImageNet ResNet"),
        (["D.b4.out.weight", "D.b4.fc.weight"], "discriminator"),
        (["image_encoder.patch_embed.proj.weight"], "Segment Anything"),
        (["some.layer"], "an unknown network (1 tensors: some.layer"),
    ],
)
def test_other_networks_are_recognised(tmp_path, keys, words):
    tree: dict = {}
    for key in keys:
        *path, leaf = key.split(".")
        node = tree
        if path[0] == "D":
            node, path = tree.setdefault(path[0], {}), path[1:]
        node[".".join([*path, leaf])] = torch.zeros(2, 2)
    torch.save(tree, tmp_path / "x.pt")
    description = checkpoints.describe(tmp_path / "x.pt")
    assert words in description.summary
    assert description.kind in ("other", "unknown")
    with pytest.raises(FiceError, match="one of FICE's networks was expected"):
        checkpoints.load(tmp_path / "x.pt")


def test_a_file_without_tensors_says_so(tmp_path):
    torch.save({"lr": 0.1}, tmp_path / "x.pt")
    assert checkpoints.describe(tmp_path / "x.pt").summary == "x.pt is a file without any tensors"


def test_class_conditional_generators_are_refused_by_name(tmp_path):
    state = dict(tiny_generator().state_dict()) | {"mapping.embed.weight": torch.zeros(8, 3)}
    torch.save({"G": state}, tmp_path / "g.pt")
    with pytest.raises(FiceError, match=r"g\.pt: .*class labels"):
        checkpoints.describe(tmp_path / "g.pt")


# CLIP by name: nothing here may reach the network


@pytest.fixture
def no_network(monkeypatch):
    import open_clip

    def forbidden(*args, **kwargs):
        raise AssertionError("tried to download")

    monkeypatch.setattr(open_clip, "download_pretrained", forbidden)


@pytest.mark.parametrize(
    ("name", "architecture", "message"),
    [
        ("RN50x4-quickgelu", None, "without weights: give a file, or RN50x4-quickgelu:openai"),
        ("no/such/file.pt", None, "there is no file no/such/file.pt"),
        ("RN50x5:openai", None, "no architecture 'RN50x5'; did you mean RN50x4"),
        ("RN50x4-quickgelu:best", None, "no weights 'best' for RN50x4-quickgelu; it has: openai"),
        ("coca_ViT-B-32:laion2b_s13b_b90k", None, "is a CoCa model, which is not supported"),
        ("roberta-ViT-B-32:laion2b_s12b_b32k", None, "text tower of .* is roberta-base"),
        ("C:weights.pt", None, "there is no file C:weights.pt"),
    ],
)
def test_unknown_names(no_network, name, architecture, message):
    with pytest.raises(FiceError, match=message):
        checkpoints.load_clip(name, architecture)


def test_a_tag_makes_open_clip_provide_the_file(tmp_path, monkeypatch):
    import open_clip

    asked = []

    def fetch(published):
        asked.append(published["url"])
        raise ConnectionError("no route to host\nsecond line")

    monkeypatch.setattr(open_clip, "download_pretrained", fetch)
    with pytest.raises(
        FiceError, match=r"^cannot download RN50x4-quickgelu:openai: no route to host$"
    ):
        checkpoints.load_clip("RN50x4-quickgelu:openai")
    assert len(asked) == 1
    assert asked[0].endswith("RN50x4.pt")


def test_unknown_architecture_for_a_file(tmp_path):
    torch.save(dict(tiny_clip().model.state_dict()), tmp_path / "c.pt")
    with pytest.raises(FiceError, match="no architecture 'Vit-B-32'; did you mean ViT-B-32"):
        checkpoints.load_clip(tmp_path / "c.pt", architecture="Vit-B-32")
    with pytest.raises(FiceError, match=r"^as ViT-B-32, c\.pt: "):
        checkpoints.load_clip(tmp_path / "c.pt", architecture="ViT-B-32")


# Paths and foreign files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>sign in</html>", "a web page"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"just some notes about training", "neither PyTorch, TorchScript, pickle nor safetensors"),
        (b"PK\x03\x04" + b"\0" * 40, "zip directory is broken"),
        (
            safetensors_bytes(
                {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"1234"
            ),
            "a.pt is not a readable",
        ),
    ],
)
def test_foreign_files_get_one_clear_line(tmp_path, content, message):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FiceError, match=message) as caught:
        checkpoints.describe(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)
    assert "a.pt" in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FiceError, match=r"there is no file .*x\.pt"):
        checkpoints.describe(tmp_path / "x.pt")
    with pytest.raises(FiceError, match="is a folder"):
        checkpoints.load_generator(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FiceError, match="not a regular file"):
        checkpoints.describe(tmp_path / "pipe")
