"""Names of files, checks before the work, and what is never read or replaced."""

import json
import os
import stat
from pathlib import Path

import pytest

from fice_core import files
from fice_core.errors import FiceError
from fice_core.files import Output, check_name, check_paths, read_bytes


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("a\0.png", "null character"),
        ("x" * 256, "too long"),
        ("é" * 128, "too long"),  # 256 bytes
        ("sub/" + "x" * 256 + "/y.png", "too long"),
        ("a/" * 2500, "too long"),
        ("a\ud800.png", "cannot be used"),  # no bytes of a file name
    ],
)
def test_names_that_no_file_can_have(name: str, words: str) -> None:
    with pytest.raises(FiceError, match=words) as caught:
        check_name(name)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "none/x.png", "a b.png", "caf\udce9.png"])
def test_names_that_a_file_can_have(name: str) -> None:
    check_name(name)


def test_a_loop_of_links_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(FiceError):
        read_bytes(tmp_path / "a")
    with pytest.raises(FiceError):
        check_paths([Output(tmp_path / "a" / "x.png", "-o")])


def test_an_output_is_no_input_by_any_name(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"photo")
    (tmp_path / "link.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    (tmp_path / "sub").mkdir()
    for name in ("photo.png", "./photo.png", "sub/../photo.png", "link.png", "hard.png"):
        with pytest.raises(FiceError, match=r"--report: .* would overwrite an input, .*photo.png"):
            check_paths([Output(f"{tmp_path}/{name}", "--report")], [photo])
    assert check_paths([Output(tmp_path / "other.png", "-o")], [photo, "missing.png"]) == []


@pytest.mark.parametrize(("first", "second"), [("a.png", "A.PNG"), ("straße.png", "STRASSE.png")])
def test_two_outputs_are_not_one_file_on_any_system(
    tmp_path: Path, first: str, second: str
) -> None:
    outputs = [Output(tmp_path / first, "row 2"), Output(tmp_path / second, "row 3")]
    with pytest.raises(FiceError, match=r"row 3: .* is also that of row 2"):
        check_paths(outputs)


def test_composed_and_decomposed_letters_are_one_name(tmp_path: Path) -> None:
    with pytest.raises(FiceError, match="is also that of"):
        check_paths([Output(tmp_path / "\xe9.png", "a"), Output(tmp_path / "e\u0301.png", "b")])


def test_what_is_there_is_returned_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(b"old")
    outputs = [Output(tmp_path / "old.png", "a"), Output(tmp_path / "new.png", "b")]
    assert check_paths(outputs) == [tmp_path / "old.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    with pytest.raises(FiceError, match="make the folder"):
        check_paths([Output(tmp_path / "none" / "x.png", "a")])
    assert check_paths([Output(tmp_path / "none" / "x.png", "a")], makes=tmp_path / "none") == []
    with pytest.raises(FiceError, match="make the folder"):
        check_paths([Output(tmp_path / "none" / "r.json", "a")], makes=tmp_path / "new")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "name", ["/dev/null", "/dev/new.png", "/dev/stdout", "/proc/self/x.json", "/sys/x.json"]
)
def test_devices_are_no_outputs(name: str) -> None:
    with pytest.raises(FiceError, match="not a file"):
        check_paths([Output(name, "-o")])
    assert not os.path.isfile("/dev/new.png")
    with pytest.raises(FiceError, match="no ordinary files"):
        files.make_folder("/proc/folder")


def test_a_name_of_a_folder_is_no_output(tmp_path: Path) -> None:
    for name in (tmp_path, f"{tmp_path}/new/"):
        with pytest.raises(FiceError, match="folder"):
            check_paths([Output(name, "-o")])


def test_permissions_are_kept_and_read_only_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o600)
    files.write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o444)
    with pytest.raises(FiceError, match="read-only"):
        files.write_bytes(path, b"newer")
    with pytest.raises(FiceError, match="read-only"):
        check_paths([Output(path, "-o")])
    assert path.read_bytes() == b"new"


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / ("\U0001f455" * 62 + ".png"), b"x")  # 252 bytes
    assert len(list(tmp_path.iterdir())) == 1


def test_only_ordinary_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(files.MAX_BYTES + 1)
    for name, words in (
        ("/dev/zero", "device or a pipe; a photo was expected"),
        ("/proc/self/mem", "device or a pipe"),
        (tmp_path / "pipe", "device or a pipe"),
        (tmp_path, "is a folder; a photo was expected"),
        (tmp_path / "huge", "MiB"),
        (tmp_path / "none", "there is no file"),
        (tmp_path / "huge" / "x", "there is no file"),
        ("a\0b", "cannot read"),
        ("x" * 300, "cannot read"),
    ):
        with pytest.raises(FiceError, match=words):
            read_bytes(name, "a photo")


def test_json_holds_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    files.write_json(tmp_path / "x.json", {"name": name, "text": "Grün"})
    data = (tmp_path / "x.json").read_bytes()
    assert json.loads(data) == {"name": name, "text": "Grün"}
    assert "Grün" in data.decode()


def test_one_folder_by_two_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert files.is_same_folder(f"{tmp_path}/in/", tmp_path / "link")
    assert not files.is_same_folder(tmp_path / "in", tmp_path)
    assert not files.is_same_folder(tmp_path / "none", tmp_path / "none")


def test_long_lists_are_cut() -> None:
    assert files.some_of(["a", "b", "c"]) == "a, b, c"
    assert files.some_of(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_one_process_at_a_time_is_in_a_folder(tmp_path: Path) -> None:
    with (
        files.alone_in(tmp_path),
        pytest.raises(FiceError, match="another run is working in"),
        files.alone_in(tmp_path),
    ):
        pass
    with files.alone_in(tmp_path):
        pass
    with pytest.raises(FiceError, match="cannot write /proc"), files.alone_in("/proc"):
        pass
