"""Every published file format gives the same weights."""

import argparse
import pathlib
import sys

import numpy as np
import pytest
import torch
from checkpoint_writers import (
    prefixed,
    randomized,
    rewrite_zip,
    saved,
    tiny_densepose,
    tiny_encoder,
    tiny_generator,
    tiny_openai_clip,
    tiny_segmenter,
    write_detectron2,
    write_legacy,
    write_nvidia,
)
from make_checkpoints import save_jit
from torch import nn

from fice_core import checkpoints
from fice_core.checkpoints.detection import flatten
from fice_core.checkpoints.reading.reader import read
from fice_core.checkpoints.reading.records import read_tensor
from fice_core.errors import FiceError
from fice_core.networks.clip import Clip


def check(network: nn.Module, expected: dict[str, torch.Tensor]) -> None:
    state = network.state_dict()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key], value), key


@pytest.fixture(scope="module")
def weights():
    return dict(randomized(tiny_generator()).state_dict())


# Generators


def test_the_authors_generator(tmp_path, weights):
    kwargs = {
        "z_dim": 8,
        "mapping_kwargs": {"num_layers": 2},
        "synthesis_kwargs": {"conv_clamp": 9},
    }
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    filters = {"synthesis.b4.resample_filter": torch.outer(taps, taps) / 64}
    tree = {"G": weights | filters, "G_kwargs": kwargs, "D": {"b4.out.weight": torch.zeros(1, 4)}}
    torch.save(tree, tmp_path / "generator.pt")
    network = checkpoints.load_generator(tmp_path / "generator.pt")
    check(network, weights)
    assert network.config["conv_clamp"] == 9


@pytest.mark.parametrize(
    ("kwargs", "clamp"), [({}, 256.0), ({"G_kwargs": {"synthesis_kwargs": {}}}, None)]
)
def test_clamp_that_is_not_given(tmp_path, weights, kwargs, clamp):
    torch.save({"G": weights} | kwargs, tmp_path / "g.pt")
    assert checkpoints.load_generator(tmp_path / "g.pt").config["conv_clamp"] == clamp


def test_the_moving_average_is_preferred(tmp_path, weights):
    other = {key: value + 1 for key, value in weights.items()}
    torch.save({"G": other, "G_ema": weights}, tmp_path / "g.pt")
    check(checkpoints.load_generator(tmp_path / "g.pt"), weights)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nvidia_pickles(tmp_path, weights, protocol):
    write_nvidia(tmp_path / "g.pkl", weights, "import torch\n", protocol)
    network = checkpoints.load_generator(tmp_path / "g.pkl")
    check(network, weights)
    assert network.config["conv_clamp"] == 64


def test_nvidias_source_code_is_never_run(tmp_path, weights):
    sentinel = tmp_path / "sentinel"
    for length in (1, 500):  # as a short and as a long string of the file
        source = f"open({str(sentinel)!r}, 'w')\n" * length
        write_nvidia(tmp_path / "g.pkl", weights, source)
        check(checkpoints.load_generator(tmp_path / "g.pkl"), weights)
    assert not sentinel.exists()
    assert "torch_utils" not in sys.modules


def test_half_width_generators(tmp_path):
    network = randomized(tiny_generator((32, 16), 8))
    write_nvidia(tmp_path / "human.pkl", dict(network.state_dict()))
    again = checkpoints.load_generator(tmp_path / "human.pkl")
    check(again, dict(network.state_dict()))
    assert again.resolution == (32, 16)


def test_legacy_files(tmp_path, weights):
    write_legacy(tmp_path / "g.pt", {"G": {k: nn.Parameter(v) for k, v in weights.items()}})
    assert checkpoints.describe(tmp_path / "g.pt").details["format"] == "legacy PyTorch"
    check(checkpoints.load_generator(tmp_path / "g.pt"), weights)


def test_a_whole_saved_network_is_read_without_its_classes(tmp_path):
    """torch.save(network) names classes; those of torch.nn are recorded, not instantiated."""
    tree = nn.ModuleDict({"synthesis": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))})
    for legacy in (False, True):
        (tmp_path / "m.pt").write_bytes(saved(tree, legacy))
        tensors = flatten(read(tmp_path / "m.pt").tree)
        expected = tree.state_dict()
        assert tensors.keys() == expected.keys()
        for key, value in tensors.items():
            assert torch.equal(read_tensor(value, "m.pt"), expected[key])


# Encoders


@pytest.mark.parametrize("shape", [(1, 6, 8), (6, 8), (8,)])
@pytest.mark.parametrize("place", ["outer", "inner", "encoder"])
def test_e4e_files(tmp_path, shape, place):
    network = randomized(tiny_encoder())
    state = prefixed(network.state_dict(), "encoder.")
    average = torch.randn(shape)
    del state["encoder.latent_avg"]
    tree = {"state_dict": state, "opts": argparse.Namespace(device="cuda:0", lr=1e-4)}
    if place == "outer":
        tree["latent_avg"] = average
    else:
        state["latent_avg" if place == "inner" else "encoder.latent_avg"] = average
    torch.save(tree, tmp_path / "e4e.pt")
    again = checkpoints.load_encoder(tmp_path / "e4e.pt")
    expected = average.expand(6, 8) if shape == (8,) else average.reshape(6, 8)
    check(again, dict(network.state_dict()) | {"latent_avg": expected})


