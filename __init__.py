"""Entry point for ComfyUI, which imports this folder under a name of its own.

`fice_core` holds the method, without ComfyUI; `nodes` holds its nodes.
"""

from typing import Any

#: ComfyUI reads the help pages at web/docs/<node id>.md
WEB_DIRECTORY = "./web"
_OLDEST_COMFYUI = (0, 16)  # pyproject.toml says the same to ComfyUI's registry


async def comfy_entrypoint() -> Any:
    """The nodes of this pack."""
    _require_recent_comfyui()
    from .nodes import FiceExtension

    return FiceExtension()


def _require_recent_comfyui() -> None:
    """Raise RuntimeError on a ComfyUI that lacks parts of the API; ComfyUI logs it and goes on."""
    from comfyui_version import __version__

    numbers = tuple(int(part) for part in __version__.split(".")[:2])
    if numbers < _OLDEST_COMFYUI:
        wanted = ".".join(map(str, _OLDEST_COMFYUI))
        raise RuntimeError(
            f"FICE needs ComfyUI {wanted} or newer and this is {__version__}: update ComfyUI, or remove FICE"
        )
