"""Writes ComfyUI graphs in the UI's format; used by `build_workflows.py`."""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows import is_widget, ordered_inputs

_ROW, _TITLE, _GAP = 20, 30, 30  # pixels of the graph: a socket, a title, between nodes
_BORDER = 38  # above and below the rows of a node
_WIDGET, _TEXT, _TEXT_BOX = 28, 36, 68  # least heights, as the new renderer draws them
_IMAGE = 260  # that of an image that a node loads


_LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
_INPUT, _OUTPUT = -10, -20  # nodes that stand for the border of a subgraph
_HUB = "https://huggingface.co/Comfy-Org"
#: where models of others are found that templates name, as ComfyUI's own templates and pages say it
MODELS: dict[Any, dict[str, str]] = {
    "512-inpainting-ema.safetensors": {
        "url": f"{_HUB}/stable_diffusion_2.1_repackaged/resolve/main/512-inpainting-ema.safetensors",
        "directory": "checkpoints",
    },
    "RealESRGAN_x4plus.safetensors": {
        "url": f"{_HUB}/Real-ESRGAN_repackaged/resolve/main/RealESRGAN_x4plus.safetensors",
        "directory": "upscale_models",
    },
    "qwen_image_edit_2511_fp8mixed.safetensors": {
        "url": f"{_HUB}/Qwen-Image-Edit_ComfyUI/resolve/main/split_files/diffusion_models/"
        "qwen_image_edit_2511_fp8mixed.safetensors",
        "directory": "diffusion_models",
    },
    "qwen_2.5_vl_7b_fp8_scaled.safetensors": {
        "url": f"{_HUB}/Qwen-Image_ComfyUI/resolve/main/split_files/text_encoders/"
        "qwen_2.5_vl_7b_fp8_scaled.safetensors",
        "directory": "text_encoders",
    },
    "qwen_image_vae.safetensors": {
        "url": f"{_HUB}/Qwen-Image_ComfyUI/resolve/main/split_files/vae/qwen_image_vae.safetensors",
        "directory": "vae",
    },
}


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
        self._columns: list[Column] = []
        self._right = 0
        self._extra: dict[str, Any] = {}
        self._boundary_links: list[list[Any]] = []
        self._sockets: dict[str, dict[str, dict[str, Any]]] = {"in": {}, "out": {}}

    def column(self, width: int = 300, top: int = 0, gap: int = 60) -> "Column":
        """A new column of nodes, to the right of the last one."""
        self._right += gap if self._columns else 0
        column = Column(self, self._right, top, width)
        self._right += width
        self._columns.append(column)
        return column

    def add(
        self,
        kind: str,
        at: tuple[int, int],
        wide: int,
        tall: int = 0,
        title: str | None = None,
        muted: bool = False,
        **inputs: Any,
    ) -> Node:
        """Add a node of type `kind`; `inputs` are sockets of other nodes or values of widgets.

        It is as high as it must be, or `tall` if that is more.
        """
        schema = self._info[kind]
        names = schema["output_name"]
        data: dict[str, Any] = {
            "id": len(self._nodes) + 1,
            "type": kind,
            "pos": list(at),
            "size": [wide, 0],
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
        least = 0
        for name, of, options in ordered_inputs(schema):
            value = inputs.pop(name, None)
            if is_widget(of):
                if isinstance(value, Socket):
                    self._connect(data, name, of, value, widget=True)
                    value = None
                data["widgets_values"] += _widget_values(of, options, value)
                least += _widget_height(of, options)
                if value in MODELS:
                    data["properties"]["models"] = [{"name": value, **MODELS[value]}]
            else:
                self._connect(data, name, of, value)
        if inputs:
            raise ValueError(f"{kind} has no inputs {sorted(inputs)}")
        rows = max(len([i for i in data["inputs"] if "widget" not in i]), len(names))
        data["size"][1] = max(tall, _BORDER + rows * _ROW + least)
        self._nodes.append(data)
        return Node(data)

    def note(self, at: tuple[int, int], size: tuple[int, int], title: str, text: str) -> None:
        """Add a note to read before the run."""
        self._nodes.append(
            {
                "id": len(self._nodes) + 1,
                "type": "MarkdownNote",
                "title": title,
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

    def group(self, title: str, *columns: "Column", color: str = "#3f789e") -> None:
        """Add a frame around columns that are complete."""
        left = min(column.left for column in columns) - 20
        right = max(column.left + column.width for column in columns) + 20
        top = min(column.top for column in columns) - _TITLE - 50
        bottom = max(column.bottom for column in columns) - _TITLE - _GAP + 20
        self._groups.append(
            {
                "id": len(self._groups) + 1,
                "title": title,
                "bounding": [left, top, right - left, bottom - top],
                "color": color,
                "font_size": 24,
                "flags": {},
            }
        )

    def app(self, inputs: list[tuple[Node, str]], outputs: list[Node]) -> None:
        """Open in the app view: only these widgets are shown, and what these nodes show."""
        self._extra["linearMode"] = True
        self._extra["linearData"] = {
            "inputs": [[str(node.data["id"]), widget] for node, widget in inputs],
            "outputs": [str(node.data["id"]) for node in outputs],
        }

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
            "extra": self._extra,
            "version": 0.4,
        }

    def as_blueprint(self, description: str, aliases: list[str]) -> dict[str, Any]:
        """The graph as one node: a workflow with a subgraph, as ComfyUI offers it among the nodes.

        The sockets of the node are those that `expose` named.
        """
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"comfyui-fice/subgraphs/{self._name}"))
        links = [
            dict(zip(_LINK, link, strict=True)) for link in [*self._links, *self._boundary_links]
        ]
        widgets = [name for name, socket in self._sockets["in"].items() if "widget" in socket]
        values = [self._sockets["in"][name].pop("value") for name in widgets]
        right = max(node["pos"][0] + node["size"][0] for node in self._nodes)
        subgraph = {
            "id": identity,
            "version": 1,
            "state": {
                "lastGroupId": 0,
                "lastNodeId": len(self._nodes),
                "lastLinkId": len(links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": self._name,
            "category": "FICE",
            "description": description,
            "inputNode": {"id": _INPUT, "bounding": [-240, 0, 120, 200]},
            "outputNode": {"id": _OUTPUT, "bounding": [right + 120, 0, 120, 200]},
            "inputs": self._boundary("in"),
            "outputs": self._boundary("out"),
            "widgets": [],
            "nodes": self._nodes,
            "groups": [],
            "links": links,
            "extra": {},
        }
        outer = {
            "id": 1,
            "type": identity,
            "pos": [0, 0],
            "size": [400, _BORDER + 300],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [
                {"name": name, "type": s["type"], "link": None}
                | ({"widget": {"name": name}} if name in widgets else {})
                for name, s in self._sockets["in"].items()
            ],
            "outputs": [
                {"name": name, "type": s["type"], "links": None}
                for name, s in self._sockets["out"].items()
            ],
            "properties": {"proxyWidgets": [["-1", name] for name in widgets]},
            "widgets_values": values,
        }
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"comfyui-fice/blueprints/{self._name}")),
            "revision": 0,
            "last_node_id": 1,
            "last_link_id": 0,
            "nodes": [outer],
            "links": [],
            "groups": [],
            "definitions": {"subgraphs": [subgraph]},
            "config": {},
            "extra": {"BlueprintDescription": description, "BlueprintSearchAliases": aliases},
            "version": 0.4,
        }

    def expose_input(self, name: str, *targets: tuple[Node, str]) -> None:
        """Make inputs of nodes an input of the blueprint; the first one tells type and value."""
        place = len(self._sockets["in"])
        socket = self._sockets["in"][name] = {"links": []}
        for node, of_node in targets:
            slots = node.data["inputs"]
            found = next((k for k, slot in enumerate(slots) if slot["name"] == of_node), None)
            if found is None:
                self._expose_widget(node, of_node, socket)
                found = len(slots) - 1
            socket.setdefault("type", slots[found]["type"])
            slots[found]["link"] = self._cross(_INPUT, place, node.data["id"], found, socket)

    def expose_output(self, name: str, source: Socket) -> None:
        """Make an output of a node an output of the blueprint."""
        output = source.node["outputs"][source.slot]
        place = len(self._sockets["out"])
        socket = self._sockets["out"][name] = {"links": [], "type": output["type"]}
        output["links"].append(self._cross(source.node["id"], source.slot, _OUTPUT, place, socket))

    def _expose_widget(self, node: Node, name: str, socket: dict[str, Any]) -> None:
        """Give the widget of a node an input socket; the blueprint's socket gets its value."""
        place = 0
        for each, of, options in ordered_inputs(self._info[node.data["type"]]):
            if each == name:
                slot = {"name": name, "type": of, "widget": {"name": name}, "link": None}
                node.data["inputs"].append(slot)
                socket["widget"], socket["value"] = name, node.data["widgets_values"][place]
                return
            if is_widget(of):
                place += 2 if options.get("control_after_generate") else 1
        raise ValueError(f"{node.data['type']} has no input {name}")

    def _cross(
        self, source: int, slot: int, target: int, place: int, socket: dict[str, Any]
    ) -> int:
        """Add a link from or to the border of the blueprint; returns its number."""
        number = len(self._links) + len(self._boundary_links) + 1
        self._boundary_links.append([number, source, slot, target, place, socket["type"]])
        socket["links"].append(number)
        return number

    def _boundary(self, side: str) -> list[dict[str, Any]]:
        """The sockets on a side of the blueprint, as a subgraph lists them."""
        return [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._name}/{side}/{name}")),
                "name": name,
                "type": socket["type"],
                "linkIds": socket["links"],
            }
            for name, socket in self._sockets[side].items()
        ]

    def write(self, folder: Path) -> None:
        write_json(folder / f"{self._name}.json", self.as_dict())

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


