"""A headless Chromium on ComfyUI's page."""

import io
import json
import shutil
import time
from collections.abc import Callable
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

#: whether every image that the run made is on its node
_SHOWN = """
return Object.entries(window.app.nodeOutputs || {}).every(([id, output]) => {
    const node = window.app.graph.getNodeById(id);
    if (!node || !(output.images || []).some(image => image.filename)) return true;
    if (document.querySelector(`[data-node-id="${id}"]`)) return true;
    return !!node.imgs && node.imgs.every(image => image.complete);
});
"""
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def find_chromium() -> tuple[str, str] | None:
    """Paths of the browser and its driver; None without them."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    """ComfyUI's page in a window, 1600 x 1000 unless told."""

    def __init__(self, address: str, size: tuple[int, int] = (1600, 1000)) -> None:
        found = find_chromium()
        assert found is not None
        options = webdriver.ChromeOptions()
        options.binary_location = found[0]
        for flag in (*FLAGS, "--disable-dev-shm-usage", f"--window-size={size[0]},{size[1]}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(found[1]))
        self._address = address
        self._messages: list[str] = []
        self._known = False

    def close(self) -> None:
        self.driver.quit()

    def open(self, template: str | None = None) -> None:
        """Open the page, with one of our templates if given."""
        self._open_page()
        if template:
            if not self._known:  # a new user sees the template browser, which covers the graph
                self._set("Comfy.TutorialCompleted", True)
                self._known = True
                self._open_page()
            self.load(template)

    def _open_page(self) -> None:
        self.driver.get(f"http://{self._address}/")
        self.wait_for("return !!(window.app && window.app.graph && window.app.graph._nodes)")
        time.sleep(2)  # the page arranges itself

    def _set(self, setting: str, value: Any) -> None:
        self.script(
            "return window.app.extensionManager.setting.set(arguments[0], arguments[1])",
            setting,
            value,
        )

    def use_renderer(self, name: str) -> None:
        """Draw nodes on the canvas ("classic"), or as elements of the page ("new")."""
        self._set("Comfy.VueNodes.Enabled", name == "new")
        time.sleep(1)

    def load(self, name: str, app: bool = False) -> None:
        """Open one of our templates on the page that is open, as the template browser does.

        Args:
            name: of the template.
            app: whether a template for the app view is shown there; else all are shown as graphs.
        """
        self.script(
            """
            const [name, app] = arguments;
            const address = `/api/workflow_templates/comfyui-fice/${encodeURIComponent(name)}.json`;
            window.loaded = null;
            fetch(address).then(answer => answer.json())
                .then(graph => {
                    if (!app) graph.extra.linearMode = false;
                    return window.app.loadGraphData(graph, true, true, name);
                })
                .then(() => { window.loaded = name; });
            """,
            name,
            app,
        )
        self.wait_for(f"return window.loaded === {json.dumps(name)}")
        time.sleep(2)  # the page arranges itself

    def boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Left, top, right and bottom of every node with its title, as it is drawn now."""
        found = self.script(
            """
            const {scale, offset} = window.app.canvas.ds;
            const canvas = document.querySelector('#graph-canvas').getBoundingClientRect();
            return window.app.graph._nodes.map(n => {
                const name = `${n.title} (${n.id})`;
                const drawn = document.querySelector(`[data-node-id="${n.id}"]`);
                if (!drawn) {
                    const least = n.computeSize();
                    const [width, height] = [0, 1].map(k => Math.max(n.size[k], least[k]));
                    return [name, n.pos[0], n.pos[1] - 30, n.pos[0] + width, n.pos[1] + height];
                }
                const box = drawn.getBoundingClientRect();
                const x = side => (side - canvas.left) / scale - offset[0];
                const y = side => (side - canvas.top) / scale - offset[1];
                return [name, x(box.left), y(box.top), x(box.right), y(box.bottom)];
            });
            """
        )
        return {name: (left, top, right, bottom) for name, left, top, right, bottom in found}

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def wait_for(self, code: str, seconds: float = 90) -> None:
        """Wait until a script returns something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.script(code):
                    return
            except Exception:
                if time.monotonic() > end - 1:
                    raise
            time.sleep(0.2)
        raise TimeoutError(code)

    def button(self, label: str) -> Any:
        """The visible button with this label or text."""
        for found in self.driver.find_elements(By.CSS_SELECTOR, "button"):
            if (
                label in (found.get_attribute("aria-label"), found.text.strip())
                and found.is_displayed()
            ):
                return found
        raise LookupError(label)

    def errors(self) -> list[str]:
        """Errors in the console so far that name this pack."""
        self._messages += [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
        return [text for text in self._messages if "fice" in text.lower()]

    def missing_nodes(self) -> list[str]:
        """Types of nodes in the graph that the page does not know."""
        return list(
            self.script(
                "return window.app.graph._nodes.filter(n => !LiteGraph.registered_node_types[n.type])"
                ".map(n => n.type)"
            )
        )

    def screenshot(self) -> Image.Image:
        """Image of the window."""
        return Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")

    def wait_for_images(self) -> None:
        """Wait until the images of a run are on their nodes, in the classic renderer."""
        self.wait_for(_SHOWN, 30)

    def show(self, bounds: tuple[float, float, float, float], margin: int = 20) -> Image.Image:
        """Image of a part of the graph (left, top, width, height), as large as the window allows.

        The panels of the page are hidden for it.
        """
        left, top, width, height = bounds
        self.script(
            """
            for (const e of document.querySelectorAll('body *')) {
                const canvas = document.querySelector('#graph-canvas');
                const keep = e.contains(canvas) || e === canvas || e.closest('.dom-widget');
                if (!keep && !e.querySelector('.dom-widget')) e.style.visibility = 'hidden';
            }
            const box = document.querySelector('#graph-canvas').getBoundingClientRect();
            const scale = Math.min((box.width - 40) / arguments[2], (box.height - 40) / arguments[3], 1.5);
            const ds = window.app.canvas.ds;
            window.app.canvas.min_font_size_for_lod = 0;  // text stays, however small
            ds.scale = scale;
            ds.offset[0] = 20 / scale - arguments[0];
            ds.offset[1] = 20 / scale - arguments[1];
            window.app.canvas.setDirty(true, true);
            """,
            left,
            top,
            width,
            height,
        )
        time.sleep(1)
        x, y, scale, ratio = self.script(
            "const b = document.querySelector('#graph-canvas').getBoundingClientRect();"
            "return [b.left, b.top, window.app.canvas.ds.scale, window.devicePixelRatio]"
        )
        shot = self.screenshot()
        crop = (
            x + 20 - margin,
            y + 20 - margin,
            x + 20 + width * scale + margin,
            y + 20 + height * scale + margin,
        )
        limits = (0, 0, shot.width, shot.height)
        edges = [round(edge * ratio) for edge in crop]
        return shot.crop(
            (
                max(edges[0], limits[0]),
                max(edges[1], limits[1]),
                min(edges[2], limits[2]),
                min(edges[3], limits[3]),
            )
        )

    def graph_bounds(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of all nodes and groups."""
        left, top, right, bottom = self.script(
            """
            const g = window.app.graph, boxes = [];
            const add = (n, title) => boxes.push(
                [n.pos[0], n.pos[1] - title, n.pos[0] + n.size[0], n.pos[1] + n.size[1]]);
            g._nodes.forEach(n => add(n, 30));
            g._groups.forEach(n => add(n, 0));
            return [0, 1].map(k => Math.min(...boxes.map(b => b[k])))
                .concat([2, 3].map(k => Math.max(...boxes.map(b => b[k]))));
            """
        )
        return left, top, right - left, bottom - top

    def run_to_the_end(
        self, seconds: float = 600, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Press Run and wait until the queue is empty; `watch` is called meanwhile."""
        self.script(
            "window.finished = 0;"
            "for (const e of ['execution_success', 'execution_error'])"
            "  window.app.api.addEventListener(e, () => { window.finished += 1; });"
        )
        self.button("Run").click()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.script("return window.finished"):
                time.sleep(2)
                return
            watch()
            time.sleep(0.2)
        raise TimeoutError("the run did not end")
