"""`fice models get` against a Hub on this machine: whole, cut, damaged, refused, offline."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import fice
from hub_server import Hub
from parser_files import write_segformer

from fice_core.catalogue.download import is_offline
from fice_core.catalogue.published import BY_NAME, PUBLISHED

REPOSITORY = "mattmdjaga/segformer_b2_clothes"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The repository of a parser, and a large file that is no network."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hub")
    write_segformer(folder / REPOSITORY, size={"height": 64, "width": 64})
    other = folder / "zhengchong" / "CatVTON" / "DensePose"
    other.mkdir(parents=True)
    rng = np.random.default_rng(0)
    (other / "model_final_162be9.pkl").write_bytes(rng.bytes(24_000_000))
    return folder


@pytest.fixture
def hub(stored):
    server = Hub(stored)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(hub, tmp_path, monkeypatch):
    """`fice models get` into `tmp_path`, from the Hub on this machine."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    return lambda *arguments: fice("models", "get", *arguments, "-o", tmp_path)


def one_line(result):
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def asked(hub, method, name):
    return [path for how, path, _ in hub.requests if how == method and name in path]


def test_a_parser_arrives_whole_and_is_not_fetched_twice(get, hub, stored, tmp_path):
    first = get("segformer-b2-clothes")
    assert first.exit_code == 0, first.stderr
    place = tmp_path / "segmenter" / "segformer-b2-clothes"
    names = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in place.iterdir()) == names
    for name in names:
        assert (place / name).read_bytes() == (stored / REPOSITORY / name).read_bytes()
    assert "SHA-256 checked" in first.stdout
    assert "is a SegFormer (5 blocks, 18 classes)" in first.stdout
    assert "not checked" in first.stdout  # the licence of the base model
    assert len(asked(hub, "GET", "model.safetensors")) == 1
    again = get("segformer-b2-clothes")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.count("is there") == 3
    assert len(asked(hub, "GET", "model.safetensors")) == 1
    hub.requests.clear()
    offline = get("segformer-b2-clothes", "--offline")  # what is there serves
    assert offline.exit_code == 0, offline.stderr
    assert hub.requests == []


def test_a_changed_file_is_fetched_again(get, hub, tmp_path):
    get("segformer-b2-clothes")
    path = tmp_path / "segmenter" / "segformer-b2-clothes" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    get("segformer-b2-clothes")
    assert path.read_bytes() == whole


def test_a_cut_download_goes_on_where_it_ended(get, hub, stored, tmp_path):
    hub.cut_after = 15_000_000  # the library writes ten megabytes at once
    result = get("densepose")  # it tries again by itself
    assert "SHA-256 checked" in result.stdout, result.stderr
    ranges = [wanted for method, _, wanted in hub.requests if method == "GET" and wanted]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").split("-")[0]) >= 10_000_000
    arrived = tmp_path / "densepose" / "densepose" / "model_final_162be9.pkl"
    source = stored / "zhengchong" / "CatVTON" / "DensePose" / "model_final_162be9.pkl"
    assert arrived.read_bytes() == source.read_bytes()
    assert result.exit_code == 2  # it is no network


def test_a_damaged_file_is_refused_and_removed(get, hub, tmp_path):
    hub.damage = True
    assert "arrived damaged" in one_line(get("segformer-b2-clothes"))
    assert not [*tmp_path.rglob("model.safetensors")]


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses"), (403, "refuses"), (404, "any more")]
)
def test_a_refusal_is_one_line(get, hub, status, said):
    hub.status = status
    line = one_line(get("segformer-b2-clothes"))
    assert said in line
    assert f"https://huggingface.co/{REPOSITORY}" in line


def test_no_connection_is_one_line(tmp_path):
    """In a process of its own, as a user runs it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "fice_core",
            "models",
            "get",
            "segformer-b2-clothes",
            "-o",
            tmp_path,
        ],
        env=known | {"HF_ENDPOINT": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1, result.stderr
    assert "cannot fetch segformer-b2-clothes" in result.stderr
    assert "check the connection" in result.stderr


@pytest.mark.parametrize("way", ["option", "variable"])
def test_offline_asks_nobody(get, hub, tmp_path, monkeypatch, way):
    if way == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    line = one_line(get("segformer-b2-clothes", *(["--offline"] if way == "option" else [])))
    assert "offline" in line and f"https://huggingface.co/{REPOSITORY}" in line
    assert str(tmp_path / "segmenter" / "segformer-b2-clothes") in line
    assert hub.requests == []


def test_what_is_not_on_the_hub_says_where_it_is(get, hub, tmp_path):
    line = one_line(get("fice-encoder"))
    assert "https://github.com/MartinPernus/FICE" in line
    assert str(tmp_path / "encoder") in line
    assert hub.requests == []


def test_an_unknown_name_lists_the_known_ones(get):
    line = one_line(get("nonsense"))
    assert "segformer-b2-clothes" in line and "fice-encoder" not in line


def test_the_folder_can_be_named_by_a_variable(get, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("FICE_MODELS", str(tmp_path / "here"))
    assert fice("models", "get", "segformer-b2-clothes").exit_code == 0
    assert (tmp_path / "here" / "segmenter" / "segformer-b2-clothes" / "config.json").is_file()


def test_offline_variables(monkeypatch):
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    for value, expected in (("", False), ("0", False), ("1", True), ("on", True), ("True", True)):
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
        assert is_offline() == expected


def test_the_page_lists_every_entry_as_the_command_does():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for each in PUBLISHED:
        row = next(line for line in page.splitlines() if f"| `{each.name}` |" in line)
        size = "" if each.megabytes is None else f"{each.megabytes} MB"
        for text in (f"| {each.kind} |", each.what, each.page, each.form, size, each.licence):
            assert text in row, each.name


def test_entries_are_complete():
    """Every entry has an address and a licence, and one that can be fetched its weights first."""
    assert len(BY_NAME) == len(PUBLISHED)
    for each in PUBLISHED:
        assert each.page.startswith("https://") and each.licence, each.name
        assert bool(each.repository) == bool(each.files), each.name
        if each.files:
            assert each.repository.count("/") == 1
            assert Path(each.files[0]).suffix in {".pkl", ".safetensors", ".torchscript"}
