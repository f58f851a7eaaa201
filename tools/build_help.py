"""Writes the generated part of the help pages: an image of each node, and tables of inputs and outputs.

    python tools/build_help.py            # needs a ComfyUI and Chromium

The text above the image is written by hand and is kept.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "comfyui"))

from browser import Browser  # noqa: E402
from server import Server, find_comfyui  # noqa: E402

from workflows import is_widget, ordered_inputs  # noqa: E402

PAGES = ROOT / "web" / "docs"
BEGIN = "<!-- below: tools/build_help.py -->"
IMAGES = ROOT / "docs" / "images"
#: templates whose graphs the README shows: name of the image
SHOWN = {"07 Try it on a drawn figure": "quick_edit", "11 Every stage by hand": "every_stage"}
MOST_CHOICES = 8  # of a combo that a table lists


def range_of(of: str, options: dict[str, Any]) -> str:
    """Default and range of a widget, in words."""
    if of in ("INT", "FLOAT"):
        most = options.get("max")
        upper = " or more" if most is None or most > 2**53 else f" to {most}"
        return f"{options['default']} ({options.get('min')}{upper})"
    if of == "COMBO":
        choices = [str(option) for option in options.get("options", [])]
        default = str(options.get("default", choices[0] if choices else "none"))
        if len(choices) > MOST_CHOICES:
            choices[MOST_CHOICES:] = [f"{len(choices) - MOST_CHOICES} more"]
        return default if choices in ([], [default]) else f"{default} ({', '.join(choices)})"
    if of == "BOOLEAN":
        return "on" if options.get("default") else "off"
    return str(options.get("default", "")) or "empty"


def tables(schema: dict[str, Any]) -> str:
    """Tables of a node's inputs, widgets and outputs, in Markdown."""
    optional = schema["input"].get("optional", {})
    lines = ["## Inputs", "", "| name | type | default (range) | |", "|---|---|---|---|"]
    for name, of, options in ordered_inputs(schema):
        value = range_of(of, options) if is_widget(of) else "optional" if name in optional else ""
        lines.append(
            f"| {name} | {of} | {value.replace('|', chr(92) + '|')} | {cell(options['tooltip'])} |"
        )
    if len(lines) == 4:
        lines = []
    lines += ["", "## Outputs", "", "| name | type | |", "|---|---|---|"]
    for name, of, tooltip in zip(
        schema["output_name"], schema["output"], schema["output_tooltips"], strict=True
    ):
        lines.append(f"| {name} | {of} | {cell(tooltip)} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text escaped for a table."""
    return text.replace("|", "\\|")


def write_page(name: str, schema: dict[str, Any]) -> None:
    """Write a help page: the part written by hand, then image and tables."""
    path = PAGES / f"{name}.md"
    prose = path.read_text(encoding="utf-8").split(BEGIN)[0].rstrip()
    picture = f"![The node {schema['display_name']}]({name}.png)"
    path.write_text(f"{prose}\n\n{BEGIN}\n\n{picture}\n\n{tables(schema)}\n", encoding="utf-8")


def photograph(browser: Browser, name: str) -> Image.Image:
    """Image of one node by itself."""
    size = browser.script(
        """
        const g = window.app.graph;
        const last = g.last_node_id;
        g.clear();
        g.last_node_id = last;  // the page stores widgets by node number and name
        const node = LiteGraph.createNode(arguments[0]);
        node.pos = [100, 100];
        g.add(node);
        const least = node.computeSize();
        node.setSize([Math.max(least[0], 300), least[1]]);
        return [...node.size];
        """,
        name,
    )
    return browser.show((100, 70, size[0], size[1] + 30), margin=12)


def small(picture: Image.Image, width: int) -> Image.Image:
    """The image with few colours and at most `width` pixels across, to keep the pack small."""
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return picture.quantize(128, dither=Image.Dither.NONE)


def main() -> None:
    """Write all pages, and the images of graphs in the README."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise SystemExit("no ComfyUI: set COMFYUI_PATH")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder))
        browser = None
        try:
            info = server.wait().get("/object_info")
            browser = Browser(server.address, (2400, 1500))
            for template, image in SHOWN.items():
                browser.open(template)
                browser.run_to_the_end()
                browser.wait_for_images()
                graph = browser.show(browser.graph_bounds())
                small(graph, 1600).save(IMAGES / f"{image}.png", optimize=True)
            browser.close()
            browser = Browser(server.address)
            browser.open(next(iter(SHOWN)))
            for name in sorted(n for n in info if n.startswith("FICE_")):
                small(photograph(browser, name), 520).save(PAGES / f"{name}.png", optimize=True)
                write_page(name, info[name])
                print(name)
        finally:
            if browser:
                browser.close()
            server.stop()


if __name__ == "__main__":
    main()
