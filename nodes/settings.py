"""How an inversion walks and what it weighs, for those who want to say."""

from typing import Any

from comfy_api.latest import io

from ..fice_core.settings import InversionSettings, LossWeights
from .sockets import SettingsSocket, WeightsSocket

_DEFAULT = InversionSettings()
_TERMS = {
    "clip": "How much the picture must match the text.",
    "pose": "How much the body parts must stay where they are.",
    "head": "How much the outline of the head must stay.",
    "image": "How much the picture outside the area to edit must stay.",
    "latent": "How much the layers of the code must agree, which keeps the picture plausible.",
    "latent_prior": "How much the code must stay among those that the generator knows (not in the paper).",
}
_LATER_TERMS = {
    "clip_region": "As clip, of the garment's surroundings alone. Needs an area (not in the paper).",
    "clip_direction": "How much the picture must change as the text does from the source of Encode Text. "
    "Needs that and an area (not in the paper).",
    "perceptual": "As image, but compared by look in place of pixels. Needs a segmenter (not in the paper).",
}


class LossWeightsNode(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_LossWeights",
            display_name="Loss Weights (FICE)",
            category="FICE/invert",
            description="How much each demand on the edited picture counts. 0 leaves one out. "
            "The paper has 1, 10, 1, 30, 1 and else 0.",
            search_aliases=["loss", "strength", "guidance"],
            inputs=[
                io.Float.Input(
                    name,
                    default=getattr(_DEFAULT.weights, name),
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
                    "weights", display_name="weights", tooltip="For the inversion."
                )
            ],
        )

    @classmethod
    def execute(cls, **weights: float) -> io.NodeOutput:
        return io.NodeOutput(LossWeights(**weights))


class InversionSettingsNode(io.ComfyNode):  # type: ignore[misc]
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_InversionSettings",
            display_name="Inversion Settings (FICE)",
            category="FICE/invert",
            description="How the optimisation walks. The defaults suit most edits; the paper's values are on "
            "the help page.",
            search_aliases=["learning rate", "optimizer", "schedule"],
            inputs=[
                io.Combo.Input(
                    "coordinates",
                    options=["whitened", "w"],
                    default=_DEFAULT.coordinates,
                    tooltip="whitened: steps in units of the spread of W; w: every component alike.",
                ),
                io.Float.Input(
                    "layer_freedom",
                    default=_DEFAULT.layer_freedom,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="With whitened coordinates: how far layers may move apart, against what all "
                    "take together.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=_DEFAULT.learning_rate,
                    min=0.0001,
                    max=10.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Size of Adam's steps, in units of W's spread or of w.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=["cosine", "constant"],
                    default=_DEFAULT.schedule,
                    tooltip="cosine: up for a twentieth of the steps, then down to 0.",
                ),
                io.Int.Input(
                    "plateau_patience",
                    default=_DEFAULT.plateau_patience or 0,
                    min=0,
                    max=5000,
                    tooltip="A picture is done after so many steps without progress; 0 never stops early.",
                ),
                io.Combo.Input(
                    "result",
                    options=["best", "last"],
                    default=_DEFAULT.result,
                    tooltip="best: of the step with the lowest loss; last: of the last step.",
                ),
                io.Int.Input(
                    "start_candidates",
                    default=_DEFAULT.start_candidates,
                    min=0,
                    max=4096,
                    tooltip="Random pictures whose clothes are tried on before the first step; 0 starts "
                    "from the photo's own.",
                ),
                io.Float.Input(
                    "start_noise",
                    default=_DEFAULT.start_noise,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Noise on the starting code, in deviations of W, so that seeds differ more.",
                ),
                io.Int.Input(
                    "clip_views",
                    default=_DEFAULT.clip_views,
                    min=0,
                    max=16,
                    tooltip="Random crops that CLIP judges beside the whole picture; each costs time.",
                ),
                io.Boolean.Input(
                    "clamp",
                    default=_DEFAULT.clamp,
                    tooltip="Clamp pictures to [0, 1] before they are judged.",
                ),
                io.Int.Input(
                    "max_batch",
                    default=_DEFAULT.max_batch,
                    min=1,
                    max=64,
                    tooltip="Pictures computed at once; bounds memory and does not change the result.",
                ),
                io.Int.Input(
                    "refine_steps",
                    default=_DEFAULT.refine_steps,
                    min=0,
                    max=5000,
                    optional=True,
                    tooltip="Fashion Edit first fits the code to the photo for so many steps. Between single "
                    "stages Refine Latent does that.",
                ),
                io.Int.Input(
                    "tune_steps",
                    default=_DEFAULT.tune_steps,
                    min=0,
                    max=5000,
                    optional=True,
                    tooltip="Fashion Edit then fits a copy of the generator to each photo for so many steps. "
                    "Between single stages Tune Generator does that.",
                ),
                io.Boolean.Input(
                    "hold",
                    default=_DEFAULT.hold,
                    optional=True,
                    tooltip="Generate only what the edit may change, and keep what the generator made of the "
                    "photo everywhere else: the text then has no hold on trousers or background.",
                ),
                io.Int.Input(
                    "head_every",
                    default=_DEFAULT.head_every,
                    min=1,
                    max=100,
                    optional=True,
                    tooltip="Compute the head term at every so many steps; in between the last one stands. "
                    "Saves time, costs exactness.",
                ),
                io.Int.Input(
                    "pose_every",
                    default=_DEFAULT.pose_every,
                    min=1,
                    max=100,
                    optional=True,
                    tooltip="The same for the pose term.",
                ),
                io.Float.Input(
                    "head_scale",
                    default=_DEFAULT.head_scale,
                    min=0.1,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Judge the head in pictures of this scale: half the side costs a quarter.",
                ),
                io.Boolean.Input(
                    "mixed_precision",
                    default=_DEFAULT.mixed_precision,
                    optional=True,
                    tooltip="CLIP, DensePose and segmenter multiply in bfloat16 on GPUs and CPUs "
                    "made for it; on others it does nothing.",
                ),
                io.Float.Input(
                    "beta1",
                    default=_DEFAULT.beta1,
                    min=0.0,
                    max=0.999,
                    step=0.01,
                    optional=True,
                    tooltip="Adam's momentum: how much of the past gradients it keeps. The paper has 0.9.",
                ),
                io.Float.Input(
                    "beta2",
                    default=_DEFAULT.beta2,
                    min=0.0,
                    max=0.9999,
                    step=0.001,
                    optional=True,
                    tooltip="How much of the past squared gradients Adam's step sizes keep. The paper "
                    "has 0.999; in few steps a shorter memory gets further.",
                ),
                io.Combo.Input(
                    "execution",
                    options=["auto", "eager", "compile", "graph"],
                    default=_DEFAULT.execution,
                    optional=True,
                    tooltip="eager: operation by operation. compile: torch compiles generator and CLIP "
                    "first, up to a minute, which pays for many edits. graph: steps as CUDA graphs, without "
                    "clip_views. auto: graph on CUDA where it can be, else eager.",
                ),
            ],
            outputs=[
                SettingsSocket.Output(
                    "settings", display_name="settings", tooltip="For the inversion."
                )
            ],
        )

    @classmethod
    def execute(cls, plateau_patience: int, **values: Any) -> io.NodeOutput:
        return io.NodeOutput(InversionSettings(plateau_patience=plateau_patience or None, **values))


NODES: list[type[Any]] = [LossWeightsNode, InversionSettingsNode]
