"""The ComfyUI nodes: what a stage of `fice_core` needs of sockets, memory management, progress and cancel.

May import ComfyUI and any module of `fice_core`; a module that defines nodes imports no other one that does.
"""

from comfy_api.latest import ComfyExtension, io

from . import (
    bridges,
    diagnostics,
    edit,
    extractors,
    fidelity,
    framing,
    inversion,
    latents,
    loaders,
    masks,
    models,
    settings,
    stitching,
)

_MODULES = (
    edit,
    loaders,
    framing,
    extractors,
    settings,
    fidelity,
    inversion,
    masks,
    stitching,
    latents,
    bridges,
    diagnostics,
)


class FiceExtension(ComfyExtension):  # type: ignore[misc]
    """The nodes of this pack, as ComfyUI asks for them."""

    async def on_load(self) -> None:
        """Register our model folders; ComfyUI calls this before it lists the nodes."""
        models.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The classes of all nodes."""
        return [node for module in _MODULES for node in module.NODES]
