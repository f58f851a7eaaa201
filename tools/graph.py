"""Writes ComfyUI graphs in the UI's format; used by `build_workflows.py`."""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows import is_widget, ordered_inputs

_ROW, _TITLE, _TEXT_BOX = 26, 34, 92  # pixels, as the frontend draws them


@dataclass(frozen=True)
class Socket:
    """One output of one node."""

    node: dict[str, Any]
    slot: int


class Node:
    """A node of the graph; `node["image"]` is its output of that name."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __getitem__(self, name: str) -> Socket:
        names = [output["name"] for output in self.data["outputs"]]
        return Socket(self.data, names.index(name))


class Graph:
    """A workflow that is being written.

    Args:
        info: the server's /object_info: sockets, widgets and defaults of all nodes.
    """

    def __init__(self, info: dict[str, Any], name: str) -> None:
        self._info = info
        self._name = name
        self._nodes: list[dict[str, Any]] = []
        self._links: list[list[Any]] = []
        self._groups: list[dict[str, Any]] = []

    def add(
        self,
        kind: str,
        at: tuple[int, int],
        width: int = 280,
        height: int | None = None,
        title: str | None = None,
        muted: bool = False,
        **inputs: Any,
    ) -> Node:
        """Add a node of type `kind`; `inputs` are sockets of other nodes or values of widgets."""
        schema = self._info[kind]
        names = schema["output_name"]
        data: dict[str, Any] = {
            "id": len(self._nodes) + 1,
            "type": kind,
            "pos": list(at),
            "size": [width, 0],
            "flags": {},
            "order": len(self._nodes),
            "mode": 2 if muted else 0,
            "inputs": [],
            "outputs": [
                {"name": name, "type": of, "links": []}
                for name, of in zip(names, schema["output"], strict=True)
            ],
            "properties": {"Node name for S&R": kind},
            "widgets_values": [],
        }
        if title:
            data["title"] = title
        tall = 0
        for name, of, options in ordered_inputs(schema):
            value = inputs.pop(name, None)
            if is_widget(of):
                if isinstance(value, Socket):
                    self._connect(data, name, of, value, widget=True)
                    value = None
                data["widgets_values"] += _widget_values(of, options, value)
                tall += _TEXT_BOX if options.get("multiline") else _ROW
            else:
                self._connect(data, name, of, value)
        if inputs:
            raise ValueError(f"{kind} has no inputs {sorted(inputs)}")
        rows = max(len([i for i in data["inputs"] if "widget" not in i]), len(names))
        data["size"][1] = height or _TITLE + rows * _ROW + tall
        self._nodes.append(data)
        return Node(data)

    def note(self, at: tuple[int, int], size: tuple[int, int], text: str) -> None:
        """Add a note to read before the run."""
        self._nodes.append(
            {
                "id": len(self._nodes) + 1,
                "type": "MarkdownNote",
                "pos": list(at),
                "size": list(size),
                "flags": {},
                "order": len(self._nodes),
                "mode": 0,
                "inputs": [],
                "outputs": [],
                "properties": {},
                "widgets_values": [text],
                "color": "#432",
                "bgcolor": "#653",
            }
        )

    def group(self, title: str, bounds: tuple[int, int, int, int], color: str = "#3f789e") -> None:
        """Add a frame around nodes; `bounds` are left, top, width, height."""
        self._groups.append(
            {
                "id": len(self._groups) + 1,
                "title": title,
                "bounding": list(bounds),
                "color": color,
                "font_size": 24,
                "flags": {},
            }
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"comfyui-fice/{self._name}")),
            "revision": 0,
            "last_node_id": len(self._nodes),
            "last_link_id": len(self._links),
            "nodes": self._nodes,
            "links": self._links,
            "groups": self._groups,
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def write(self, folder: Path) -> None:
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False)
        (folder / f"{self._name}.json").write_text(text + "\n", encoding="utf-8")

    def _connect(
        self, data: dict[str, Any], name: str, of: str, source: Any, widget: bool = False
    ) -> None:
        slot: dict[str, Any] = {"name": name, "type": of, "link": None}
        if widget:
            slot["widget"] = {"name": name}
        data["inputs"].append(slot)
        if source is None:
            return
        output = source.node["outputs"][source.slot]
        slot["link"] = len(self._links) + 1
        output["links"].append(slot["link"])
        place = len(data["inputs"]) - 1
        self._links.append(
            [slot["link"], source.node["id"], source.slot, data["id"], place, output["type"]]
        )


def _widget_values(of: str, options: dict[str, Any], value: Any) -> list[Any]:
    """What the frontend stores for a widget: its value, and for a seed also what follows a run."""
    if value is None:
        value = options.get("default")
    if value is None and of == "COMBO":
        value = (options.get("options") or [""])[0]
    if value is None:
        value = "" if of == "STRING" else "auto"
    return [value, "fixed"] if options.get("control_after_generate") else [value]
