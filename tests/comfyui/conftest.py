"""Fixtures around a real ComfyUI. Without one these tests are skipped, with the reason."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # after tests/, which has a conftest too

from server import PACK, Server, find_comfyui, interpreter

ABSENT = "no ComfyUI found: set COMFYUI_PATH, or install it to ~/comfy/ComfyUI"


@pytest.fixture(scope="session")
def comfyui():
    """The folder of a ComfyUI."""
    found = find_comfyui()
    if found is None:
        pytest.skip(ABSENT)
    return found


@pytest.fixture(scope="session")
def server(comfyui, tmp_path_factory):
    """One running ComfyUI with the pack, for all tests."""
    folder = tmp_path_factory.mktemp("comfyui")
    shutil.copytree(Path(__file__).parent / "helper_pack", folder / "custom_nodes" / "fice-helpers")
    running = Server(comfyui, folder)
    try:
        yield running.wait()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def info(server):
    """The server's /object_info."""
    return server.get("/object_info")


@pytest.fixture(scope="session")
def library(comfyui, tmp_path_factory):
    """Runs Python code beside the server: its interpreter, with `fice_core` from this folder."""

    def run(code: str) -> object:
        out = tmp_path_factory.mktemp("library") / "out.json"
        program = f"import json\nOUT = {str(out)!r}\n{code}\njson.dump(result, open(OUT, 'w'))\n"
        subprocess.run([interpreter(comfyui), "-c", program], cwd=PACK, check=True, timeout=600)
        return json.loads(out.read_text())

    return run
