"""Jobs: tables, names, and what is refused before any work is done."""

from pathlib import Path

import pytest
from batch_files import random_image, table

from fice_core.batch.jobs import Job, all_pairs, check, check_outputs, check_sizes
from fice_core.batch.table import read_table
from fice_core.errors import FiceError


def test_a_table_is_read(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "Prompt,photo,output,negative,from,mask,person",
        '"a red shirt, short",a.jpg,,,,,',
        "",
        "a blue shirt,a.jpg,,a coat,a top,m.png,1",
        "ein grünes Hemd,sub/b.jpg,green.webp,,,,0",
        encoding="utf-8-sig",
    )
    first, second, third = read_table(str(path), negative="a hat")
    place = f"{path} row"
    assert first == Job(
        str(tmp_path / "a.jpg"),
        "a red shirt, short",
        "a-1.png",
        negative="a hat",
        place=f"{place} 2",
    )
    assert second == Job(
        str(tmp_path / "a.jpg"),
        "a blue shirt",
        "a-2.png",
        negative="a coat",
        worn="a top",
        mask=str(tmp_path / "m.png"),
        person=1,
        place=f"{place} 4",
    )
    assert third.output == "green.webp"
    assert third.prompt == "ein grünes Hemd"
    assert third.person == 0


def test_empty_cells_of_spreadsheets_do_not_count(tmp_path: Path) -> None:
    for rows in (
        ("photo,prompt,,", "a.png,red,,", ",,,"),
        ("photo,prompt", "a.png,red,,,"),
        ("photo, ,prompt", "a.png,,red"),
    ):
        (job,) = read_table(str(table(tmp_path, *rows)))
        assert (job.photo, job.prompt) == (str(tmp_path / "a.png"), "red")
    for rows in (("photo,prompt,", "a.png,red,x"), ("photo,prompt", "a.png,red,,x")):
        with pytest.raises(FiceError, match=r"row 2 has . cells, but there are 2 columns"):
            read_table(str(table(tmp_path, *rows)))
    with pytest.raises(FiceError, match="the person is '9999"):
        read_table(str(table(tmp_path, "photo,prompt,person", "a.png,red," + "9" * 5000)))


@pytest.mark.parametrize("column", ["photo", "mask", "output"])
@pytest.mark.parametrize(("name", "words"), [("a\0.png", "null"), ("é" * 130 + ".png", "too long")])
def test_names_in_a_table_are_checked(tmp_path: Path, column: str, name: str, words: str) -> None:
    random_image(tmp_path / "a.png")
    cells = {"photo": "a.png", "prompt": "red", "mask": "", "output": "", column: name}
    path = table(tmp_path, ",".join(cells), ",".join(cells.values()))
    with pytest.raises(FiceError, match=rf"row 2: the name .* {words}"):
        check(read_table(str(path)), tmp_path / "out")


@pytest.mark.parametrize(
    ("column", "name"),
    [("prompt", "prompt"), ("negative", "negative prompt"), ("from", "text of what is worn")],
)
def test_texts_in_a_table_are_checked(tmp_path: Path, column: str, name: str) -> None:
    random_image(tmp_path / "a.png")
    for text, words in (
        ("red\0", "has a null character"),
        ("r\x1bed", "has a control"),
        ("a|", "is empty"),
    ):
        cells = {"photo": "a.png", "prompt": "red", "negative": "", "from": "", column: text}
        path = table(tmp_path, ",".join(cells), ",".join(cells.values()))
        with pytest.raises(FiceError, match=rf"row 2: the {name} .*{words}") as caught:
            check(read_table(str(path)), tmp_path / "out")
        assert "\n" not in str(caught.value)


def test_the_format_must_hold_the_photo() -> None:
    job = Job("a.png", "red", "a.webp", place="row 2")
    check_sizes([job], {"a.png": (100, 16_383)})
    check_sizes([job], {"a.png": None})
    with pytest.raises(FiceError, match=r"row 2: a .webp file has at most 16383 pixels a side"):
        check_sizes([job], {"a.png": (16_384, 100)})


def test_outputs_are_named_after_their_photos() -> None:
    jobs = all_pairs(["in/a.jpg", "b.png"], ["red", "blue", "red"])
    assert [(job.photo, job.prompt, job.output) for job in jobs] == [
        ("in/a.jpg", "red", "a-1.png"),
        ("in/a.jpg", "blue", "a-2.png"),
        ("b.png", "red", "b-1.png"),
        ("b.png", "blue", "b-2.png"),
    ]
    assert [job.output for job in all_pairs(["in/a.jpg", "b.png"], ["red"])] == ["a.png", "b.png"]


def test_an_input_is_not_overwritten(tmp_path: Path) -> None:
    photo, mask = str(random_image(tmp_path / "a.png")), str(random_image(tmp_path / "m.png"))
    jobs = [Job(photo, "red", "b.png", mask=mask, place="x")]
    check(jobs, tmp_path)
    for name in ("a.png", "m.png"):
        with pytest.raises(FiceError, match=r"x: the output .* would overwrite an input"):
            check([Job(photo, "red", name, mask=mask, place="x")], tmp_path)
    other = Job(photo, "red", "b.png", person_mask=str(tmp_path / "p.png"), place="x")
    check_outputs([other], tmp_path)
    with pytest.raises(FiceError, match="would overwrite an input"):
        check_outputs([other], tmp_path, inputs=[str(tmp_path / "b.png")])
    with pytest.raises(FiceError, match="would overwrite an input"):
        check_outputs([Job(photo, "red", "p.png", person_mask=other.person_mask)], tmp_path)


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    jobs = all_pairs(["a/x.png", "b/X.jpg"], ["red"])  # one file where case makes no difference
    with pytest.raises(
        FiceError, match=r"of b/X.jpg: the output X.png is also that of the edit of a/x"
    ):
        check_outputs(jobs, tmp_path)
