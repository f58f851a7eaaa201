"""What the pack asks of the platform: a quick start, no connection, nothing written beside its code."""

import json
import os
import subprocess
from pathlib import Path

from prompts import quick
from server import PACK, Server, interpreter

#: libraries that take long to load and that a start does not need
LATE = ("matplotlib", "skimage", "open_clip", "timm", "transformers", "segment_anything")

_START = """
import asyncio, importlib.util, json, sys, time
sys.path.insert(0, {comfyui!r})
sys.argv = ["main.py", "--cpu", "--base-directory", {base!r}]
import comfy.options
comfy.options.enable_args_parsing()
import comfy_api.latest, execution, folder_paths, nodes, server
known = set(sys.modules)
begin = time.process_time()
spec = importlib.util.spec_from_file_location("/custom_nodes/fice", {pack!r} + "/__init__.py")
module = importlib.util.module_from_spec(spec)
sys.modules["/custom_nodes/fice"] = module
spec.loader.exec_module(module)
extension = asyncio.run(module.comfy_entrypoint())
asyncio.run(extension.on_load())
asyncio.run(extension.get_node_list())
seconds = time.process_time() - begin
new = {{name.split(".")[0] for name in set(sys.modules) - known}}
print(json.dumps([seconds, sorted(new)]))
"""

_GUARD = """
import socket
plain = socket.socket.connect
def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("CONNECTION TO", address, flush=True)
        raise OSError("offline")
    return plain(self, address)
socket.socket.connect = connect
print("GUARD IS UP", flush=True)
"""


def test_the_pack_starts_quickly(comfyui, tmp_path):
    """Processor time, so that other processes do not count; without bytecode it takes longer."""
    code = _START.format(comfyui=str(comfyui), base=str(tmp_path), pack=str(PACK))
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [interpreter(comfyui), "-c", code],
        cwd=comfyui,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    seconds, new = json.loads(done.stdout.splitlines()[-1])
    assert not set(new) & set(LATE)
    assert seconds < 2, f"{seconds:.2f} s"


def test_the_pack_has_neither_links_nor_bytecode():
    tracked = subprocess.run(
        ["git", "ls-files", "-s"], cwd=PACK, capture_output=True, text=True, check=True
    ).stdout
    modes = {line.split()[0] for line in tracked.splitlines()}
    assert modes <= {"100644", "100755"}
    names = [line.split("\t")[1] for line in tracked.splitlines()]
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".so"))]


def test_an_edit_writes_nothing_into_the_pack_and_opens_no_connection(
    comfyui, tmp_path, monkeypatch
):
    """Python's own bytecode aside, which an administrator turns off like this."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pack = tmp_path / "pack"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(PACK), str(pack)], check=True)
    guard = tmp_path / "base" / "custom_nodes" / "guard"
    guard.mkdir(parents=True)
    (guard / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (guard / "prestartup_script.py").write_text(_GUARD)
    before = _files(pack)
    server = Server(comfyui, tmp_path / "base", pack=pack)
    try:
        assert server.wait().run(quick(steps=2)).status == "success"
        assert "GUARD IS UP" in server.log()
        assert "CONNECTION TO" not in server.log()
    finally:
        server.stop()
    assert _files(pack) == before


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
