"""A real ComfyUI, started for the tests and used as a browser uses it."""

import io
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websocket
from PIL import Image

PACK = Path(__file__).parents[2]
PREVIEW_EVENTS = (1, 4)  # binary websocket messages that carry an image, plain or with metadata
TEXT_EVENT = 3
#: a photo that is in the input folder of every server
EXAMPLE = PACK / "fice_core" / "demo" / "gallery" / "01.jpg"


def find_comfyui() -> Path | None:
    """`COMFYUI_PATH`, or else ComfyUI's default folder; None if there is neither."""
    places = [os.environ.get("COMFYUI_PATH"), Path.home() / "comfy" / "ComfyUI"]
    return next((Path(p) for p in places if p and (Path(p) / "main.py").exists()), None)


def interpreter(comfyui: Path) -> str:
    """The Python that runs ComfyUI."""
    for name in ("bin/python", "Scripts/python.exe"):
        if (comfyui / ".venv" / name).exists():
            return str(comfyui / ".venv" / name)
    return shutil.which("python3") or "python"


@dataclass
class Run:
    """The results of one prompt."""

    history: dict[str, Any]
    executed: list[str]
    cached: list[str]
    progress: list[tuple[int, int]] = field(default_factory=list)
    previews: list[Image.Image] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return str(self.history["status"]["status_str"])

    @property
    def error(self) -> dict[str, Any] | None:
        """The error message of the node that failed; None if none did."""
        for kind, content in self.history["status"]["messages"]:
            if kind == "execution_error":
                return dict(content)
        return None

    def outputs(self, node: str) -> dict[str, Any]:
        return dict(self.history["outputs"][node])


class Refused(Exception):
    """The server refused the prompt; `.nodes` holds its complaints by node."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(json.dumps(body))
        self.body = body

    def message(self) -> str:
        errors = [e for node in self.body["node_errors"].values() for e in node["errors"]]
        return " ".join(f"{e['message']} {e['details']}" for e in errors)


class Server:
    """ComfyUI on a free port, with a folder of its own that links to the pack."""

    def __init__(
        self, comfyui: Path, folder: Path, pack: Path = PACK, flags: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        (folder / "custom_nodes").mkdir(parents=True, exist_ok=True)
        (folder / "input").mkdir(exist_ok=True)
        shutil.copy(EXAMPLE, folder / "input" / "example.png")  # ComfyUI has one of this name
        link = folder / "custom_nodes" / "comfyui-fice"
        if not link.exists():
            link.symlink_to(pack, target_is_directory=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [interpreter(comfyui), "main.py", "--cpu", "--listen", "127.0.0.1"]
        command += ["--port", str(self.port), "--disable-auto-launch"]
        command += ["--base-directory", str(folder), "--database-url", "sqlite:///:memory:", *flags]
        environment = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        self._log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            command, cwd=comfyui, stdout=self._log, stderr=subprocess.STDOUT, env=environment
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait(self, seconds: float = 180) -> "Server":
        """Wait until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI stopped: {self.log()[-3000:]}")
            try:
                self.get("/system_stats")
                return self
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        raise TimeoutError(f"ComfyUI did not start: {self.log()[-3000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=60) as answer:
            data = answer.read()
        return json.loads(data) if "json" in (answer.headers.get_content_type() or "") else data

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(json.loads(error.read())) from None
        return json.loads(data) if data else None

    def image(self, shown: dict[str, str]) -> np.ndarray:
        """The pixels (H, W, C) of an image named in a node's output."""
        data = self.get(f"/view?{urllib.parse.urlencode(shown)}")
        return np.asarray(Image.open(io.BytesIO(data)))

    def memory(self) -> int:
        """Resident bytes of the server's process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def run(
        self,
        prompt: dict[str, Any],
        seconds: float = 300,
        on_progress: Any = None,
    ) -> Run:
        """Queue a prompt in API format and wait for its end.

        Args:
            on_progress: called with (value, most) at every step that the server reports.
        """
        client = uuid.uuid4().hex
        channel = websocket.create_connection(
            f"ws://{self.address}/ws?clientId={client}", timeout=seconds
        )
        try:
            queued = self.post("/prompt", {"prompt": prompt, "client_id": client})["prompt_id"]
            run = Run({}, [], [])
            self._follow(channel, queued, run, on_progress)
        finally:
            channel.close()
        end = time.monotonic() + 20
        while not run.history and time.monotonic() < end:
            run.history = self.get(f"/history/{queued}").get(queued, {})
        return run

    def _follow(self, channel: Any, queued: str, run: Run, on_progress: Any) -> None:
        while True:
            message = channel.recv()
            if isinstance(message, bytes):
                self._binary(message, run)
                continue
            event = json.loads(message)
            kind, data = event["type"], event["data"]
            if data.get("prompt_id", queued) != queued:
                continue
            if kind == "execution_cached":
                run.cached += data["nodes"]
            elif kind == "executing" and data["node"] is not None:
                run.executed.append(data["node"])
            elif kind == "progress":
                run.progress.append((data["value"], data["max"]))
                if on_progress:
                    on_progress(data["value"], data["max"])
            elif kind in ("execution_success", "execution_error", "execution_interrupted"):
                return

    @staticmethod
    def _binary(message: bytes, run: Run) -> None:
        (kind,) = struct.unpack(">I", message[:4])
        if kind == TEXT_EVENT:
            (length,) = struct.unpack(">I", message[4:8])
            run.texts.append(message[8 + length :].decode())
        elif kind in PREVIEW_EVENTS:
            (extra,) = struct.unpack(">I", message[4:8])
            start = 8 + extra if kind == 4 else 8
            run.previews.append(Image.open(io.BytesIO(message[start:])))
