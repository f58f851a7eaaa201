"""FICE: text-conditioned fashion image editing with guided GAN inversion.

    from fice_core import EditSettings, edit, load_models

    models = load_models("demo")
    result = edit(models, images, "a red striped shirt", EditSettings(seed=0))

Importing the package imports no torch; the names below are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .editing.pipeline import edit
    from .editing.result import EditInterrupted, EditResult
    from .errors import FiceError
    from .models import Models, load_models
    from .settings import EditSettings, LossWeights

__all__ = [
    "EditInterrupted",
    "EditResult",
    "EditSettings",
    "FiceError",
    "Frame",
    "LossWeights",
    "Models",
    "Step",
    "edit",
    "load_models",
    "read_image",
    "write_image",
]

_HOMES = {
    "EditInterrupted": "editing",
    "EditResult": "editing",
    "EditSettings": "settings",
    "FiceError": "errors",
    "Frame": "framing",
    "LossWeights": "settings",
    "Models": "models",
    "Step": "inversion",
    "edit": "editing",
    "load_models": "models",
    "read_image": "images",
    "write_image": "images",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
