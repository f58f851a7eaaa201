"""A few renders that all tests of this folder share; without the extra `people` their tests are skipped."""

import importlib.util

import numpy as np
import pytest

from fice_core.people.code import sample_codes
from fice_core.people.maths import Array
from fice_core.people.record import Record

EXTRA = ("anny", "mitsuba", "pyoidn")
SIZE = 64


@pytest.fixture(scope="session")
def codes() -> Array:
    return sample_codes(24, np.random.default_rng(1)).astype(np.float32).astype(float)


@pytest.fixture(scope="session")
def renderer() -> None:
    """Skips where people cannot be rendered."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"people are not rendered: {', '.join(missing)} not installed (extra `people`)")
    from fice_core.people.extra import find_llvm

    if find_llvm() is None:
        pytest.skip("people are not rendered: no LLVM library found (Debian: libllvm19)")


@pytest.fixture(scope="session")
def records(renderer: None, codes: Array) -> list[Record]:
    """Three people at 64 pixels."""
    from fice_core.people.shoot import shoot

    return [shoot(code, SIZE) for code in codes[:3]]