def test_e4e_without_average(tmp_path):
    network = randomized(tiny_encoder())
    state = prefixed(network.state_dict(), "encoder.")
    del state["encoder.latent_avg"]
    torch.save({"state_dict": state, "opts": {}}, tmp_path / "e.pt")
    with pytest.raises(
        FiceError, match=r"^e\.pt is an e4e encoder \(6 styles, 8\); it has no latent_avg"
    ):
        checkpoints.load_encoder(tmp_path / "e.pt")
    opts = {"start_from_latent_avg": False}
    torch.save({"state_dict": state, "opts": opts}, tmp_path / "e.pt")
    assert not checkpoints.load_encoder(tmp_path / "e.pt").latent_avg.any()
    torch.save({"state_dict": state, "latent_avg": torch.zeros(5)}, tmp_path / "e.pt")
    with pytest.raises(FiceError, match=r"latent_avg is \(5,\), expected \(6, 8\)"):
        checkpoints.load_encoder(tmp_path / "e.pt")


@pytest.mark.parametrize("wrap", [dict, lambda options: argparse.Namespace(**options)])
def test_psp_encoders_are_told_apart(tmp_path, wrap):
    """They have the tensors of an e4e encoder, but compute something else."""
    state = prefixed(randomized(tiny_encoder()).state_dict(), "encoder.")
    for name, accepted in (("Encoder4Editing", True), ("GradualStyleEncoder", False)):
        torch.save({"state_dict": state, "opts": wrap({"encoder_type": name})}, tmp_path / "p.pt")
        if accepted:
            checkpoints.load_encoder(tmp_path / "p.pt")
            continue
        with pytest.raises(
            FiceError, match=r"^p\.pt is a pSp encoder; an e4e encoder was expected"
        ):
            checkpoints.load_encoder(tmp_path / "p.pt")


# DensePose, segmenter


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("head", ["s1x", "dl"])
def test_detectron2_pickles(tmp_path, protocol, head):
    network = randomized(tiny_densepose(head))
    state = dict(network.state_dict())
    unused = {
        "pixel_mean": torch.zeros(3, 1, 1),
        "proposal_generator.rpn_head.conv.weight": torch.zeros(2, 2),
        "roi_heads.box_head.fc1.weight": torch.zeros(2, 2),
    }
    write_detectron2(tmp_path / "densepose.pkl", state | unused, protocol)
    again = checkpoints.load_densepose(tmp_path / "densepose.pkl")
    check(again, state)
    assert again.config == network.config


def test_pickles_by_python_2(tmp_path):
    """Array data is stored as byte strings; numpy's module has another name."""
    values = np.arange(3000, dtype="<f4")  # long enough to stay in the file
    small = np.array([[1, 2], [3, 4]], dtype=">i2")
    body = b"\x80\x02}("

    def array(name: bytes, value: np.ndarray, code: bytes, order: bytes) -> bytes:
        data = value.tobytes()
        shape = b"".join(b"M" + n.to_bytes(2, "little") for n in value.shape)
        make = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        dtype = b"cnumpy\ndtype\n(U\x02" + code + b"K\x00K\x01tR(K\x03U\x01" + order
        dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        raw = b"T" + len(data).to_bytes(4, "little") + data
        key = b"U" + bytes([len(name)]) + name
        return key + make + b"(K\x01(" + shape + b"t" + dtype + b"\x89" + raw + b"tb"

    body += array(b"long", values, b"f4", b"<") + array(b"small", small, b"i2", b">") + b"u."
    (tmp_path / "old.pkl").write_bytes(body)
    tensors = flatten(read(tmp_path / "old.pkl").tree)
    assert torch.equal(read_tensor(tensors["long"], ""), torch.arange(3000.0))
    assert read_tensor(tensors["small"], "").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_every_kind(tmp_path, protocol):
    import pickle

    arrays = {
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "half": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
        "big": np.arange(5, dtype=">f8"),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(2.5),
    }
    others = {
        "names": np.array(["a", "b"]),
        "things": np.array([{}], dtype=object),
        "n": np.int8(3),
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays | others, protocol=protocol))
    tree = read(tmp_path / "a.pkl").tree
    tensors = flatten(tree)
    assert tensors.keys() == arrays.keys()
    assert tree["n"] == 3
    for key, value in arrays.items():
        expected = torch.from_numpy(
            np.ascontiguousarray(value.astype(value.dtype.newbyteorder("=")))
        )
        assert torch.equal(read_tensor(tensors[key], ""), expected.reshape(value.shape)), key


def test_the_authors_segmenter(tmp_path):
    network = randomized(tiny_segmenter())
    state = prefixed(network.state_dict(), "model.") | {"loss.weight": torch.ones(3)}
    torch.save({"state": state}, tmp_path / "segmentator.pt")
    check(checkpoints.load_segmenter(tmp_path / "segmentator.pt"), dict(network.state_dict()))


