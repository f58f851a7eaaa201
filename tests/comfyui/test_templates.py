"""The templates: known nodes, right widgets, thumbnails. Those that need no extra model are run."""

import json

import pytest
from PIL import Image
from server import PACK

from workflows import NOTES, ordered_inputs, to_api, widget_count

TEMPLATES = sorted((PACK / "workflows").glob("*.json"))
NEED_A_MODEL = {
    "04 Garment mask for inpainting": "models/checkpoints",
    "05 Frame, edit by Qwen, restore": "Qwen Image Edit 2511",
    "12 Edit, then upscale": "models/upscale_models",
    "13 Edit, then refine by diffusion": "models/checkpoints",
}
BLUEPRINTS = sorted((PACK / "subgraphs").glob("*.json"))


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_comfyui_offers_all_of_them(server):
    offered = server.get("/workflow_templates")["comfyui-fice"]
    assert sorted(offered) == [path.stem for path in TEMPLATES]
    assert len(offered) == 15


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_template_is_sound(server, info, path):
    workflow = _read(path)
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        schema, values = info[node["type"]], len(node["widgets_values"])
        if node["type"].startswith("FICE"):
            assert values == widget_count(schema), node["type"]
            assert [o["name"] for o in node["outputs"]] == schema["output_name"], node["type"]
        else:  # ComfyUI's own, which older releases have with fewer widgets at the end
            assert values >= widget_count(schema), node["type"]
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, source, slot, target, place, of in workflow["links"]:
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == link
        assert nodes[source]["outputs"][slot]["type"] == of
    notes = [node for node in workflow["nodes"] if node["type"] in NOTES]
    assert notes and all(note["title"] for note in notes)
    with Image.open(path.with_suffix(".jpg")) as image:
        assert min(image.size) >= 256


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_template_says_what_it_needs(path):
    notes = [n["widgets_values"][0] for n in _read(path)["nodes"] if n["type"] in NOTES]
    folder = NEED_A_MODEL.get(path.stem)
    assert folder is None or any(folder in note for note in notes)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_the_values_of_a_template_are_choices(info, path):
    """Of every combo: one that is offered, or a model that the node names with address and folder."""
    workflow = _read(path)
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        known = {m["name"]: m for m in node["properties"].get("models", [])}
        assert all(m["url"].startswith("https://") and m["directory"] for m in known.values())
        values = to_api({"nodes": [{**node, "mode": 0}], "links": workflow["links"]}, info)
        inputs = values[str(node["id"])]["inputs"]
        for name, of, options in ordered_inputs(info[node["type"]]):
            choices = options.get("options", [])
            if of == "COMBO" and not options.get("image_upload") and name in inputs:
                assert inputs[name] in (*choices, *known, ""), f"{node['type']}.{name}"
    assert bool(NEED_A_MODEL.get(path.stem)) == any(
        n["properties"].get("models") for n in workflow["nodes"]
    )


def test_the_steps_of_a_template_are_those_of_the_preset():
    for path in TEMPLATES:
        for node in _read(path)["nodes"]:
            if node["type"] == "FICE_Edit":
                assert node["widgets_values"][1:3] == ["default", 0], path.name


def test_one_template_opens_in_the_app_view():
    opened = [path for path in TEMPLATES if _read(path)["extra"].get("linearMode")]
    assert [path.name for path in opened] == ["02 Edit your photo.app.json"]
    workflow = _read(opened[0])
    nodes = {str(node["id"]): node["type"] for node in workflow["nodes"]}
    shown = workflow["extra"]["linearData"]
    assert [(nodes[node], widget) for node, widget in shown["inputs"]] == [
        ("LoadImage", "image"),
        ("FICE_Edit", "prompt"),
        ("FICE_Edit", "garment"),
        ("FICE_Edit", "seed"),
    ]
    assert [nodes[node] for node in shown["outputs"]] == ["SaveImage"]


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda p: p.stem)
def test_a_blueprint_is_served_and_sound(server, info, path):
    served = server.get("/global_subgraphs")
    (key,) = (key for key, entry in served.items() if entry["name"] == path.stem)
    workflow = json.loads(server.get(f"/global_subgraphs/{key}")["data"])
    assert workflow == _read(path)
    (outer,), (inner,) = workflow["nodes"], workflow["definitions"]["subgraphs"]
    assert outer["type"] == inner["id"]
    assert [s["name"] for s in outer["inputs"]] == [s["name"] for s in inner["inputs"]]
    assert [s["name"] for s in outer["outputs"]] == [s["name"] for s in inner["outputs"]]
    nodes = {node["id"]: node for node in inner["nodes"]}
    for link in inner["links"]:
        source, target = link["origin_id"], link["target_id"]
        if target > 0:
            slot = nodes[target]["inputs"][link["target_slot"]]
            assert slot["link"] == link["id"] and slot["type"] == link["type"]
        if source > 0:
            slot = nodes[source]["outputs"][link["origin_slot"]]
            assert link["id"] in slot["links"] and slot["type"] == link["type"]
    for node in inner["nodes"]:
        assert len(node["widgets_values"]) == widget_count(info[node["type"]])


@pytest.mark.parametrize(
    "path", [p for p in TEMPLATES if p.stem not in NEED_A_MODEL], ids=lambda p: p.stem
)
def test_a_template_runs_to_the_end(server, info, path):
    prompt = to_api(_read(path), info)
    for node in prompt.values():  # the whole graph, in less time
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 12
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert any("images" in output for output in run.history["outputs"].values())


def test_the_upscaler_is_reached(server, info):
    """With a tiny network of random weights in place of the user's."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    folder = server.folder / "models" / "upscale_models"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_esrgan(generator), folder / "tiny.safetensors")
    info = server.get("/object_info")
    prompt = to_api(_read(PACK / "workflows" / "12 Edit, then upscale.json"), info)
    for node in prompt.values():
        if node["class_type"] == "UpscaleModelLoader":
            node["inputs"]["model_name"] = "tiny.safetensors"
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    run = server.run(prompt)
    assert run.status == "success", run.error
    (save,) = (name for name, node in prompt.items() if node["class_type"] == "SaveImage")
    assert server.image(run.outputs(save)["images"][0]).shape == (512, 512, 3)


def _esrgan(generator):
    """State dict of the smallest ESRGAN (4x): one residual block, a few channels."""
    import torch

    features, growth = 8, 32  # a loader can infer the first; the second is always 32

    def conv(inputs, outputs):
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * 0.05
        return {"weight": weight, "bias": torch.zeros(outputs)}

    layers = {"conv_first": conv(3, features)}
    for dense in (1, 2, 3):
        for k in range(5):
            outputs = features if k == 4 else growth
            layers[f"body.0.rdb{dense}.conv{k + 1}"] = conv(features + k * growth, outputs)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        layers[name] = conv(features, features)
    layers["conv_last"] = conv(features, 3)
    return {
        f"{name}.{part}": value for name, parts in layers.items() for part, value in parts.items()
    }
