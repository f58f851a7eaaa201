"""The ComfyUI nodes. None is written yet: the pack loads and adds nothing to the menu.

Each stage of `fice_core` will get a node here that adapts it to ComfyUI's sockets, memory
management, progress bar and cancel button, and holds no mathematics of its own.
"""

from comfy_api.latest import ComfyExtension, io


class FiceExtension(ComfyExtension):  # type: ignore[misc]
    """What ComfyUI asks for the nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The classes of all nodes."""
        return []
