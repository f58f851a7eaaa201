"""The networks of a folder, whatever their files are called."""

import shutil

import pytest
import torch
from parser_files import write_segformer
from tiny_models import write_models

from fice_core.catalogue.folder import kind_of, missing, networks_in, weights_below
from fice_core.errors import FiceError
from fice_core.models import load_models, model_files


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    write_models(folder)
    return folder


@pytest.fixture
def files(written, tmp_path):
    """Copies a network to another name in `tmp_path`."""

    def copy(kind, name):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(written / f"{kind}.safetensors", target)
        return target

    return copy


def test_names_of_the_kinds_come_first(files, tmp_path):
    for kind, name in {"generator": "generator.safetensors", "clip": "clip_b32.safetensors",
                       "encoder": "e4e.safetensors", "densepose": "densepose.safetensors",
                       "segmenter": "segmentator.safetensors"}.items():  # fmt: skip
        files(kind, name)
    files("generator", "another.safetensors")
    assert {kind: path.name for kind, path in networks_in(tmp_path).items()} == {
        "generator": "generator.safetensors", "encoder": "e4e.safetensors",
        "densepose": "densepose.safetensors", "segmenter": "segmentator.safetensors",
        "clip": "clip_b32.safetensors",
    }  # fmt: skip


def test_other_names_are_recognised_by_their_contents(files, tmp_path):
    files("generator", "stylegan_human_v2_512.safetensors")
    files("densepose", "model_final_162be9.safetensors")
    files("segmenter", "parser.safetensors")
    files("clip", "RN.safetensors")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "broken.pt").write_bytes(b"x")
    found = networks_in(tmp_path)
    assert [*found] == ["generator", "densepose", "segmenter", "clip"]
    assert missing(found) == []
    assert load_models(tmp_path).load_encoder is None


def test_folders_of_kinds_and_hub_downloads(files, tmp_path):
    pytest.importorskip("transformers")
    files("generator", "generator/any/name.safetensors")
    files("densepose", "densepose/x.safetensors")
    files("clip", "clip/open_clip_model.safetensors")
    files("clip", "clip/model.safetensors")  # the image tower of the same download
    write_segformer(tmp_path / "segformer_b2_clothes")
    found = model_files(tmp_path)
    assert found["clip"].name == "open_clip_model.safetensors"
    assert found["segmenter"] == tmp_path / "segformer_b2_clothes" / "model.safetensors"
    assert found["generator"].name == "name.safetensors"
    models = load_models(tmp_path)
    assert "upper" in models.segmenter.labels


def test_several_files_of_a_kind_are_refused(files, tmp_path):
    files("generator", "one.safetensors")
    files("generator", "two.safetensors")
    with pytest.raises(FiceError, match=r"several files for the generator \(one\..*, two\."):
        networks_in(tmp_path)
    files("generator", "generator.safetensors")  # a name decides
    assert networks_in(tmp_path)["generator"].name == "generator.safetensors"


def test_a_kind_can_be_skipped(files, tmp_path):
    files("clip", "clip.safetensors")
    assert networks_in(tmp_path, skipped="clip") == {}
    assert [kind.name for kind in missing({}, skipped="clip")] == [
        "generator",
        "densepose",
        "segmenter",
    ]


def test_the_file_of_an_encoder_gives_its_generator(written, tmp_path):
    from safetensors.torch import load_file

    state = {f"encoder.{k}": v for k, v in load_file(written / "encoder.safetensors").items()}
    average = state.pop("encoder.latent_avg")
    generator = {f"decoder.{k}": v for k, v in load_file(written / "generator.safetensors").items()}
    torch.save({"state_dict": state | generator, "latent_avg": average}, tmp_path / "e4e.pt")
    found = networks_in(tmp_path)
    assert found["generator"] == found["encoder"] == tmp_path / "e4e.pt"


def test_kinds_of_files(written, tmp_path):
    assert kind_of(written / "densepose.safetensors") == "densepose"
    assert kind_of(tmp_path / "nothing.pt") is None


def test_weights_below_skips_hidden_and_other_files(tmp_path):
    for name in ("a.pt", ".b.pt", "c.txt", "sub/d.pth", ".cache/e.pt", "sub/deeper/f.pt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert weights_below(tmp_path) == [tmp_path / "a.pt", tmp_path / "sub" / "d.pth"]
    assert weights_below(tmp_path / "none") == []
