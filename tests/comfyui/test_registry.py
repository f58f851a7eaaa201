"""The pack for ComfyUI's registry: valid, packed, and working from the archive."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import tomllib
from PIL import Image
from prompts import quick
from server import PACK, Server


def _project():
    return tomllib.loads((PACK / "pyproject.toml").read_text())


def test_the_project_says_what_the_registry_needs():
    comfy = _project()["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert comfy["requires-comfyui"] == ">=0.16.0"
    for name, size in (("Icon", (1, 1)), ("Banner", (21, 9))):
        file = PACK / comfy[name].split("/main/")[-1]
        with Image.open(file) as image:
            assert image.width * size[1] == image.height * size[0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """What `comfy node pack` makes of a clean copy of the tracked files."""
    command = shutil.which("comfy")
    if command is None:
        pytest.skip("comfy-cli is not installed")
    clone = tmp_path_factory.mktemp("clone") / "pack"
    subprocess.run(["git", "clone", "-q", str(PACK), str(clone)], check=True)
    for arguments in (["node", "validate"], ["node", "pack"]):
        done = subprocess.run(
            [command, "--skip-prompt", "--no-enable-telemetry", *arguments],
            cwd=clone,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout.lower(), done.stdout
    return clone / "node.zip"


def test_the_archive_holds_the_pack_alone(archive):
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    for needed in (
        "__init__.py",
        "nodes/edit.py",
        "fice_core/demo/weights/generator.safetensors",
        "workflows/01 Edit your photo.json",
        "subgraphs/Edit clothes (FICE).json",
        "web/fice.js",
        "web/docs/FICE_Edit.md",
        "locales/zh/nodeDefs.json",
        "requirements.txt",
        "LICENSE",
    ):
        assert needed in names
    for foreign in ("tests/", "tools/", "benchmarks/bench_", ".ci/", ".git/"):
        assert not [name for name in names if name.startswith(foreign)]
    assert archive.stat().st_size < 40 * 2**20


def test_the_archive_edits_in_a_clean_comfyui(archive, comfyui, tmp_path):
    pack = tmp_path / "unpacked"
    with zipfile.ZipFile(archive) as file:
        file.extractall(pack)
    server = Server(comfyui, tmp_path / "base", pack=pack)
    try:
        run = server.wait().run(quick(steps=2))
        assert run.status == "success", run.error
        assert Path(server.folder / "custom_nodes" / "comfyui-fice").resolve() == pack.resolve()
    finally:
        server.stop()
