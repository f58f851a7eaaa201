"""Random checkpoint files that nobody means well with: nested, repeated, damaged, absurd.

Each function takes a generator of random numbers and returns a file's bytes. The same numbers give
the same file.
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from checkpoint_writers import (
    TINY,
    randomized,
    rewrite_zip,
    safetensors_bytes,
    saved,
    tiny_generator,
    write_detectron2,
    write_nvidia,
)
from make_checkpoints import save_jit

from fice_core import checkpoints
from fice_core.checkpoints.reading import allowlist
from fice_core.checkpoints.signatures import NETWORK_MARKS, OTHER_MARKS

_KINDS = ("text", "pairs", "dict", "record", "any")


class Nest:
    """A pickle whose objects contain earlier ones, often many times.

    Args:
        rng: what decides.
        torch_file: whether it may refer to the storages "0" and "1" of an archive.
    """

    def __init__(self, rng: Random, torch_file: bool) -> None:
        self.rng, self.torch_file = rng, torch_file
        self.out = bytearray(b"\x80\x04")
        self.known: dict[str, list[int]] = {kind: [] for kind in _KINDS}
        self.count = 0
        self.wildness = rng.choice((0.0, 0.0, 0.0, 0.003, 0.1))  # how often kinds are ignored

    def keep(self, kind: str = "any") -> None:
        """Remember the top of the stack as one of the objects to use later, and take it off."""
        self.out += b"\x940"
        self.known[kind].append(self.count)
        if kind != "any":
            self.known["any"].append(self.count)
        self.count += 1

    def recall(self, kind: str = "any") -> None:
        """Push an earlier object, most often one of the last."""
        known = self.known["any" if self.wild() else kind] or self.known["any"]
        index = known[-1] if self.rng.random() < 0.6 else self.rng.choice(known)
        self.out += b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)

    def wild(self) -> bool:
        return self.rng.random() < self.wildness

    def text(self, value: str) -> None:
        raw = value.encode("utf-8", "surrogatepass")
        self.out += b"X" + struct.pack("<I", len(raw)) + raw

    def name(self, full: str) -> None:
        module, _, name = full.rpartition(".")
        self.out += f"c{module}\n{name}\n".encode()

    def many(self, kind: str = "any", most: int = 50) -> None:
        """Push a mark and some earlier objects."""
        self.out += b"("
        for _ in range(int(most ** self.rng.random())):
            self.recall(kind)

    def call(self, full: str, kind: str = "any", most: int = 8) -> None:
        self.name(full)
        self.many(kind, most)
        self.out += b"tR"

    def scalar(self) -> None:
        rng = self.rng
        choice = rng.randrange(7)
        if choice == 0:
            value = rng.choice("aé\x1b\n\u202e😀") * int(20_000 ** rng.random())
            self.text(value)
            return self.keep("text" if len(value.encode()) < 4096 else "any")
        if choice == 1:
            raw = rng.randbytes(rng.choice((1, 4, 8, 64)))
            self.out += b"\x8a" + bytes([len(raw)]) + raw
        elif choice == 2:
            raw = bytes(int(20_000 ** rng.random()))
            self.out += b"B" + struct.pack("<I", len(raw)) + raw
        elif choice == 3:
            self.out += b"G" + rng.randbytes(8)
        elif choice == 4:
            self.out += rng.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f"))
        elif choice == 5:
            self.name(
                rng.choice(("torch.float32", "torch.FloatStorage", "collections.OrderedDict"))
            )
        else:
            self.text(rng.choice(("class_name", "state", "_parameters", "_modules", "_buffers")))
            return self.keep("text")
        self.keep()

    def chain(self) -> None:
        """An object inside an object inside an object."""
        self.recall()
        before, after = self.rng.choice(
            (
                (b"", b""),
                (b"]", b"a"),
                (b"}\x8c\x01a", b"s"),
                (b"(cargparse\nNamespace\n", b"o"),
                (b"ccollections\nOrderedDict\n]\x8c\x01a", b"\x86a\x85R"),
            )
        )
        for _ in range(int(30_000 ** self.rng.random())):
            if after:
                self.out += b"\x94" + before + b"j" + struct.pack("<I", self.count) + after
                self.count += 1
            else:
                self.out += b"\x85"
        self.keep()

    def container(self) -> None:
        rng = self.rng
        choice = rng.randrange(8)
        if choice == 0:
            self.recall()
            self.recall()
            self.out += b"\x86"
        elif choice == 1:
            self.many()
            self.out += rng.choice((b"t", b"l", b"\x91"))
        elif choice == 2:
            self.out += b"}("
            for _ in range(int(50 ** rng.random())):
                self.recall("text")
                self.recall()
            self.out += b"u"
            return self.keep("dict")
        elif choice == 3:
            self.out += b"]("
            for _ in range(int(30 ** rng.random())):
                self.recall("text")
                self.recall()
                self.out += b"\x86"
            self.out += b"e"
            return self.keep("pairs")
        elif choice == 4:
            self.out += b"]"
            self.many(most=500)
            self.out += b"e"
        elif choice == 5:
            self.call("collections.OrderedDict", "pairs", 1)
            return self.keep("dict")
        elif choice == 6:
            self.out += b"}("
            for _ in range(int(500 ** rng.random())):  # numbers that collide in a table
                raw = (rng.randrange(1 << 60) * ((1 << 61) - 1)).to_bytes(16, "little")
                self.out += b"\x8a\x10" + raw + b"N"
            self.out += b"u"
            return self.keep("dict")
        else:
            self.recall("any" if self.wild() else "record")
            self.recall()
            self.out += b"b"
            return self.keep("record")
        self.keep()

    def constructed(self) -> None:
        rng = self.rng
        choice = rng.randrange(8)
        if choice == 0:
            self.call("pathlib.PosixPath", "text")
            return self.keep("text")
        if choice == 1:
            self.call(rng.choice(("torch.Size", "torch.serialization._get_layout")), "text", 2)
        elif choice == 2:
            self.name("torch.device")
            self.recall("text")
            self.out += b"\x85R"
            return self.keep("text")
        elif choice == 3:
            self.name("torch_utils.persistence._reconstruct_persistent_obj")
            self.out += b"}("
            self.text("class_name")
            self.recall("text")
            self.text("state")
            self.recall()
            self.out += b"u\x85R"
            return self.keep("record")
        elif choice == 4:
            self.call(rng.choice(("argparse.Namespace", "builtins.set", "torch.nn.modules.X.Y")))
            return self.keep("record")
        elif choice == 5:
            self.name("_codecs.encode")
            self.text("é" * int(3000 ** rng.random()))
            self.out += b"\x85R"
        elif choice == 6 and self.torch_file:
            self.tensor()
        elif self.wild():
            self.call(rng.choice(sorted(allowlist._CONSTRUCTORS)))
        else:
            self.call(rng.choice(("torch._utils._rebuild_parameter", "builtins.list")), "any", 1)
        self.keep()

    def tensor(self) -> None:
        rng = self.rng
        self.name("torch._utils._rebuild_tensor_v2")
        self.out += b"(("
        self.text("storage")
        self.name("torch.FloatStorage")
        self.text(rng.choice("01"))
        self.text("cpu")
        self.out += b"K\x04tQK\0"
        for _ in range(2):
            self.out += b"(" + b"K\x01" * rng.choice((0, 1, 2, 4)) + b"t"
        self.out += b"\x89}tR"

    def bytes(self) -> bytes:
        """The pickle of one random object with random objects inside."""
        rng = self.rng
        self.text("a")
        self.keep("text")
        self.call("argparse.Namespace")
        self.keep("record")
        self.out += b"]"
        self.keep("pairs")
        for _ in range(4):
            self.scalar()
        for _ in range(int(300 ** rng.random())):
            weights = (2, 1, 12, 5)
            rng.choices((self.scalar, self.chain, self.container, self.constructed), weights)[0]()
            for _ in range(rng.choice((0, 0, 0, 30))):  # doubling
                self.recall()
                self.out += rng.choice((b"2\x86", b"2\x86", b"\x85"))
                self.keep()
        self.recall()
        return bytes(self.out + b".")


def archive(pickled: bytes, members: dict[str, bytes] | None = None) -> bytes:
    """A zip file as `torch.save` writes it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("x/data.pkl", pickled)
        for name, data in (members or {"data/0": bytes(16), "data/1": bytes(16)}).items():
            file.writestr(f"x/{name}", data)
    return target.getvalue()


