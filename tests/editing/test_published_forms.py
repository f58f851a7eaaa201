"""From files in their published forms to a finished edit, by one command."""

from pathlib import Path

import pytest
import torch
from command import fice
from published_files import TINY, write_published

from fice_core.images import read_image, write_image

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published")
    write_published(path, TINY)
    return path


@pytest.mark.filterwarnings("ignore")  # the masks of random networks
def test_one_command_edits_a_photo(folder: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    image = torch.rand(3, 120, 90, generator=torch.Generator().manual_seed(0))
    write_image(photo, image)
    result = fice(
        *("edit", photo, "--prompt", "a red striped shirt", "-o", out, "--models", folder),
        *("--box", "10,10,60,110", "--steps", 2, "--search-steps", 4, "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    edited, before = read_image(out), read_image(photo)
    assert edited.shape == before.shape
    assert not torch.equal(edited, before)
    assert torch.equal(edited[..., 61:], before[..., 61:])  # outside of the frame


def test_the_check_of_a_set_names_all_of_it(folder: Path) -> None:
    result = fice("models", "check", folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    for kind in ("generator", "densepose", "segmenter", "clip"):
        assert f"{kind:<10} " in result.stdout
    assert "encoder    none: the code of a photo is searched" in result.stdout
