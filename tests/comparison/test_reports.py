"""Tables, and the page: what it embeds, and that a browser pages and votes."""

import csv
import io
import json
import math
import shutil
import time
from pathlib import Path

import pytest
import torch

from fice_core.comparison.folder import Folder
from fice_core.comparison.page import page, preferences
from fice_core.comparison.pairs import Pair
from fice_core.comparison.running import Run
from fice_core.comparison.scoring import Row
from fice_core.comparison.tables import as_csv, as_dict, markdown, means, mgd
from fice_core.errors import FiceError
from fice_core.images import write_image


def row(
    method: str,
    stitch: str,
    values: list[dict[str, float]],
    seconds: float | None = None,
    **more: object,
) -> Row:
    files = {k: Path("x") for k in range(len(values))}
    return Row(Run(method, seconds), stitch, files, dict(enumerate(values)), **more)


def test_psnr_is_that_of_the_mean_error() -> None:
    found = means(row("a", "none", [{"psnr": 20.0}, {"psnr": 40.0}]))["psnr"]
    assert found[0] == pytest.approx(-10 * math.log10((1e-2 + 1e-4) / 2))
    assert found[1] <= found[0] <= found[2]
    equal = row("a", "none", [{"psnr": math.inf}, {"psnr": math.inf}])
    assert means(equal)["psnr"] == (math.inf,) * 3
    assert "| ∞ |" in markdown([equal])


def test_a_table() -> None:
    rows = [
        row("styleclip", "none", [{"colour": 1.0, "lab": 2.0}, {"colour": 0.0, "lab": 2.0}]),
        row("ours", "mask", [{"colour": 1.0}] * 2, sets={"fid": 12.345}, failed={2: "why"}),
    ]
    lines = markdown(rows).splitlines()
    assert lines[0] == "| method | stitch | colour | drift, CIELAB | FID | edits |"
    assert lines[2] == "| styleclip | none | 50.0 ± 50.0 % | 2.00 | – | 2 |"
    assert lines[3] == "| ours | mask | 100.0 % | – | 12.35 | 2 (1 failed) |"


def test_columns_of_mgd() -> None:
    one = row("a", "none", [{"judge_crop": 0.25, "pose_distance": 3.0}], sets={"fid": 1, "kid": 2})
    assert mgd([one]).splitlines()[2] == "| a | none | 1.00 | 2.00 | 25.00 | 3.00 |"
    assert (
        mgd([row("a", "none", [{"judge_crop": -0.25}])]).splitlines()[2].split("|")[5] == " 0.00 "
    )


def test_a_table_of_every_edit() -> None:
    one = row("a", "none", [{"colour": 1.0}], failed={1: "it is, broken"})
    found = list(csv.DictReader(io.StringIO(as_csv([one], 2).decode())))
    assert [line["colour"] for line in found] == ["1.0", ""]
    assert found[1]["failed"] == "it is, broken"


def test_differences_are_of_the_same_edits() -> None:
    ours = row("ours", "mask", [{"lab": 1.0}, {"lab": 5.0}, {"lab": 9.0}])
    other = row("fice", "mask", [{"lab": 2.0}, {"lab": 6.0}])
    head = row("fice", "head", [{"lab": 2.0}])
    found = as_dict([other, head, ours])
    assert found[0]["minus ours"] == {"lab": [1.0, 1.0, 1.0]}
    assert "minus ours" not in found[1]  # ours has no such stitch
    assert "minus ours" not in found[2]
    json.dumps(found, allow_nan=False)


def test_differences_are_at_the_same_seconds() -> None:
    rows = [
        row("ours", "mask", [{"lab": 1.0}]),
        row("ours", "mask", [{"lab": 2.0}], 4.0),
        row("fice", "mask", [{"lab": 6.0}], 4.0),
        row("copy", "mask", [{"lab": 0.0}]),
    ]
    assert [e["minus ours"]["lab"][0] for e in as_dict(rows)[2:]] == [4.0, -1.0]
    assert as_dict(rows[1:])[2]["minus ours"]["lab"][0] == -2.0  # ours has seconds only
    assert "| fice in 4 s | mask |" in markdown(rows)


