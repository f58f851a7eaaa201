"""Nodes for the tests alone: images as broken or greedy nodes of other packs make them."""

import torch
from comfy_api.latest import ComfyExtension, io


class Broken(io.ComfyNode):
    """An image with one NaN."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Test_NaN",
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output("out")],
        )

    @classmethod
    def execute(cls, image):
        image = image.clone()
        image[0, 3, 5, 1] = float("nan")
        return io.NodeOutput(image)


class Greedy(io.ComfyNode):
    """An image that takes no memory itself, and too much when it is copied."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Test_Huge", inputs=[], outputs=[io.Image.Output("out")])

    @classmethod
    def execute(cls):
        return io.NodeOutput(torch.zeros(1, 1, 1, 3).expand(1, 400_000, 400_000, 3))


class Helpers(ComfyExtension):
    """The two."""

    async def get_node_list(self):
        return [Broken, Greedy]


async def comfy_entrypoint():
    """ComfyUI asks for them here."""
    return Helpers()
