"""What the renderer needs besides the core library, and where Mitsuba finds LLVM."""

import ctypes
import importlib
import os
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import FiceError

INSTALL = 'pip install "comfyui-fice[people]"'
#: releases of LLVM that Mitsuba's kernels were seen to compile with, best first; 15 aborts
LLVM_RELEASES = ("19", "20", "21", "18", "17", "16")


def need(name: str) -> ModuleType:
    """The module `name` of the extra `people`.

    Raises:
        FiceError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FiceError(
            f"rendering people needs the package {name.split('.')[0]} ({error}); run: {INSTALL}"
        ) from error


def _llvm_candidates() -> Iterator[Path]:
    for release in LLVM_RELEASES:
        for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"):
            yield Path(folder, f"libLLVM.so.{release}.1")
            yield Path(folder, f"libLLVM-{release}.so.1")
        yield Path(f"/usr/lib/llvm-{release}/lib/libLLVM.so")
        yield Path(f"/opt/homebrew/opt/llvm@{release}/lib/libLLVM.dylib")
        yield Path(f"/usr/local/opt/llvm@{release}/lib/libLLVM.dylib")
    yield Path("C:/Program Files/LLVM/bin/LLVM-C.dll")


def find_llvm() -> Path | None:
    """The LLVM library for Mitsuba: `DRJIT_LIBLLVM_PATH`, else the first known path that loads."""
    given = os.environ.get("DRJIT_LIBLLVM_PATH")
    for path in [Path(given)] if given else _llvm_candidates():
        if path.exists():
            try:
                ctypes.CDLL(str(path))
            except OSError:
                continue
            return path
    return None


@cache
def mitsuba() -> Any:
    """The module mitsuba with its variant set: compiled on LLVM, else the slow scalar one.

    Raises:
        FiceError: mitsuba is not installed.
    """
    llvm = find_llvm()
    if llvm is not None:
        os.environ["DRJIT_LIBLLVM_PATH"] = str(llvm)
    module = need("mitsuba")
    if llvm is None:
        raise FiceError(
            "rendering people needs LLVM 16 or newer, best 19 (Debian: apt install libllvm19; or set "
            "DRJIT_LIBLLVM_PATH to its library)"
        )
    module.set_variant("llvm_ad_rgb")
    return module


def quiet_warp() -> Any:
    """The module warp, started without its greeting.

    Raises:
        FiceError: warp is not installed.
    """
    warp = need("warp")
    warp.config.quiet = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warp.init()
    return warp
