"""The ComfyUI nodes: each adapts a stage of `fice_core` to sockets, memory management, progress and cancel.

They hold no mathematics of their own; that is all in `fice_core`.
"""

from comfy_api.latest import ComfyExtension, io

from . import (
    diagnostics,
    extractors,
    fidelity,
    framing,
    inversion,
    latents,
    loaders,
    masks,
    models,
    quick,
    settings,
    stitching,
)

_MODULES = (
    quick,
    loaders,
    framing,
    extractors,
    settings,
    fidelity,
    inversion,
    masks,
    stitching,
    latents,
    diagnostics,
)


class FiceExtension(ComfyExtension):  # type: ignore[misc]
    """What ComfyUI asks for the nodes of this pack."""

    async def on_load(self) -> None:
        """Before the nodes are listed: tell ComfyUI where our models live."""
        models.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The classes of all nodes."""
        return [node for module in _MODULES for node in module.NODES]
