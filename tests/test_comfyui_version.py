"""The error on an old ComfyUI. Needs no ComfyUI."""

import asyncio
import importlib.util
import sys
import types
from pathlib import Path

import pytest

PACK = Path(__file__).parents[1]


def _entrypoint():
    spec = importlib.util.spec_from_file_location("fice_pack_under_test", PACK / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.comfy_entrypoint


@pytest.mark.parametrize("version", ["0.8.2", "0.15.9", "0.3.64"])
def test_an_old_comfyui_is_told_which_it_needs(monkeypatch, version):
    stub = types.ModuleType("comfyui_version")
    stub.__version__ = version
    monkeypatch.setitem(sys.modules, "comfyui_version", stub)
    with pytest.raises(
        RuntimeError, match=f"FICE needs ComfyUI 0.16 or newer and this is {version}"
    ):
        asyncio.run(_entrypoint()())
