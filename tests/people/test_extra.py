import subprocess
import sys
from pathlib import Path

import pytest

from fice_core.errors import FiceError
from fice_core.people.extra import INSTALL, find_llvm, need


def test_a_missing_package_is_told_with_the_command() -> None:
    with pytest.raises(FiceError, match="needs the package no_such_renderer") as told:
        need("no_such_renderer.part")
    assert INSTALL in str(told.value)


def test_reading_people_needs_no_renderer() -> None:
    code = (
        "import sys\n"
        "import fice_core.people.pool, fice_core.people.compose, fice_core.people.captions\n"
        "import fice_core.people.sampling\n"
        "assert not {'mitsuba', 'drjit', 'anny', 'warp', 'pyoidn', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_llvm_is_the_one_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(tmp_path / "none.so"))
    assert find_llvm() is None
