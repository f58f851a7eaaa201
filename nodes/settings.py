"""Settings of the optimisation, and the weights of its loss terms."""

from typing import Any

from comfy_api.latest import io

from ..fice_core.settings import InversionSettings, LossWeights
from .base import Node
from .sockets import SettingsSocket, WeightsSocket

_DEFAULT = InversionSettings()
# tooltips of the weights; the inputs of those of `_LATER_TERMS` are optional
_TERMS = {
    "clip": "Weight of the match between image and text.",
    "pose": "Weight of keeping the body parts in place.",
    "head": "Weight of keeping the outline of the head.",
    "image": "Weight of keeping the image outside the edit area.",
    "latent": "Weight of keeping the layers of the code similar, so that the image stays plausible.",
    "latent_prior": "Weight of keeping the code among typical codes of the generator. Not in the paper.",
}
_RARE = ("latent", "latent_prior")  # of these, seldom changed
_LATER_TERMS = {
    "clip_region": "As clip, but CLIP sees only a crop around the garment. Needs an area. Not in the paper.",
    "clip_direction": "Weight of changing the image in the direction from the source text to the text. Needs "
    "a source in Encode Text, and an area. Not in the paper.",
    "perceptual": "As image, but compares feature maps of the segmenter instead of pixels. Needs a segmenter "
    "and an area. Not in the paper.",
}


class LossWeightsNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_LossWeights",
            display_name="Loss Weights (FICE)",
            category="FICE/stages",
            description="Weights of the loss terms. 0 turns a term off. The paper uses 1, 10, 1, 30, "
            "1, and 0 for the rest.",
            search_aliases=["loss", "strength", "guidance", "clip guided"],
            inputs=[
                io.Float.Input(
                    name,
                    default=getattr(_DEFAULT.weights, name),
                    advanced=name in _RARE,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip=what,
                )
                for name, what in _TERMS.items()
            ]
            + [
                io.Float.Input(
                    name,
                    default=getattr(_DEFAULT.weights, name),
                    advanced=True,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    optional=True,
                    tooltip=what,
                )
                for name, what in _LATER_TERMS.items()
            ],
            outputs=[
                WeightsSocket.Output(
                    "weights", display_name="weights", tooltip="Loss weights for the inversion."
                )
            ],
        )

    @classmethod
    def execute(cls, **weights: float) -> io.NodeOutput:
        return io.NodeOutput(LossWeights(**weights))


class InversionSettingsNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_InversionSettings",
            display_name="Inversion Settings (FICE)",
            category="FICE/stages",
            description="Settings of the optimisation. The defaults suit most edits. The help page "
            "lists the paper's values.",
            search_aliases=["learning rate", "optimizer", "schedule"],
            inputs=[
                io.Combo.Input(
                    "coordinates",
                    options=["whitened", "w"],
                    default=_DEFAULT.coordinates,
                    advanced=True,
                    tooltip="whitened: steps in units of the spread of W. w: steps in units "
                    "of w, as in the paper.",
                ),
                io.Float.Input(
                    "layer_freedom",
                    default=_DEFAULT.layer_freedom,
                    advanced=True,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="With whitened coordinates: size of each layer's own step, relative to the step "
                    "that all layers share.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=_DEFAULT.learning_rate,
                    min=0.0001,
                    max=10.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Learning rate of Adam, in units of the spread of W, or of w.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=["cosine", "constant"],
                    default=_DEFAULT.schedule,
                    advanced=True,
                    tooltip="cosine: rises during the first twentieth of the steps, then falls to 0. "
                    "constant: stays the same.",
                ),
                io.Int.Input(
                    "plateau_patience",
                    default=_DEFAULT.plateau_patience or 0,
                    advanced=True,
                    min=0,
                    max=5000,
                    tooltip="Stops an image after this many steps without improvement; 0 never stops early.",
                ),
                io.Combo.Input(
                    "result",
                    options=["best", "last"],
                    default=_DEFAULT.result,
                    advanced=True,
                    tooltip="best: the step with the lowest loss. last: the last step.",
                ),
                io.Int.Input(
                    "start_candidates",
                    default=_DEFAULT.start_candidates,
                    min=0,
                    max=4096,
                    tooltip="Number of random images whose clothes are tried before the first step; 0 "
                    "starts from the photo's own code.",
                ),
                io.Float.Input(
                    "start_noise",
                    default=_DEFAULT.start_noise,
                    advanced=True,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Standard deviation of the noise added to the starting code, in standard "
                    "deviations of W. Noise makes seeds differ more.",
                ),
                io.Int.Input(
                    "clip_views",
                    default=_DEFAULT.clip_views,
                    advanced=True,
                    min=0,
                    max=16,
                    tooltip="Number of random crops that CLIP sees at every step, besides the whole "
                    "image. Each takes time.",
                ),
                io.Boolean.Input(
                    "clamp",
                    default=_DEFAULT.clamp,
                    advanced=True,
                    tooltip="Clamp images to [0, 1] before the networks see them.",
                ),
                io.Int.Input(
                    "max_batch",
                    default=_DEFAULT.max_batch,
                    advanced=True,
                    min=1,
                    max=64,
                    tooltip="Number of images computed at once. Limits memory and does "
                    "not change the result.",
                ),
                io.Int.Input(
                    "refine_steps",
                    default=_DEFAULT.refine_steps,
                    min=0,
                    max=5000,
                    optional=True,
                    tooltip="Number of steps in which Fashion Edit first fits the code to the photo. "
                    "Between single stages, use Refine Latent.",
                ),
                io.Int.Input(
                    "tune_steps",
                    default=_DEFAULT.tune_steps,
                    min=0,
                    max=5000,
                    optional=True,
                    tooltip="Number of steps in which Fashion Edit then fits a copy of the generator to "
                    "each photo. Between single stages, use Tune Generator.",
                ),
                io.Boolean.Input(
                    "hold",
                    default=_DEFAULT.hold,
                    advanced=True,
                    optional=True,
                    tooltip="Generate only the area that may change. Everywhere else the generator "
                    "keeps the features of the photo's code, so that the text cannot change "
                    "trousers or background.",
                ),
                io.Int.Input(
                    "head_every",
                    default=_DEFAULT.head_every,
                    advanced=True,
                    min=1,
                    max=100,
                    optional=True,
                    tooltip="Compute the head term every so many steps and reuse its last value in between. "
                    "Faster, but less exact.",
                ),
                io.Int.Input(
                    "pose_every",
                    default=_DEFAULT.pose_every,
                    advanced=True,
                    min=1,
                    max=100,
                    optional=True,
                    tooltip="The same for the pose term.",
                ),
                io.Float.Input(
                    "head_scale",
                    default=_DEFAULT.head_scale,
                    advanced=True,
                    min=0.1,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Scale of the images in which the segmenter sees the head. Half the side takes "
                    "a quarter of the time.",
                ),
                io.Boolean.Input(
                    "mixed_precision",
                    default=_DEFAULT.mixed_precision,
                    advanced=True,
                    optional=True,
                    tooltip="Compute CLIP, DensePose and segmenter in bfloat16 on GPUs and CPUs that "
                    "support it. Elsewhere it has no effect.",
                ),
                io.Float.Input(
                    "beta1",
                    default=_DEFAULT.beta1,
                    advanced=True,
                    min=0.0,
                    max=0.999,
                    step=0.01,
                    optional=True,
                    tooltip="Momentum of Adam: how much of the past gradients it keeps. The paper uses 0.9.",
                ),
                io.Float.Input(
                    "beta2",
                    default=_DEFAULT.beta2,
                    advanced=True,
                    min=0.0,
                    max=0.9999,
                    step=0.001,
                    optional=True,
                    tooltip="How much of the past squared gradients Adam keeps for its step sizes. The "
                    "paper uses 0.999; in few steps, a lower value gets further.",
                ),
                io.Combo.Input(
                    "execution",
                    options=["auto", "eager", "compile", "graph"],
                    default=_DEFAULT.execution,
                    advanced=True,
                    optional=True,
                    tooltip="eager: one operation at a time. compile: torch first compiles generator and "
                    "CLIP, which takes up to a minute and pays off over many edits. graph: steps as CUDA "
                    "graphs, without clip_views. auto: graph on CUDA where possible, else eager.",
                ),
                io.Int.Input(
                    "search_steps",
                    default=_DEFAULT.search_steps,
                    advanced=True,
                    min=2,
                    max=5000,
                    optional=True,
                    tooltip="Number of steps in which Fashion Edit searches the code of a photo where there "
                    "is no encoder. Between single stages, use Initialize Latent.",
                ),
            ],
            outputs=[
                SettingsSocket.Output(
                    "settings", display_name="settings", tooltip="Settings for the inversion."
                )
            ],
        )

    @classmethod
    def execute(cls, plateau_patience: int, **values: Any) -> io.NodeOutput:
        return io.NodeOutput(InversionSettings(plateau_patience=plateau_patience or None, **values))


NODES: list[type[Any]] = [LossWeightsNode, InversionSettingsNode]
