"""The way in for ComfyUI, which loads this folder under a name of its own.

Everything else is in `fice_core` (the method, without ComfyUI) and `nodes` (its nodes).
"""

from typing import Any

#: help pages, as ComfyUI looks for them: web/docs/<node id>.md
WEB_DIRECTORY = "./web"
_OLDEST_COMFYUI = (0, 16)  # pyproject.toml says the same to ComfyUI's registry


async def comfy_entrypoint() -> Any:
    """The pack, when ComfyUI asks for it."""
    _require_recent_comfyui()
    from .nodes import FiceExtension

    return FiceExtension()


def _require_recent_comfyui() -> None:
    """Older ones lack parts of the API; ComfyUI logs what is raised here as one line and goes on."""
    from comfyui_version import __version__

    numbers = tuple(int(part) for part in __version__.split(".")[:2])
    if numbers < _OLDEST_COMFYUI:
        wanted = ".".join(map(str, _OLDEST_COMFYUI))
        raise RuntimeError(
            f"FICE needs ComfyUI {wanted} or newer and this is {__version__}: update ComfyUI, or remove FICE"
        )
