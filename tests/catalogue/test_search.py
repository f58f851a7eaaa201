"""Networks that this project, ComfyUI, its packs and the Hub's cache keep on a machine."""

from pathlib import Path

import pytest
from command import fice, mistake
from parser_files import write_segformer
from tiny_models import write_models

from fice_core.catalogue import places as places_module
from fice_core.catalogue.places import Place, comfyui_folders, own_folder, places
from fice_core.catalogue.search import search


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    write_models(folder)
    return folder


@pytest.fixture
def machine(tmp_path, monkeypatch, written):
    """A home with nothing but a ComfyUI, which holds models in several places."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr("fice_core.catalogue.search._LEAST", 1000)
    for name in ("FICE_MODELS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    comfyui = tmp_path / "ComfyUI"
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))

    def put(kind, *where):
        target = tmp_path.joinpath(*where)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((written / f"{kind}.safetensors").read_bytes())
        return target

    put("generator", "ComfyUI", "models", "fice", "generator", "people.safetensors")
    put("clip", "ComfyUI", "models", "clip", "mine", "model.safetensors")
    put("generator", "ComfyUI", "models", "checkpoints", "sd.safetensors")
    put("densepose", "ComfyUI", "custom_nodes", "aux", "ckpts", "owner", "name", "dp.safetensors")
    put("encoder", "elsewhere", "e4e.safetensors")
    (comfyui / "extra_model_paths.yaml").write_text(
        "comfyui:\n  base_path: ../elsewhere\n  checkpoints: x\n  fice_encoder: |\n    .\n    none\n"
    )
    return put


def found(more=()):
    return {(each.kind, each.path.name, each.place) for each in search(places(more))}


def test_all_places_are_looked_into_but_those_of_diffusion(machine):
    assert found() == {
        ("generator", "people.safetensors", "ComfyUI"),
        ("clip", "model.safetensors", "ComfyUI"),
        ("densepose", "dp.safetensors", "the pack aux"),
        ("encoder", "e4e.safetensors", "extra_model_paths.yaml"),
    }


def test_own_folder_and_the_cache_of_the_hub(machine, tmp_path, monkeypatch):
    machine("segmenter", "home", "fice-models", "segmenter", "s.safetensors")
    cache = (".cache", "huggingface", "hub", "models--a--b", "snapshots", "0123")
    machine("clip", "home", *cache, "open_clip_model.safetensors")
    names = {(kind, place) for kind, _, place in found()}
    assert ("segmenter", "FICE's folder") in names
    assert ("clip", "the Hub's cache") in names
    monkeypatch.setenv("FICE_MODELS", str(tmp_path / "mine"))
    assert own_folder() == tmp_path / "mine"


def test_a_parser_of_another_pack(machine, tmp_path):
    pytest.importorskip("transformers")
    write_segformer(tmp_path / "ComfyUI" / "models" / "segformer_b2_clothes")
    assert ("segmenter", "model.safetensors", "ComfyUI") in found()


def test_a_file_behind_two_names_is_listed_once(machine, tmp_path):
    folder = tmp_path / "linked"
    folder.mkdir()
    source = tmp_path / "ComfyUI" / "models" / "fice" / "generator" / "people.safetensors"
    try:
        (folder / "again.safetensors").symlink_to(source)
    except OSError:
        pytest.skip("no links here")
    generators = [each for each in search(places((folder,))) if each.kind == "generator"]
    assert [each.place for each in generators] == ["given"]


def test_a_broken_yaml_is_no_error(machine, tmp_path):
    (tmp_path / "ComfyUI" / "extra_model_paths.yaml").write_text("a: [")
    assert ("encoder", "e4e.safetensors", "extra_model_paths.yaml") not in found()


def test_comfyui_around_this_pack_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    pack = tmp_path / "Other" / "custom_nodes" / "fice"
    pack.mkdir(parents=True)
    (tmp_path / "Other" / "models").mkdir()
    monkeypatch.setattr(places_module, "__file__", str(pack / "fice_core" / "x.py"))
    assert comfyui_folders() == [(tmp_path / "Other").resolve()]


def test_depth_is_limited(machine, tmp_path):
    machine("clip", "deep", *"abcdef", "clip.safetensors")
    assert search([Place("deep", tmp_path / "deep", depth=5)]) == []
    assert len(search([Place("deep", tmp_path / "deep", depth=6)])) == 1


def test_the_table_says_what_is_here_what_is_published_and_what_is_missing(machine):
    result = fice("models")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any("here" in line and "people.safetensors" in line for line in lines)
    assert any("segformer-b2-clothes" in line and "published" in line for line in lines)
    assert any("licence: not checked" in line for line in lines)
    missing = [line for line in lines if line.startswith("missing")]
    assert len(missing) == 1 and "a segmenter; fice models get segformer-b2-clothes" in missing[0]


def test_a_whole_set_is_said_to_be_one(machine, written):
    result = fice("models", "--in", written)
    assert "a working set is here" in result.stdout
    assert "missing" not in result.stdout


def test_a_file_that_cannot_be_used_says_why_and_does_not_count(machine, tmp_path):
    pytest.importorskip("transformers")
    write_segformer(tmp_path / "ComfyUI" / "models" / "parser", labels=None)
    result = fice("models")
    assert "not usable: the names of its 18 classes are missing" in result.stdout
    assert "missing: a segmenter" in result.stdout


def test_a_folder_that_is_not_there(machine, tmp_path):
    assert "there is no folder" in mistake("models", "--in", tmp_path / "none")


def test_check_takes_a_step(written, tmp_path):
    result = fice("models", "check", written, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "generator  generator.safetensors is a StyleGAN2 generator" in result.stdout
    assert "one step on cpu" in result.stdout
    for kind in ("generator", "densepose", "segmenter", "clip"):
        (tmp_path / f"{kind}.safetensors").write_bytes(
            (written / f"{kind}.safetensors").read_bytes()
        )
    assert "encoder    none" in fice("models", "check", tmp_path, "--device", "cpu").stdout
    (tmp_path / "clip.safetensors").unlink()
    (tmp_path / "segmenter.safetensors").unlink()
    line = mistake("models", "check", tmp_path)
    assert "lacks the segmenter (segmentator.* or segmenter.*) and the clip" in line
