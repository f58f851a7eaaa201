"""The templates: known nodes, right widgets, thumbnails. Those that need no extra model are run."""

import json

import pytest
from PIL import Image
from server import PACK

from workflows import NOTES, to_api, widget_count

TEMPLATES = sorted((PACK / "workflows").glob("*.json"))
NEED_A_MODEL = {
    "fice_edit_and_upscale": "models/upscale_models",
    "fice_inpaint_refiner": "models/checkpoints",
}


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_comfyui_offers_all_of_them(server):
    offered = server.get("/workflow_templates")["comfyui-fice"]
    assert sorted(offered) == [path.stem for path in TEMPLATES]
    assert len(offered) >= 9


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
    assert any(node["type"] in NOTES for node in workflow["nodes"])
    with Image.open(path.with_suffix(".jpg")) as image:
        assert min(image.size) >= 256


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_template_says_what_it_needs(path):
    notes = [n["widgets_values"][0] for n in _read(path)["nodes"] if n["type"] in NOTES]
    folder = NEED_A_MODEL.get(path.stem)
    assert folder is None or any(folder in note for note in notes)


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
    prompt = to_api(_read(PACK / "workflows" / "fice_edit_and_upscale.json"), info)
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
