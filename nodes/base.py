"""The class of all nodes: an error of the user appears on its node as one sentence."""

from typing import Any

from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ..fice_core import errors
from .progress import show


class FiceError(Exception):
    """An error of the user, as ComfyUI shows it: "FiceError: " and the sentence.

    ComfyUI puts the module before the name, which for the engine's class is the path of this folder.
    """

    __module__ = "builtins"


class Node(io.ComfyNode):  # type: ignore[misc]
    """A node of this pack. Subclasses define `execute`."""

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **inputs: Any) -> Any:  # noqa: N802
        """Run `execute` as ComfyUI does; an error of the user is also shown on the node."""
        try:
            return super().EXECUTE_NORMALIZED(*args, **inputs)
        except errors.FiceError as error:
            said = str(error)
        context = get_executing_context()
        if context is not None:
            show(context.node_id, said)
        raise FiceError(said)
