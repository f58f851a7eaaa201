"""Where models are found, and on which device they are."""

import pytest

from fice_core.errors import FiceError
from fice_core.models import load_models, model_files, resolve_device


def test_a_folder_without_models_says_what_to_do(tmp_path):
    with pytest.raises(FiceError, match="no folder of models"):
        load_models(tmp_path / "missing")
    with pytest.raises(FiceError, match=r"lacks the generator \(generator\.\*\) and the densepose"):
        load_models(tmp_path)
    for name in ("generator.pt", "e4e.pt", "densepose.pkl", "segmentator.pt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FiceError, match="lacks the clip"):  # before two gigabytes are read
        load_models(tmp_path)
    (tmp_path / "RN50x4.pt").write_bytes(b"")
    with pytest.raises(FiceError, match=r"generator\.pt"):
        load_models(tmp_path)


def test_a_missing_clip_is_never_downloaded_unasked(tmp_path):
    for name in ("generator.pt", "densepose.pkl", "segmentator.pt"):
        (tmp_path / name).touch()
    with pytest.raises(FiceError, match=r"lacks the clip .* RN50x4-quickgelu:openai"):
        model_files(tmp_path)
    assert "clip" not in model_files(tmp_path, clip="RN50x4-quickgelu:openai")


def test_the_authors_file_names_are_found(tmp_path):
    names = ("generator.pt", "e4e.pt", "densepose.pkl", "segmentator.pt", "clip_rn50x4.pt")
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in model_files(tmp_path).values()] == list(names)
    assert [*model_files("demo")] == ["generator", "encoder", "densepose", "segmenter", "clip"]


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in {"cpu", "cuda", "mps"}
    for name in ("warp", "cuda:99", "", "hpu", "privateuseone", "meta", "cpu:1"):
        with pytest.raises(FiceError, match="device"):
            resolve_device(name)
