"""Graphs in the UI's format to prompts in API format, as the frontend does it."""

from typing import Any

NOTES = ("Note", "MarkdownNote")
_NEVER, _BYPASS = 2, 4  # modes of a node
_WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def ordered_inputs(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, type, options) of a node's inputs in the order of the frontend, from /object_info."""
    found = []
    for part in ("required", "optional"):
        for name, spec in schema["input"].get(part, {}).items():
            of, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
            if not isinstance(of, str):  # how older nodes list the choices of a combo
                of, options["options"] = "COMBO", of
            found.append((name, of, options))
    return found


def is_widget(of: str) -> bool:
    """Whether the frontend draws an input of this type as a widget."""
    return of in _WIDGETS or of.startswith("COMFY_DYNAMICCOMBO")


def widget_count(schema: dict[str, Any]) -> int:
    """How many values a saved node of this type has; a seed has a second one."""
    return sum(
        2 if options.get("control_after_generate") else 1
        for _, of, options in ordered_inputs(schema)
        if is_widget(of)
    )


def to_api(workflow: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The API prompt: widgets by name, links by node and slot, without notes, muted nodes and their links."""
    links = {link[0]: link for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES or node["mode"] in (_NEVER, _BYPASS):
            continue
        linked = {slot["name"]: slot["link"] for slot in node["inputs"] if slot["link"] is not None}
        values, inputs = list(node["widgets_values"]), {}
        for name, of, options in ordered_inputs(info[node["type"]]):
            if is_widget(of):
                inputs[name] = values.pop(0)
                if options.get("control_after_generate"):
                    values.pop(0)
            if name in linked:
                link = links[linked[name]]
                inputs[name] = [str(link[1]), link[2]]
        # of ComfyUI's own nodes an older release may lack the last widgets
        assert not values or not node["type"].startswith("FICE"), f"{node['type']}: {values} left"
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    for node in prompt.values():
        node["inputs"] = {
            name: value
            for name, value in node["inputs"].items()
            if not isinstance(value, list) or value[0] in prompt
        }
    return prompt