# CLIP


@pytest.fixture(scope="module", params=[False, True], ids=["transformer", "residual"])
def openai_clip(request):
    network = randomized(tiny_openai_clip(request.param))
    # As in OpenAI's files: three extra scalars, matrices in half precision
    state = {
        key: value.half() if value.ndim > 1 and "positional" not in key else value
        for key, value in network.model.state_dict().items()
        if not key.endswith("_tracked")
    }
    scalars = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    return network, state | {key: torch.tensor(value) for key, value in scalars.items()}


@pytest.mark.parametrize("form", ["TorchScript", "PyTorch", "wrapped", "safetensors"])
def test_openai_clip_files(tmp_path, openai_clip, form):
    network, state = openai_clip
    path = tmp_path / "clip.pt"
    if form == "TorchScript":
        save_jit(str(path), state)
    elif form == "wrapped":
        wrapped = prefixed(state, "module.")
        torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"state": {0: {}}}}, path)
    elif form == "safetensors":
        from safetensors.torch import save_file

        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    again = checkpoints.load_clip(path)
    assert again.config["quick_gelu"]
    assert again.image_size == network.image_size
    loaded = again.model.state_dict()
    for key, value in network.model.state_dict().items():
        assert loaded[key].dtype == value.dtype
        torch.testing.assert_close(loaded[key], value, rtol=1e-3, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(
            again.encode_text(["a red shirt"]),
            network.encode_text(["a red shirt"]),
            atol=2e-3,
            rtol=0,
        )


def test_torchscript_code_is_never_run(tmp_path, openai_clip):
    _, state = openai_clip
    path, sentinel = tmp_path / "clip.pt", tmp_path / "sentinel"
    save_jit(str(path), state)
    poison = f"open({str(sentinel)!r}, 'w')".encode()
    data = rewrite_zip(
        path.read_bytes(), lambda name, old: poison if name.startswith("code/") else old
    )
    path.write_bytes(data)
    assert checkpoints.describe(path).details["format"] == "TorchScript"
    checkpoints.load_clip(path)
    assert not sentinel.exists()


def test_newer_open_clip_key_names(tmp_path):
    """The text tower is below `text.`, as in open_clip's modules."""
    network = randomized(tiny_openai_clip(residual=False))
    text = ("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection")
    state = {
        f"text.{key}" if key.startswith(text) else key: value
        for key, value in network.model.state_dict().items()
    }
    torch.save(state, tmp_path / "c.pt")
    again = checkpoints.load_clip(tmp_path / "c.pt")
    check(again.model, dict(network.model.state_dict()))
    assert again.config["quick_gelu"] is False


def test_architecture_by_name(tmp_path, monkeypatch):
    """The number of heads, which the shapes do not tell, comes from the architecture."""
    import open_clip

    settings = tiny_openai_clip(residual=False).config
    settings["vision_cfg"] |= {"head_width": 32}
    network = randomized(Clip(**settings))
    config = {key: network.config[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
    monkeypatch.setattr(open_clip, "list_models", lambda: ["tiny"])
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: config | {"custom_text": True})
    torch.save(dict(network.model.state_dict()), tmp_path / "c.pt")
    again = checkpoints.load_clip(tmp_path / "c.pt", architecture="tiny")
    check(again.model, dict(network.model.state_dict()))
    assert again.config["vision_cfg"]["head_width"] == 32


# Byte order and views


def test_files_of_big_endian_machines(tmp_path, weights):
    def swapped(name: str, content: bytes) -> bytes:
        if name == "byteorder":
            return b"big"
        if name.startswith("data/"):
            return np.frombuffer(content, "<f4").astype(">f4").tobytes()
        return content

    (tmp_path / "g.pt").write_bytes(rewrite_zip(saved({"G": weights}), swapped))
    check(checkpoints.load_generator(tmp_path / "g.pt"), weights)


def test_tensors_that_share_or_skip_memory(tmp_path):
    base = torch.arange(24.0)
    tree = {"whole": base, "part": base[4:10], "turned": base.view(4, 6).T, "every": base[::5]}
    torch.save(tree, tmp_path / "t.pt")
    tensors = flatten(read(tmp_path / "t.pt").tree)
    for key, value in tree.items():
        assert torch.equal(read_tensor(tensors[key], ""), value)


def test_options_of_many_kinds_are_read_as_plain_values(tmp_path):
    tree = {
        "opts": argparse.Namespace(lr=0.1, size=torch.Size([1, 2]), device=torch.device("cuda", 1)),
        "path": pathlib.PurePosixPath("runs/1"),
        "dtype": torch.float16,
        "numbers": (np.float32(0.5), np.int64(3)),
        "set": {1, 2},
    }
    torch.save(tree, tmp_path / "o.pt")
    found = read(tmp_path / "o.pt").tree
    assert found["opts"].state == {"lr": 0.1, "size": (1, 2), "device": "cuda:1"}
    assert found["path"] == "runs/1"
    assert found["dtype"] is torch.float16
    assert found["numbers"] == (0.5, 3)