def nested(rng: Random) -> bytes:
    """Objects in objects, in a bare pickle, an archive, a TorchScript archive or a legacy file."""
    form = rng.randrange(5)
    pickled = Nest(rng, form in (1, 2)).bytes()
    if form == 1:
        return archive(pickled)
    if form == 2:
        members = {"data/0": bytes(16), "data/1": bytes(16), "constants.pkl": b"\x80\x02)."}
        return archive(pickled, members)
    if form == 3:
        return legacy(pickled)
    if form == 4:  # a file inside a pickle, many times
        inner = legacy(pickled)
        body = b"B" + struct.pack("<I", len(inner)) + inner + b"\x940"
        load = b"ctorch.storage\n_load_from_bytes\nh\0\x85R"
        return b"\x80\x04" + body + b"(" + load * int(1000 ** rng.random()) + b"l."
    return pickled


def legacy(pickled: bytes) -> bytes:
    """A file of PyTorch's format before zip archives, without any storage."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(value, 2) for value in head) + pickled + pickle.dumps([], 2)


def tree(rng: Random) -> bytes:
    """Tensors of random shapes under the names of real networks, below random dictionaries."""
    out = bytearray(b"\x80\x02}(")
    marks = rng.choice([marks for _, marks in NETWORK_MARKS] + [marks for marks, *_ in OTHER_MARKS])
    prefix = "".join(rng.choice(("a.", "g_ema.", "\x1b[2J.", "e" * 5000 + ".")) for _ in range(3))
    keys = [rng.choice(("", prefix)) + mark for mark in marks]
    for mark in marks:  # neighbours: other numbers, other leaves
        for _ in range(rng.randrange(40)):
            parts = mark.split(".")
            place = rng.randrange(len(parts))
            parts[place] = rng.choice((str(rng.randrange(30)), "weight", "bias", "9" * 30, "x"))
            keys.append(".".join(parts))
    for key in keys:
        raw = key.encode()
        out += b"X" + struct.pack("<I", len(raw)) + raw
        shape = [rng.choice((0, 1, 2, 3, 8, 64)) for _ in range(rng.randrange(6))]
        numbers = b"(" + b"".join(b"K" + bytes([n]) for n in shape) + b"t"
        out += b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
        out += b"X\x01\0\0\0\x30X\x03\0\0\0cpuJ" + struct.pack("<i", 1 << 18)
        out += b"tQK\0" + numbers + b"(" + b"K\0" * len(shape) + b"t\x89}tR"
    return archive(bytes(out + b"u."), {"data/0": bytes(4 << 18)})


def repeated(rng: Random) -> bytes:
    """A short or long value that is used many thousand times."""
    size = rng.choice((10, 4000, 5000, 200_000))
    times = int(400_000 ** rng.random())
    value = b"X" + struct.pack("<I", size) + rng.choice((b"a", b"\xc3\xa9" * 2))[:1] * size
    if rng.random() < 0.3:
        value = b"B" + struct.pack("<I", size) + bytes(size)
    if rng.random() < 0.3:
        value = b"(" + b"K\x01" * size + rng.choice((b"t", b"l"))
    names = sorted(allowlist._CONSTRUCTORS)
    before = (
        b"\x80\x04"
        + value
        + b"\x940c"
        + b"\n".join(part.encode() for part in rng.choice(names).rpartition(".")[::2])
        + b"\n\x940"
    )
    use = rng.choice(
        (b"h\1h\0\x85R", b"h\1(h\0h\0h\0h\0h\0h\0tR", b"h\1)Rh\0b", b"h\0", b"}h\0Ns", b"h\0\x85")
    )
    if rng.random() < 0.3:
        use += b"0"
    return before + b"(" + use * times + b"l."


def settings(rng: Random) -> bytes:
    """One of the project's own files with absurd settings, or a strange header."""
    kinds = ("generator", "encoder", "densepose", "segmenter", "clip", "sam", "codes", "\x1b[2J")
    names = ("resolution", "w_dim", "z_dim", "layers", "width", "vocabulary", "blocks", "heads")
    names += ("vision_cfg", "text_cfg", "embed_dim", "image_size", "depth", "mean", "channel_base")

    def value(depth: int) -> Any:
        choice = rng.randrange(9 if depth else 6)
        if choice < 3:
            return rng.choice((0, -1, 1, 2**20, 2**31, 2**63, 10**30, 10**400, 1e300, 0.5, 3))
        if choice < 6:
            return rng.choice((None, True, "", "x", "\x1b[31m", "a" * 10_000, [], {}, -0.0))
        if choice < 8:
            return [value(depth - 1) for _ in range(int(2000 ** rng.random()))]
        return {rng.choice(names): value(depth - 1) for _ in range(5)}

    config = json.dumps({rng.choice(names): value(2) for _ in range(rng.randrange(12))})
    if rng.random() < 0.1:
        config = '{"a":' * 30_000
    metadata = {"fice.kind": rng.choice(kinds), "fice.config": config}
    for number in range(int(3000 ** rng.random()) - 1):
        metadata[f"\x1b[{number}m" + "n" * rng.randrange(300)] = "\x07" * rng.randrange(300)
    header: dict[str, Any] = {"__metadata__": metadata}
    for number in range(int(3000 ** rng.random())):
        shape = rng.choice(([], [1], [0, 2**40], [2**62, 2**62, 0], [-1], [0] * 100))
        end = 4 if shape in ([], [1]) else 0
        key = rng.choice(("mapping.fc0.", "x\x1b\n", "")) + str(number)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}
        if end:
            break
    return safetensors_bytes(header, bytes(4))


