"""Whether the settings in a file are arguments that a network class takes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from .found import word


def check_arguments(cls: type, config: Mapping[str, Any]) -> None:
    """Check names and types of a class's arguments against its annotations.

    Python would take `"no"` for true, and a number that is not finite for a width.

    Raises:
        ValueError: a setting is missing, unknown or of another type.
    """
    parameters = inspect.signature(cls).parameters
    hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    for name, parameter in parameters.items():
        if name not in config and parameter.default is parameter.empty:
            raise ValueError(f"{name} is missing")
    for name, value in config.items():
        if name not in parameters:
            raise ValueError(f"there is no setting {word(name)}")
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {_shown(value)}, but {_wanted(hints[name])} was expected")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; lists stand for all sequences, as in JSON."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in args)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(args) and _all_fit(value, args)
    if origin is not None and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and _all_fit(value, args * len(value))
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _all_fit(values: Sequence[Any], hints: Sequence[Any]) -> bool:
    return all(_fits(value, hint) for value, hint in zip(values, hints, strict=True))


def _shown(value: Any) -> str:
    """A value in a sentence, or what kind of thing it is."""
    if isinstance(value, str):
        return repr(word(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return word(value)
    return "a mapping" if isinstance(value, Mapping) else "a list of other things"


def _wanted(hint: Any) -> str:
    """A type in plain words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_wanted(each) for each in args)
    if origin is not None and issubclass(origin, Mapping):
        return "a mapping"
    if origin is not None:
        return f"a list of {_PLURALS.get(args[0], 'lists')}"
    return _WORDS[hint]


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
