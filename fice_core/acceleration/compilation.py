"""Functions compiled by `torch.compile`. Compiled code rounds at other places than eager code."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

import torch

from ..errors import FiceError

_P = ParamSpec("_P")


def compiled(function: Callable[_P, torch.Tensor]) -> Callable[_P, torch.Tensor]:
    """The function, compiled by `torch.compile` for calls with a gradient.

    Calls without a gradient are too rare to be worth compiling. The first call, and the first with
    another size, takes from ten seconds to a minute. Other functions of networks of the same shapes then
    take no time. Torch keeps the code on disk for other processes.

    Raises (when called):
        FiceError: this machine cannot compile.
    """
    fast = torch.compile(function)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> torch.Tensor:
        if not any(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args):
            return function(*args, **kwargs)
        try:
            result: torch.Tensor = fast(*args, **kwargs)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).strip().splitlines()
            raise FiceError(
                f"torch cannot compile on this machine ({reason[0] if reason else 'no reason given'}): "
                "install a C++ compiler, or set execution to eager"
            ) from error
        return result

    return call