def directory(rng: Random) -> bytes:
    """A zip archive with many, doubled or strange members."""
    names = ["data/0", "../../x", "/data.pkl", "a/data.pkl", "byteorder", "data/\x1b[2J", "code/x"]
    count = int(20_000 ** rng.random())
    members = {rng.choice(names) + "i" * rng.randrange(3) + str(i % 97): b"" for i in range(count)}
    data = bytearray(archive(b"\x80\x02}.", {**members, "data/0": bytes(16)}))
    for _ in range(rng.randrange(4)):
        data[-1 - rng.randrange(min(len(data), 400))] = rng.randrange(256)
    return bytes(data)


def damaged(rng: Random, whole: bytes) -> bytes:
    """A sound file with bytes changed, cut out, doubled, or another pickle in it."""
    data = bytearray(whole)
    for _ in range(rng.randrange(1, 8)):
        place, length = rng.randrange(len(data)), int(2000 ** rng.random())
        change = rng.randrange(5)
        if change < 2:
            data[place] = rng.randrange(256)
        elif change == 2:
            data[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff" * 4))
        elif change == 3:
            del data[place : place + length]
        else:
            data[place:place] = data[place : place + length] * rng.randrange(1, 4)
        if not data:
            return b""
    if whole.startswith(b"PK") and rng.random() < 0.5:
        pickled = Nest(rng, True).bytes()
        return rewrite_zip(whole, lambda name, old: pickled if name == "data.pkl" else old)
    return bytes(data[: rng.randrange(len(data)) + 1] if rng.random() < 0.3 else data)


def sound_files(folder: Path) -> dict[str, bytes]:
    """Small networks in every format; `folder` is for files on the way."""
    network = randomized(tiny_generator((8, 8)))
    state = dict(network.state_dict())
    path = folder / "f"
    files = {"zip": saved({"G": state}), "legacy": saved({"G": state}, legacy=True)}
    write_nvidia(path, state)
    files["nvidia"] = path.read_bytes()
    write_detectron2(path, state)
    files["detectron2"] = path.read_bytes()
    save_jit(str(path), state)
    files["torchscript"] = path.read_bytes()
    checkpoints.save(network, path)
    files["safetensors"] = path.read_bytes()
    for kind, build in TINY.items():
        checkpoints.save(randomized(build()), path)
        files[f"{kind} safetensors"] = path.read_bytes()
        files[f"{kind} zip"] = saved(dict(checkpoints.native.weights(build()).state_dict()))
    return files


GENERATORS: dict[str, Callable[[Random], bytes]] = {
    "nested": nested,
    "tree": tree,
    "repeated": repeated,
    "settings": settings,
    "directory": directory,
}
