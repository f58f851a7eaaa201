"""Where models are found, and on which device they are."""

import pytest

from fice_core import models
from fice_core.errors import FiceError
from fice_core.models import load_models, resolve_device


def test_a_folder_without_models_says_what_to_do(tmp_path):
    with pytest.raises(FiceError, match="no folder of models"):
        load_models(tmp_path / "missing")
    with pytest.raises(FiceError, match=r"generator is missing: put generator\.\*"):
        load_models(tmp_path)
    for name in ("generator.pt", "e4e.pt", "densepose.pkl", "segmentator.pt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FiceError, match="clip is missing"):  # before two gigabytes are read
        load_models(tmp_path)
    (tmp_path / "RN50x4.pt").write_bytes(b"")
    with pytest.raises(FiceError, match=r"generator\.pt"):
        load_models(tmp_path)


def test_a_missing_clip_is_never_downloaded_unasked(tmp_path):
    with pytest.raises(FiceError, match=r"clip is missing: .* RN50x4-quickgelu:openai"):
        models._require(tmp_path, "clip")


def test_the_authors_file_names_are_found(tmp_path):
    names = ("generator.pt", "e4e.pt", "densepose.pkl", "segmentator.pt", "clip_rn50x4.pt")
    for name in names:
        (tmp_path / name).touch()
    kinds = ("generator", "encoder", "densepose", "segmenter", "clip")
    assert [models._find(tmp_path, kind).name for kind in kinds] == list(names)


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in {"cpu", "cuda", "mps"}
    for name in ("warp", "cuda:99", "", "hpu", "privateuseone", "meta"):
        with pytest.raises(FiceError, match="device"):
            resolve_device(name)
