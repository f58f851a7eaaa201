"""The class of all nodes: an error of the user appears on its node as one sentence."""

from collections.abc import Callable
from functools import wraps
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
    """A node of this pack."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "execute" in cls.__dict__:
            cls.execute = classmethod(_telling(cls.__dict__["execute"].__func__))


def _telling(execute: Callable[..., Any]) -> Callable[..., Any]:
    """`execute`, which shows an error of the user on the node and raises it under its short name."""

    @wraps(execute)
    def run(cls: type[Node], **inputs: Any) -> Any:
        try:
            return execute(cls, **inputs)
        except errors.FiceError as error:
            said = str(error)
        context = get_executing_context()
        if context is not None:
            show(context.node_id, said)
        raise FiceError(said)

    return run