def test_numbers_that_are_not_finite_are_null() -> None:
    found = as_dict([row("a", "none", [{"psnr": math.inf}])])
    assert found[0]["mean"]["psnr"] == [None, None, None]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A page of two pairs and three rows."""
    folder = Folder(tmp_path)
    (tmp_path / "photos").mkdir()
    pairs = [Pair("a", 'a "red" shirt </script><b>x'), Pair("b", "a blue shirt", "a red one")]
    rows = []
    for number in range(2):
        write_image(folder.photo(number), torch.rand(3, 20, 20))
    for name in ("copy", "fice", "ours"):
        files = {}
        for number in range(2):
            files[number] = tmp_path / f"{name}-{number}.png"
            write_image(files[number], torch.rand(3, 20, 20))
        rows.append(Row(Run(name), "none", files))
    del rows[1].images[1]
    path = tmp_path / "page.html"
    path.write_bytes(page(folder, pairs, rows))
    return path


def test_the_page_is_self_contained(made: Path) -> None:
    text = made.read_text()
    assert "http" not in text
    assert text.count("</script>") == 2  # no text ends a script
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["pairs"][0]["text"] == 'a "red" shirt </script><b>x'
    assert [row["votes"] for row in data["rows"]] == [False, True, True]
    assert data["rows"][1]["images"][1] is None
    assert data["rows"][0]["images"][0].startswith("data:image/jpeg;base64,")


@pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("chromedriver") is None, reason="no chromium"
)
def test_a_person_pages_and_votes(made: Path, tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    options = webdriver.ChromeOptions()
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.get(made.as_uri())
        grid = browser.find_element(By.ID, "grid")
        assert len(grid.find_elements(By.TAG_NAME, "img")) == 4
        assert browser.find_element(By.ID, "text").text == 'a "red" shirt </script><b>x'
        browser.find_element(By.ID, "next").click()
        assert "worn: a red one" in browser.find_element(By.ID, "text").text
        assert grid.text.count("no edit") == 1
        browser.find_element(By.ID, "judge").click()
        browser.find_element(By.ID, "voter").send_keys("Ann")
        body = browser.find_element(By.TAG_NAME, "body")
        shown = browser.find_element(By.ID, "voting").text
        assert "ours" not in shown  # blind
        assert "fice" not in shown
        browser.find_element(By.ID, "left").click()
        body.send_keys(Keys.ARROW_RIGHT)
        browser.find_element(By.ID, "equal").click()
        assert browser.find_element(By.ID, "count").text == "3 votes"
        browser.find_element(By.ID, "save").click()
        saved = tmp_path / "votes.csv"
        for _ in range(100):
            if saved.exists():
                break
            time.sleep(0.1)
        votes = list(csv.DictReader(io.StringIO(saved.read_text())))
        assert [vote["choice"] for vote in votes] == ["a", "b", "equal"]
        for vote in votes:
            assert vote["voter"] == "Ann"
            assert vote["pair"] == "0"  # the other has one edit only
            assert {vote["a"], vote["b"]} == {"fice, not stitched", "ours, not stitched"}
        assert preferences(saved).count("| ours, not stitched |") >= 1
    finally:
        browser.quit()


def test_preferences_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    lines = ["voter,pair,text,question,a,b,choice,time"]
    lines += ["x,0,t,realism,ours,fice,a,0", "x,0,t,realism,fice,ours,b,0"]
    lines += ["x,1,t,realism,ours,fice,equal,0", "x,1,t,realism,fice,ours,a,0"]
    path.write_text("\n".join(lines))
    assert preferences(path).splitlines()[2:] == [
        "| realism | ours | 2 (50 %) | 1 | 1 |",
        "| realism | fice | 1 (25 %) | 2 | 1 |",
    ]
    path.write_text("voter,choice\nx,c\n")
    with pytest.raises(FiceError, match="votes"):
        preferences(path)
