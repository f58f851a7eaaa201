"""The way in for ComfyUI, which loads this folder under a name of its own.

Everything else is in `fice_core` (the method, without ComfyUI) and `nodes` (its nodes).
"""

from typing import Any


async def comfy_entrypoint() -> Any:
    """The pack, when ComfyUI asks for it."""
    from .nodes import FiceExtension

    return FiceExtension()
