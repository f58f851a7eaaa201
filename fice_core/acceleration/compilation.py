"""Functions compiled by `torch.compile`. Compiled code rounds elsewhere than eager code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

import torch

from ..errors import FiceError

if TYPE_CHECKING:
    pass

_P = ParamSpec("_P")


def compiled(function: Callable[_P, torch.Tensor]) -> Callable[_P, torch.Tensor]:
    """The function by `torch.compile`, where a gradient is wanted: what is called without one is called
    too seldom to be worth compiling.

    The first call, and the first with another size, takes from ten seconds to a minute. Other functions
    of the same networks' shapes then take no time, and torch keeps the code on disk for other processes.

    Raises (when called):
        FiceError: this machine cannot compile.
    """
    quick = torch.compile(function)

    def chosen(*args: _P.args, **kwargs: _P.kwargs) -> torch.Tensor:
        if not any(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args):
            return function(*args, **kwargs)
        try:
            found: torch.Tensor = quick(*args, **kwargs)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).strip().splitlines()
            raise FiceError(
                f"torch cannot compile on this machine ({reason[0] if reason else 'no reason given'}): "
                "install a C++ compiler, or set execution to eager"
            ) from error
        return found

    return chosen