class Column:
    """Nodes of one width below each other; none covers the next.

    Attributes:
        left, top, width: of the column.
        bottom: where the next node begins, its title not counted.
    """

    def __init__(self, graph: Graph, left: int, top: int, width: int) -> None:
        self._graph = graph
        self.left, self.top, self.width, self.bottom = left, top, width, top

    def add(self, kind: str, **details: Any) -> Node:
        """Add a node as `Graph.add` does."""
        node = self._graph.add(kind, (self.left, self.bottom), self.width, **details)
        self.bottom += node.data["size"][1] + _TITLE + _GAP
        return node

    def note(self, height: int, title: str, text: str) -> None:
        """Add a note."""
        self._graph.note((self.left, self.bottom), (self.width, height), title, text)
        self.bottom += height + _TITLE + _GAP


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a workflow."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _widget_height(of: str, options: dict[str, Any]) -> int:
    if options.get("image_upload"):
        return _WIDGET + _IMAGE
    if of == "STRING":
        return _TEXT_BOX if options.get("multiline") else _TEXT
    return _WIDGET


def _widget_values(of: str, options: dict[str, Any], value: Any) -> list[Any]:
    """What the frontend stores for a widget: its value, and for a seed also what follows a run."""
    if value is None:
        value = options.get("default")
    if value is None and of == "COMBO":
        value = (options.get("options") or [""])[0]
    if value is None:
        value = "" if of == "STRING" else "auto"
    return [value, "fixed"] if options.get("control_after_generate") else [value]
