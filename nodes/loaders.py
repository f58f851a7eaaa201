"""A loader for each network."""

from typing import Any

from comfy_api.latest import io

from ..fice_core.checkpoints import architecture_names
from . import models
from .base import Node
from .models import folder_stamp, load_set, set_folder
from .progress import telling
from .sockets import (
    NETWORKS,
    TITLES,
    ClipSocket,
    DensePoseSocket,
    EncoderSocket,
    GeneratorSocket,
    ModelsSocket,
    ModelsValue,
    SamSocket,
    SegmenterSocket,
)

#: first entry of the architectures of CLIP
FROM_FILE = "from the file"
_BUILT_IN = "The demonstration model is built in. To use your own, put"


class _Loader(Node):
    """What all loaders have in common; a subclass names the network."""

    KIND: str
    SOCKET: type[io.ComfyTypeIO]
    TITLE: str
    WHAT: str
    ALIASES: tuple[str, ...] = ()

    @classmethod
    def define_schema(cls) -> io.Schema:
        put = "Put" if cls.KIND == "sam" else _BUILT_IN  # there is no demonstration model of it
        content, place = models.CONTENTS[cls.KIND], f"models/{models.folder(cls.KIND)}"
        return io.Schema(
            node_id=cls.__name__.replace("Load", "FICE_Load"),
            display_name=f"Load {cls.TITLE} (FICE)",
            category="FICE/models",
            description=f"Loads {cls.WHAT}.",
            search_aliases=[*cls.ALIASES, f"fice {cls.KIND}", f"{cls.KIND} loader"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=models.choices(cls.KIND),
                    tooltip=f"{put} {content} into {place} and press R.",
                )
            ],
            outputs=[
                cls.SOCKET.Output(
                    cls.KIND, display_name=cls.KIND, tooltip=f"{cls.WHAT[0].upper()}{cls.WHAT[1:]}."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return models.missing(cls.KIND, file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return models.stamp(cls.KIND, file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        with telling(cls.hidden.unique_id):
            return io.NodeOutput(models.load(cls.KIND, file))


class LoadGenerator(_Loader):
    KIND, SOCKET, TITLE = "generator", GeneratorSocket, "Generator"
    WHAT = "the StyleGAN2 generator, which makes the images"
    ALIASES = ("stylegan", "stylegan2", "gan")


class LoadEncoder(_Loader):
    KIND, SOCKET, TITLE = "encoder", EncoderSocket, "Encoder"
    WHAT = "the e4e encoder, which finds the latent code of a photo"
    ALIASES = ("e4e", "gan inversion", "psp")


class LoadCLIP(_Loader):
    KIND, SOCKET, TITLE = "clip", ClipSocket, "CLIP"
    WHAT = "the CLIP network, which compares images with text (open_clip, image and text encoder)"
    ALIASES = ("open_clip", "openai clip", "rn50x4")

    @classmethod
    def define_schema(cls) -> io.Schema:
        schema = super().define_schema()
        schema.inputs.append(
            io.Combo.Input(
                "architecture",
                options=[FROM_FILE, *architecture_names()],
                default=FROM_FILE,
                advanced=True,
                optional=True,
                tooltip="The architecture of your file by its open_clip name. Choose it if the node warns "
                "that something is assumed, or asks for it. A configuration beside the file "
                "(open_clip_config.json, config.json) is used without being named.",
            )
        )
        return schema

    @classmethod
    def validate_inputs(cls, file: str, architecture: str = FROM_FILE) -> bool | str:
        known = (FROM_FILE, *architecture_names())
        if architecture.partition(":")[0] not in known:
            return f"there is no architecture {architecture!r} in open_clip's catalogue"
        return models.missing(cls.KIND, file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str, architecture: str = FROM_FILE) -> str:
        return f"{models.stamp(cls.KIND, file)} {architecture}"

    @classmethod
    def execute(cls, file: str, architecture: str = FROM_FILE) -> io.NodeOutput:
        named = None if architecture == FROM_FILE else architecture
        with telling(cls.hidden.unique_id):
            return io.NodeOutput(models.load(cls.KIND, file, architecture=named))


class LoadDensePose(_Loader):
    KIND, SOCKET, TITLE = "densepose", DensePoseSocket, "DensePose"
    WHAT = "the DensePose network, which finds body parts"
    ALIASES = ("pose", "detectron2", "body parts")


class LoadSegmenter(_Loader):
    KIND, SOCKET, TITLE = "segmenter", SegmenterSocket, "Segmenter"
    WHAT = "the segmenter, which finds background, body and head, and clothes if it names them"
    ALIASES = ("segmentation", "deeplab", "segformer", "clothes parser", "human parsing")


class LoadSAM(_Loader):
    KIND, SOCKET, TITLE = "sam", SamSocket, "SAM"
    WHAT = "Segment Anything, which refines rough masks"
    ALIASES = ("segment anything", "sam_vit_b", "mask")


class LoadModels(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FICE_LoadModels",
            display_name="Load Models (FICE)",
            category="FICE/models",
            description="Loads all networks of an edit from one folder, at once for Fashion Edit and each "
            "for the single stages. What is missing is named; the encoder is optional.",
            search_aliases=[
                "load fice models",
                "model set",
                "stylegan",
                "checkpoint loader",
                "change clothes",
            ],
            inputs=[
                io.Combo.Input(
                    "models",
                    options=models.sets(),
                    tooltip="The demonstration models, or a folder below models/fice with your files; press "
                    "R after you have put it there.",
                ),
                io.String.Input(
                    "folder",
                    default="",
                    optional=True,
                    tooltip="A folder anywhere else, in place of that choice. Its files are recognised by "
                    "their names, else by what they hold.",
                ),
            ],
            outputs=[
                ModelsSocket.Output(
                    "models",
                    display_name="models",
                    tooltip="All networks at once, for Fashion Edit.",
                ),
                *(
                    socket.Output(kind, display_name=kind, tooltip=f"The {TITLES[kind]} alone.")
                    for kind, socket in NETWORKS.items()
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, models: str, folder: str = "") -> bool | str:
        place = set_folder(models, folder)
        if place is None or place.is_dir():
            return True
        return f"there is no folder {str(place)!r}: put your models there, or choose another one"

    @classmethod
    def fingerprint_inputs(cls, models: str, folder: str = "") -> str:
        return folder_stamp(set_folder(models, folder))

    @classmethod
    def execute(cls, models: str, folder: str = "") -> io.NodeOutput:
        with telling(cls.hidden.unique_id):
            loaded = load_set(set_folder(models, folder))
        return io.NodeOutput(ModelsValue(loaded), *(loaded.get(kind) for kind in NETWORKS))


NODES: list[type[Any]] = [
    LoadModels,
    LoadGenerator,
    LoadEncoder,
    LoadCLIP,
    LoadDensePose,
    LoadSegmenter,
    LoadSAM,
]
