"""What a user sees: ComfyUI's page in a real browser."""

import itertools
import json
import time

import pytest
from browser import Browser, find_chromium
from selenium.webdriver.common.by import By
from server import PACK
from test_templates import NEED_A_MODEL

TEMPLATES = sorted(path.stem for path in (PACK / "workflows").glob("*.json"))


@pytest.fixture(scope="module")
def browser(server):
    if find_chromium() is None:
        pytest.skip("no Chromium with chromedriver")
    opened = Browser(server.address)
    yield opened
    opened.close()


def test_the_template_browser_shows_ours_with_thumbnails(browser):
    browser.open()
    if not browser.driver.find_elements(By.CSS_SELECTOR, "[role=dialog] nav"):
        browser.button("Templates").click()  # a new user sees them at once
    browser.wait_for(
        "return [...document.querySelectorAll('[role=dialog] *')]"
        ".some(e => e.children.length === 0 && e.textContent.trim() === 'comfyui-fice')"
    )
    browser.script(
        "[...document.querySelectorAll('[role=dialog] *')].filter(e => e.children.length === 0"
        " && e.textContent.trim() === 'comfyui-fice').pop().click()"
    )
    found = {}
    for k in range(60):  # cards are drawn where they show: down to the last, and up again
        found |= browser.script(
            "const shown = [...document.querySelectorAll('[role=dialog] img')]"
            ".filter(i => arguments[0].includes(i.alt) && i.naturalWidth);"
            "if (shown.length) arguments[1] ? shown[shown.length - 1].scrollIntoView()"
            ": shown[0].scrollIntoView({block: 'end'});"
            "return Object.fromEntries(shown.map(i => [i.alt, i.naturalWidth]))",
            TEMPLATES,
            k < 30,
        )
        if len(found) >= len(TEMPLATES):
            break
        time.sleep(0.5)
    assert len(found) == len(TEMPLATES), found
    assert all(width >= 256 for width in found.values()), found


def test_the_quick_edit_runs_with_previews(browser):
    browser.open("07 Try it on a drawn figure")
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
    browser.wait_for(
        "const n = window.app.graph._nodes.find(n => n.type === 'SaveImage');"
        "return n.imgs && n.imgs[0].naturalWidth === 128"
    )
    assert browser.errors() == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_node_covers_another(browser, name):
    """In both renderers, before a run and, where no model of the user is needed, after it."""
    if browser.script("return !window.app || !window.app.graph._nodes.length"):
        browser.open(TEMPLATES[0])
    for renderer in ("classic", "new"):
        browser.use_renderer(renderer)
        browser.load(name)
        assert browser.missing_nodes() == []
        assert _overlaps(browser.boxes()) == [], renderer
        assert _half_in_a_group(browser) == [], renderer
    if name not in NEED_A_MODEL:
        browser.use_renderer("classic")
        browser.load(name)
        browser.script(
            "const quick = {steps: 2, preset: 'draft', start_candidates: 4};"
            "for (const n of window.app.graph._nodes) for (const w of n.widgets || [])"
            "  if (w.name in quick && n.type.startsWith('FICE')) w.value = quick[w.name];"
            "window.app.canvas.pause_rendering = true;"
        )
        browser.run_to_the_end()
        browser.script(
            "window.app.canvas.pause_rendering = false; window.app.canvas.draw(true, true);"
        )
        for renderer in ("classic", "new"):
            browser.use_renderer(renderer)
            time.sleep(1)
            assert _overlaps(browser.boxes()) == [], f"{renderer}, after a run"
    assert browser.errors() == []


def test_overlaps_would_be_found(browser):
    browser.open(TEMPLATES[0])
    browser.use_renderer("classic")
    browser.script("const [a, b] = window.app.graph._nodes; b.pos = [a.pos[0] + 9, a.pos[1] + 9];")
    assert len(_overlaps(browser.boxes())) == 1


def test_the_app_view_shows_the_photo_the_sentence_and_the_result(browser):
    browser.open(TEMPLATES[0])
    browser.load("02 Edit your photo.app", app=True)
    shown = browser.script("return document.body.innerText")
    for text in ("prompt", "garment", "seed"):
        assert text in shown.lower(), shown
    browser.load(TEMPLATES[0])


@pytest.mark.parametrize(
    "path", sorted((PACK / "subgraphs").glob("*.json")), ids=lambda path: path.stem
)
def test_a_blueprint_is_one_node_with_its_sockets_and_widgets(browser, path):
    browser.open(TEMPLATES[0])
    blueprint = json.loads(path.read_text())
    browser.script(
        "window.loaded = null;"
        "window.app.loadGraphData(arguments[0], true, true, 'blueprint')"
        ".then(() => { window.loaded = 'blueprint'; });",
        blueprint,
    )
    browser.wait_for("return window.loaded === 'blueprint'")
    inputs, outputs, widgets, inner = browser.script(
        """
        const [n] = window.app.graph._nodes;
        return [n.inputs.map(s => s.name), n.outputs.map(s => s.name), n.widgets.map(w => w.name),
            n.subgraph._nodes.map(m => m.type)];
        """
    )
    (outer,) = blueprint["nodes"]
    assert inputs == [socket["name"] for socket in outer["inputs"]]
    assert outputs == [socket["name"] for socket in outer["outputs"]]
    assert set(widgets) >= {socket["name"] for socket in outer["inputs"] if "widget" in socket}
    assert all(kind.startswith("FICE_") for kind in inner)
    assert browser.errors() == []


def test_sockets_have_colours_and_errors_are_in_a_toast(browser):
    browser.open("07 Try it on a drawn figure")
    colours = browser.script(
        "return Object.entries(window.app.canvas.default_connection_color_byType)"
        ".filter(([type]) => type.startsWith('FICE_'))"
    )
    assert len(colours) == 14 and all(colour for _, colour in colours)
    assert len({colour for _, colour in colours}) == 14
    browser.script(
        "const n = window.app.graph._nodes.find(n => n.type === 'FICE_Edit');"
        "n.widgets.find(w => w.name === 'prompt').value = '';"
    )
    browser.run_to_the_end()
    toasts = browser.script(
        "return [...document.querySelectorAll('.p-toast-message')].map(e => e.innerText)"
    )
    assert any("the prompt is empty" in text for text in toasts), toasts


def _overlaps(boxes):
    """Names of nodes that cover each other."""
    found = []
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if across > 0 and down > 0:
            found.append((one, other))
    return found


def _half_in_a_group(browser):
    """Nodes that stick out of a group."""
    groups = browser.script("return window.app.graph._groups.map(g => [...g.pos, ...g.size])")
    found = []
    for name, (left, top, right, bottom) in browser.boxes().items():
        for x, y, width, height in groups:
            across = min(right, x + width) - max(left, x)
            down = min(bottom, y + height) - max(top, y)
            whole = x <= left and right <= x + width and y <= top and bottom <= y + height
            if across > 0 and down > 0 and not whole:
                found.append(name)
    return found
