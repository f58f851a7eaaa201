"""Text that cannot be printed fails no command: no stream, a closed or full one, a narrow encoding."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fice_core.cli import main
from fice_core.commands.console import bar, safe_streams, say, warn
from fice_core.errors import printable

ROOT = Path(__file__).parents[2]


def narrow(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("cp1252", "\\u7ea2 café\n"), ("ascii", "\\u7ea2 caf\\xe9\n"), ("utf-8", "红 café\n")],
)
def test_letters_that_an_encoding_lacks_are_escaped(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str
) -> None:
    out, err = narrow(encoding), narrow(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with safe_streams():
        say("红 café")
        warn("红 café")
    assert written(out) == expected
    assert written(err) == "fice: warning: " + expected


def test_what_a_terminal_obeys_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\r\n\tb\u202ec\udce9\u3000d")
    warn("a\x1b[2J\nb\x07")
    out, err = capsys.readouterr()
    assert out == "a\\x1b[2J\\r\n\\tb\\u202ec\\udce9\u3000d\n"
    assert err == "fice: warning: a\\x1b[2J b\\x07\n"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("a" * 9, 10, "a" * 9),
        ("a" * 11, 10, "aaaaaaa..."),
        ("\x1b" * 5, 10, "\\x1b\\x1..."),
        ("日本\u200b", None, "日本\\u200b"),
        ("", 10, ""),
    ],
)
def test_printable(text: str, limit: int | None, expected: str) -> None:
    assert printable(text, limit) == expected


class Full(io.RawIOBase):
    """A file on a full disk."""

    room = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        return len(data)


def test_a_full_stdout_is_told_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Full()
    full = io.TextIOWrapper(io.BufferedWriter(disk), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", full)
    with safe_streams():
        say("one")
        say("two")
        print("three")  # noqa: T201
    assert sys.stdout is full
    monkeypatch.undo()
    disk.room = True  # for what is still in its buffer
    expected = "fice: warning: the text on stdout is incomplete: No space left on device\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("closed", [False, True])
def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch, name: str, closed: bool) -> None:
    stream = None
    if closed:
        stream = narrow("utf-8")
        stream.close()
    monkeypatch.setattr(sys, name, stream)
    with safe_streams():
        say("one")
        warn("two")
        with bar("working", 3) as progress:
            progress.update()
    assert getattr(sys, name) is stream


def test_an_edit_without_stderr_and_with_a_narrow_stdout(
    toys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (24, 24), "gray").save(tmp_path / "in.png")
    out = narrow("cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", None)
    line = ["edit", tmp_path / "in.png", "--prompt", "红色 shirt", "-o", tmp_path / "out.png"]
    with pytest.raises(SystemExit) as end:
        main([*map(str, line), "--steps", "2", "--frame", "whole"], prog_name="fice")
    assert end.value.code == 0
    assert (tmp_path / "out.png").exists()
    assert "\\u7ea2\\u8272 shirt" in written(out)


@pytest.mark.skipif(os.name != "posix", reason="a shell that can close streams")
@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("--help >/dev/full", 0, "the text on stdout is incomplete: No space left on device"),
        ("--help >&-", 0, ""),
        ("nonsense 2>&-", 2, ""),
        ("nonsense 2>/dev/full", 2, ""),
        ("--help <&- >&- 2>&-", 0, ""),
        ("--help | true", 0, ""),
    ],
)
def test_the_program_with_streams_of_a_shell(line: str, code: int, err: str) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    command = f"'{sys.executable}' -m fice_core {line}"
    run = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == code
    assert run.stderr == (f"fice: warning: {err}\n" if err else "")
