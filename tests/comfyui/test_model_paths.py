"""Model folders elsewhere, named in extra_model_paths.yaml."""

import pytest
from prompts import DEMO, node, quick
from server import Server

from fice_core.models import DEMO_WEIGHTS


@pytest.fixture
def configured(comfyui, tmp_path):
    """A server of its own that knows a folder shared with other programs."""
    shared = tmp_path / "shared" / "encoders"
    shared.mkdir(parents=True)
    (shared / "theirs.safetensors").write_bytes((DEMO_WEIGHTS / "encoder.safetensors").read_bytes())
    (shared / "notes.txt").write_text("not a model")
    paths = tmp_path / "extra.yaml"
    paths.write_text(f"mine:\n  base_path: {tmp_path / 'shared'}\n  fice_encoder: encoders\n")
    flags = ("--extra-model-paths-config", str(paths))
    server = Server(comfyui, tmp_path / "base", flags=flags)
    try:
        yield server.wait()
    finally:
        server.stop()


def test_models_kept_elsewhere_are_found(configured):
    own = configured.folder / "models" / "fice" / "encoder"
    own.mkdir(parents=True)
    (own / "ours.safetensors").write_bytes((DEMO_WEIGHTS / "encoder.safetensors").read_bytes())
    listed = configured.get("/object_info/FICE_LoadEncoder")["FICE_LoadEncoder"]
    options = listed["input"]["required"]["file"][1]["options"]
    assert options == [DEMO, "ours.safetensors", "theirs.safetensors"]
    prompt = quick(steps=2, encoder=["encoder", 0])
    prompt["encoder"] = node("FICE_LoadEncoder", file="theirs.safetensors")
    run = configured.run(prompt)
    assert run.status == "success", run.error
