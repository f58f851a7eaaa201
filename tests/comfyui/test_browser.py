"""What a user sees: ComfyUI's page in a real browser."""

import time

import pytest
from browser import Browser, find_chromium
from selenium.webdriver.common.by import By


@pytest.fixture(scope="module")
def browser(server):
    if find_chromium() is None:
        pytest.skip("no Chromium with chromedriver")
    opened = Browser(server.address, (1600, 1400))  # all templates are drawn only where they show
    yield opened
    opened.close()


def test_the_template_browser_shows_ours_with_thumbnails(browser):
    browser.open()
    if not browser.driver.find_elements(By.CSS_SELECTOR, "[role=dialog] nav"):
        browser.button("Templates").click()  # a new user sees them at once
        time.sleep(3)
    browser.script(
        "[...document.querySelectorAll('[role=dialog] *')].filter(e => e.children.length === 0"
        " && e.textContent.trim() === 'comfyui-fice').pop().click()"
    )
    found = []
    for _ in range(40):
        found = browser.script(
            "return [...document.querySelectorAll('[role=dialog] img')]"
            ".filter(i => i.alt.includes('fice_')).map(i => [i.alt, i.naturalWidth])"
        )
        if len(found) >= 11 and all(width for _, width in found):
            break
        time.sleep(0.5)
    assert len({name for name, _ in found}) == 11, found
    assert all(width >= 256 for _, width in found), found


def test_the_quick_edit_runs_with_previews(browser):
    browser.open("fice_quick_edit")
    assert browser.missing_nodes() == []
    seen = set()

    def watch():
        source = browser.script(
            "const n = window.app.graph._nodes.find(n => n.type === 'FICE_Edit');"
            "return (n.imgs && n.imgs[0] && n.imgs[0].src) || ''"
        )
        if source:
            seen.add(source)

    browser.script(
        "const n = window.app.graph._nodes.find(n => n.type === 'FICE_Edit');"
        "n.widgets.find(w => w.name === 'steps').value = 30;"
    )
    browser.run_to_the_end(watch=watch)
    assert len(seen) >= 2, "the image on the node did not change"
    finished = browser.script(
        "const n = window.app.graph._nodes.find(n => n.type === 'SaveImage');"
        "return n.imgs && n.imgs[0].naturalWidth"
    )
    assert finished == 128
    assert browser.errors() == []
