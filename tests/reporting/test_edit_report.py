"""Warnings of an edit, with the names of the files."""

import pytest

from fice_core.reporting.edit_report import with_names


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("image 2 is unchanged", "b.png is unchanged"),
        ("picture 2 is unchanged", "b.png is unchanged"),
        ("tuning the generator to image 1: image 2", "tuning the generator to a.png: b.png"),
        ("image 0 and image 3", "image 0 and image 3"),
        ("the image is 2 pixels high", "the image is 2 pixels high"),
    ],
)
def test_numbers_of_images_become_file_names(line: str, expected: str) -> None:
    assert with_names(line, ["a.png", "b.png"]) == expected
