"""Malicious files: none runs code, none exhausts memory, each is refused with one line."""

import io
import json
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random

import pytest
import torch
from checkpoint_writers import (
    nvidia_modules,
    persistent_module,
    rewrite_zip,
    safetensors_bytes,
    saved,
    tiny_generator,
)
from command import fice
from hostile_files import GENERATORS, damaged, legacy, sound_files
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from make_checkpoints import save_jit

from fice_core import checkpoints
from fice_core.checkpoints.detection import flatten
from fice_core.checkpoints.reading.allowlist import resolve
from fice_core.checkpoints.reading.reader import read
from fice_core.checkpoints.reading.records import Storage, read_tensor
from fice_core.checkpoints.reading.unpickler import Unpickler
from fice_core.errors import FiceError

SYSTEM = "posix.system" if os.name == "posix" else "nt.system"


class Call:
    """An object whose pickle calls `function(*args)` when it is loaded."""

    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.fixture
def trap(tmp_path):
    """A malicious object, and a check that it never ran."""
    sentinel = tmp_path / "sentinel"
    yield Call(os.system, f"{sys.executable} -c \"open(r'{sentinel}', 'w')\"")
    assert not sentinel.exists()


def refusal(path: Path) -> str:
    """The one line with which every function that reads files refuses this one."""
    messages = set()
    for opening in (checkpoints.describe, checkpoints.load, checkpoints.load_generator):
        with pytest.raises(FiceError) as caught:
            opening(path)
        messages.add(str(caught.value))
    (message,) = messages
    assert "\n" not in message
    assert path.name in message
    assert len(message) < 400
    return message


def refused(tmp_path: Path, data: bytes, name: str = "x.pt") -> str:
    (tmp_path / name).write_bytes(data)
    return refusal(tmp_path / name)


def never_needs(what: str, name: str = "x.pt") -> str:
    return f"{name} asks for {what}, which a checkpoint never needs; refused"


# Code


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_program(tmp_path, trap, protocol):
    data = pickle.dumps({"model": trap}, protocol=protocol)
    assert refused(tmp_path, data, "x.pkl") == never_needs(SYSTEM, "x.pkl")


def test_python_itself_runs_the_malicious_pickle(tmp_path):
    """The malicious object of these tests works: Python's unpickler runs it."""
    sentinel = tmp_path / "sentinel"
    pickle.loads(pickle.dumps(Call(os.system, f"{sys.executable} -c \"open(r'{sentinel}', 'w')\"")))
    assert sentinel.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_inside_a_torch_file(tmp_path, trap, legacy):
    data = saved({"state": {"weight": torch.zeros(2)}, "opts": [trap]}, legacy)
    assert refused(tmp_path, data) == never_needs(SYSTEM)


def test_inside_a_torchscript_archive(tmp_path, trap):
    save_jit(str(tmp_path / "x.pt"), {"weight": torch.zeros(2)})
    poison = pickle.dumps(trap, protocol=2)
    data = rewrite_zip(
        (tmp_path / "x.pt").read_bytes(), lambda name, old: poison if name == "data.pkl" else old
    )
    assert refused(tmp_path, data) == never_needs(SYSTEM)


def test_inside_nvidias_recorded_state(tmp_path, trap):
    with nvidia_modules():
        module = persistent_module({"w_avg": torch.zeros(2)}, "Generator", "", {"hook": trap})
        data = pickle.dumps({"G_ema": module})
    assert refused(tmp_path, data, "x.pkl") == never_needs(SYSTEM, "x.pkl")


def test_inside_a_storage_inside_a_pickle(tmp_path, trap):
    inner = saved(trap, legacy=True)
    data = pickle.dumps(Call(torch.storage._load_from_bytes, inner))
    assert refused(tmp_path, data) == never_needs(SYSTEM)


def test_inside_an_array_of_objects(tmp_path, trap):
    import numpy as np

    array = np.empty(1, dtype=object)
    array[0] = trap
    assert refused(tmp_path, pickle.dumps({"model": array})) == never_needs(SYSTEM)


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (eval, ("1 + 1",), "builtins.eval"),
        (exec, ("x = 1",), "builtins.exec"),
        (compile, ("1", "", "eval"), "builtins.compile"),
        (__import__, ("os",), "builtins.__import__"),
        (getattr, (int, "real"), "builtins.getattr"),
        (torch.load, ("other.pt",), "torch.serialization.load"),
        (torch.hub.load, ("a/b", "c"), "torch.hub.load"),
        (pickle.loads, (b"N.",), "_pickle.loads"),
        (os.remove, ("x",), f"{os.name}.remove" if os.name == "nt" else "posix.remove"),
    ],
)
def test_other_functions(tmp_path, function, args, name):
    data = pickle.dumps(Call(function, *args), protocol=4)
    assert refused(tmp_path, data) == never_needs(name)


def test_a_chain_of_calls(tmp_path, trap):
    """All steps but the last are allowed: OrderedDict(OrderedDict([("a", trap)]).items())."""
    chain = Call(OrderedDict, [("a", Call(OrderedDict, [("b", trap)]))])
    assert refused(tmp_path, pickle.dumps(chain)) == never_needs(SYSTEM)


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch sentinel'\ntR.",
        b"(S'touch sentinel'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch sentinel'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
        b"\x80\x02cos\nsystem\n\x81.",
    ],
)
def test_every_spelling_of_a_call(tmp_path, data):
    assert refused(tmp_path, data) == never_needs("os.system")


@pytest.mark.parametrize(
    ("module", "name", "shown"),
    [
        ("torch._utils", "_import_dotted_name", "torch._utils._import_dotted_name"),
        ("torch", "serialization.load", "torch.serialization.load"),
        ("torch.nn", "Module", "torch.nn.Module"),
        ("__torch__.evil", "Module", "__torch__.evil.Module"),
        ("os\nimport", "x", None),
        ("a" * 5000, "b" * 5000, None),
        ("a" * 3000, "b" * 3000, "a" * 97 + "..."),
        ("\x1b[31m", "evil", r"\x1b[31m.evil"),
    ],
)
def test_names_near_the_allowed_ones(tmp_path, module, name, shown):
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    message = refused(tmp_path, b"\x80\x04" + text(module) + text(name) + b"\x93.")
    if shown is not None:
        assert message == never_needs(shown)


@pytest.mark.parametrize(
    "build",
    [
        # (None, {"__setstate__": 1}): attributes for the class or function that a name stands for
        b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__Ns\x86b.",
        b"ccollections\nOrderedDict\n}X\x05\x00\x00\x00itemsNsb.",
        b"ctorch\nFloatStorage\n}X\x05\x00\x00\x00dtypeNsb.",
        b"}}X\x01\x00\x00\x00aNs\x86b.",
        b"](X\x01\x00\x00\x00ab.",
    ],
)
def test_attributes_cannot_be_set_on_our_objects(tmp_path, build):
    assert "not a readable checkpoint" in refused(tmp_path, b"\x80\x02" + build)
    network = tiny_generator()
    checkpoints.save(network, tmp_path / "g.safetensors")
    torch.save({"G": network.state_dict()}, tmp_path / "g.pt")
    checkpoints.load_generator(tmp_path / "g.pt")  # still in order


# Memory and time


def peak_memory(action) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb(tmp_path):
    """50 MB of zeros in 50 kB: compressed members are refused, because PyTorch never writes them."""
    data = saved({"G": {"w": torch.zeros(4)}})
    bomb = rewrite_zip(
        data, lambda name, old: bytes(50_000_000) if name == "data/0" else old, zipfile.ZIP_DEFLATED
    )
    assert len(bomb) < 100_000
    peak = peak_memory(lambda: refused(tmp_path, bomb))
    assert peak < 5_000_000
    message = refused(tmp_path, bomb)
    assert message.startswith("x.pt compresses or encrypts its member")
    assert "refused" in message


def test_many_tensors_over_the_same_bytes(tmp_path):
    """A small file whose tensors would fill the memory if they were copied."""
    base = torch.zeros(100_000)
    data = saved({f"weight{i}": base for i in range(500)})
    assert len(data) < 600_000
    message = refused(tmp_path, data)
    assert "declares 0.2 GB of tensors in a file of 0.000 GB; refused" in message


def tensor_pickle(storage_size: int, shape: tuple, stride: tuple, offset: int = 0) -> bytes:
    """A torch file with one tensor of the given geometry over eight bytes of data."""

    def number(n: int) -> bytes:
        size = (n.bit_length() + 8) // 8
        return b"\x8a" + bytes([size]) + n.to_bytes(size, "little", signed=True)

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(number(n) for n in values) + b"t"

    pid = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    pid += number(storage_size) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + number(offset)
    tensor += numbers(shape) + numbers(stride) + b"\x89}tR"
    body = b"\x80\x02}X\x12\x00\x00\x00mapping.fc0.weight" + tensor
    body += b"s."
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("x/data.pkl", body)
        archive.writestr("x/data/0", b"\0" * 8)
    return target.getvalue()


@pytest.mark.parametrize(
    ("storage", "shape", "stride", "offset"),
    [
        (2**40, (2,), (1,), 0),
        (2, (2**40,), (0,), 0),
        (2, (2**60, 2**60), (0, 0), 0),
        (2, (-1,), (1,), 0),
        (2, (2,), (-1,), 0),
        (2, (0, 2**62), (1, 1), 0),
        (2, (1,) * 40, (1,) * 40, 0),
        (2, (2,), (1, 1), 0),
        (2, (2,), (1,), -5),
        (-2, (2,), (1,), 0),
    ],
)
def test_impossible_tensor_geometry(tmp_path, storage, shape, stride, offset):
    refused(tmp_path, tensor_pickle(storage, shape, stride, offset))


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [((2,), (1,), 1), ((2,), (5,), 0), ((3,), (0,), 0), ((1,), (1,), 9)],
)
def test_views_beyond_their_storage(tmp_path, shape, stride, offset):
    """Detected when the tensor is read; nothing else of the file is read before."""
    (tmp_path / "x.pt").write_bytes(tensor_pickle(2, shape, stride, offset))
    (record,) = flatten(read(tmp_path / "x.pt").tree).values()
    with pytest.raises(FiceError, match=r"x\.pt is not a readable checkpoint: a tensor of shape"):
        read_tensor(record, "x.pt")
    with pytest.raises(FiceError, match="data is missing"):
        Storage(torch.float32, 2).to_tensor()


def test_a_huge_declared_array(tmp_path):
    shape = b"(J" + struct.pack("<i", 2**31 - 1) + b"J" + struct.pack("<i", 2**16) + b"t"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + shape + b"U\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR"
    data = (
        b"\x80\x02}U\x01w" + array + b"(K\x01" + shape + dtype + b"\x89U\x08" + bytes(8) + b"tbs."
    )
    peak = peak_memory(lambda: refused(tmp_path, data))
    assert "refused" in refused(tmp_path, data)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62),  # byte string of 4 EiB
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc",
        b"\x80\x02B" + struct.pack("<I", 2**32 - 1),
        b"\x80\x02T" + struct.pack("<i", -5),
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\1" * 9,  # integer of 2 GB
        b"\x80\x02\x8b" + struct.pack("<i", 70) + b"\1" * 70 + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 2**63),  # frame
        b"I" + b"9" * 3000 + b"\n.",
    ],
)
def test_impossible_lengths_are_refused(tmp_path, data):
    peak = peak_memory(lambda: refused(tmp_path, data))
    assert peak < 5_000_000


def test_a_far_memo_slot_costs_nothing(tmp_path):
    """Python's unpickler allocates all slots up to number 4294967295."""
    data = b"\x80\x02]r\xff\xff\xff\xff."
    assert peak_memory(lambda: harmless(tmp_path, data)) < 5_000_000


@pytest.mark.parametrize("depth", [200_000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        (b"", b""),
        (b"](", b"e"),
        (b"}K\x00", b"s"),
        (b"N", b"\x85"),
    ],
)
def test_deep_nesting(tmp_path, depth, opening, closing):
    if not opening:
        data = b"\x80\x02" + b"N" + b"\x85" * depth + b"."
    elif closing == b"\x85":
        data = b"\x80\x02}" + b"N" + b"\x85" * depth + b"Ns."  # as a dictionary key, to be hashed
    else:
        data = b"\x80\x02" + opening * depth + b"N" + closing * depth + b"."
    harmless(tmp_path, data)


def harmless(tmp_path: Path, data: bytes) -> None:
    """The file is refused with one line, or contains no network."""
    (tmp_path / "x.pkl").write_bytes(data)
    kind, message = "unknown", ""
    try:
        kind = checkpoints.describe(tmp_path / "x.pkl").kind
    except FiceError as error:
        message = str(error)
    assert kind == "unknown"
    assert "\n" not in message


def test_files_that_refer_to_themselves(tmp_path):
    tree: dict = {"weight": torch.zeros(2)}
    tree["self"] = tree
    tree["list"] = [tree]
    torch.save(tree, tmp_path / "x.pt")
    assert checkpoints.describe(tmp_path / "x.pt").details["tensors"] == 1


def test_doubling_by_reference(tmp_path):
    """Forty dictionaries, each with the next one twice: 2^40 paths."""
    tree: dict = {"weight": torch.zeros(2)}
    for _ in range(38):
        tree = {"a": tree, "b": tree}
    (tmp_path / "x.pt").write_bytes(saved(tree))
    assert checkpoints.describe(tmp_path / "x.pt").details["tensors"] == 1


def test_copying_the_same_list_again_and_again(tmp_path):
    pairs = b"(" + b"(NNl" * 50_000 + b"l" + b"q\x01"
    data = (
        b"\x80\x02" + pairs + b"ccollections\nOrderedDict\nq\x02" + b"h\x02h\x01\x85R" * 5000 + b"."
    )
    assert "far more entries" in refused(tmp_path, data)


def test_files_in_files_in_files(tmp_path):
    inner = b"N."
    for _ in range(5):
        inner = saved(Call(torch.storage._load_from_bytes, inner), legacy=True)
    data = pickle.dumps(Call(torch.storage._load_from_bytes, inner))
    assert "nests files in files" in refused(tmp_path, data)


def test_files_in_a_file_share_its_budget(tmp_path):
    """A file of 600 kB that is read 1,000 times as a part of another one: 60 million instructions."""
    long = legacy(b"\x80\x02(" + b"N0" * 30_000 + b"l.")
    load = b"ctorch.storage\n_load_from_bytes\nh\0\x85R0"
    data = b"\x80\x04B" + struct.pack("<I", len(long)) + long + b"\x940(" + load * 1000 + b"N."
    assert "was expected inside its pickle" in refused(tmp_path, data)
    storage = legacy(storage_pickle(b"\x80\x02(" + b"N0" * 30_000 + b"1"))
    data = data.replace(
        struct.pack("<I", len(long)) + long, struct.pack("<I", len(storage)) + storage
    )
    assert "far more entries" in refused(tmp_path, data)


def storage_pickle(before: bytes = b"\x80\x02") -> bytes:
    """A storage without elements, as a legacy file pickles it."""
    return before + b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\0NtQ."


# Text and numbers of the file

DOUBLED = b"\x80\x04)\x94" + b"".join(
    b"j" + struct.pack("<I", i) + b"2\x86\x94" for i in range(60)
)  # tuples of two tuples, sixty deep: as text they have 2^60 brackets


@pytest.mark.parametrize(
    "use",
    [
        b"cpathlib\nPosixPath\nh\x3c\x85R.",
        b"ctorch\ndevice\nh\x3c\x85R.",
        b"ctorch\ndevice\nX\x04\0\0\0cudah\x3c\x86R.",
        b"ctorch.serialization\n_get_layout\nh\x3c\x85R.",
        b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}X\x0a\0\0\0class_nameh\x3cs\x85R.",
        b"}h\x3cNs.",
        b"(h\x3c\x91.",
        b"(h\x3c\x91}h\x3cNs.",
        b"\x8f(h\x3c\x90.",
        b"cnumpy\ndtype\nh\x3c\x85R.",
        b"cnumpy\ndtype\nX\x01\0\0\0fR(K\x03h\x3ctb.",
        b"ccollections\nOrderedDict\n]h\x3cN\x86a\x85R.",
        b"cbuiltins\ncomplex\nh\x3c\x85R.",
        b"(h\x3c\x8c\x01xctorch\nFloatStorage\nNNtQ.",
        b"ctorch._tensor\n_rebuild_from_type_v2\ncbuiltins\nlist\nNh\x3cN(tR.",
    ],
)
def test_tuples_that_double_are_never_made_text_or_hashed(tmp_path, use):
    start = time.process_time()
    harmless(tmp_path, DOUBLED + use)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", [b"cpathlib\nPosixPath\n", b"ctorch._utils\n_rebuild_parameter\n"])
def test_texts_that_grow(tmp_path, name):
    """Each path is the one before, eight times: a thousand letters become 10^12."""
    data = b"\x80\x04X" + struct.pack("<I", 1000) + b"a" * 1000 + b"\x94"
    for i in range(10):
        data += name + b"(" + (b"h" + bytes([i])) * 8 + b"tR\x94"
    peak = peak_memory(lambda: harmless(tmp_path, data + b"."))
    assert peak < 100_000_000
    if b"Path" in name:
        assert "longer names and texts" in refused(tmp_path, data + b".")


def test_bytes_that_are_encoded_again_and_again(tmp_path):
    data = b"\x80\x04X" + struct.pack("<I", 4000) + b"a" * 4000 + b"\x94(c_codecs\nencode\n\x940"
    peak = peak_memory(lambda: harmless(tmp_path, data + b"h\1h\0\x85R" * 100_000 + b"l."))
    assert peak < 100_000_000
    assert "longer names and texts" in refused(tmp_path, data + b"h\1h\0\x85R" * 100_000 + b"l.")


def test_long_paths_to_tensors(tmp_path):
    """Dictionaries in dictionaries with long keys, and 2,000 tensors at the bottom."""
    tree = {str(i): torch.zeros(0) for i in range(2000)}
    for _ in range(30):
        tree = {"k" * 3000: tree}
    assert "longer names and texts" in refused(tmp_path, saved(tree))


def test_one_state_in_many_objects(tmp_path):
    """2,000 objects with the same dictionary of 2,000 entries: four million paths."""
    state = b"}(" + b"".join(b"X\x04\0\0\0%04dN" % i for i in range(2000)) + b"u\x940"
    objects = b"".join(b"X\x04\0\0\0%04dcargparse\nNamespace\n)Rh\0b" % i for i in range(2000))
    (tmp_path / "x.pt").write_bytes(b"\x80\x04" + state + b"}(" + objects + b"u.")
    with pytest.raises(FiceError, match="far more entries"):
        checkpoints.describe(tmp_path / "x.pt")


def test_numbers_that_collide_in_a_hash_table(tmp_path):
    """Multiples of 2^61 - 1 have the hash 0. A dictionary of 30,000 of them would take minutes."""
    keys = b"".join(
        b"\x8a\x10" + (i * (2**61 - 1)).to_bytes(16, "little") + b"N" for i in range(30_000)
    )
    start = time.process_time()
    harmless(tmp_path, b"\x80\x02}(" + keys + b"u.")
    harmless(tmp_path, b"\x80\x04(" + keys + b"\x91.")
    assert time.process_time() - start < 3


def test_keys_of_all_kinds(tmp_path):
    tree = {1: {"a": torch.zeros(1)}, (2, "b"): {b"c": torch.zeros(1)}, None: torch.zeros(1)}
    torch.save(tree, tmp_path / "x.pt")
    assert set(flatten(read(tmp_path / "x.pt").tree)) == {"1.a", "2, b.c", "None"}


def test_names_do_not_import_modules(monkeypatch):
    """torch imports some of its modules when they are looked up, which takes seconds."""

    def imported(name):
        raise AssertionError(f"looked up torch.{name}")

    monkeypatch.setattr(torch, "__getattr__", imported)
    assert resolve("torch", "_no_such_module") is None
    assert resolve("torch", "float16") is torch.float16


def test_a_constructor_inside_a_constructor_inside_a_constructor(tmp_path):
    """_rebuild_from_type_v2(itself, None, (itself, None, (...))), a thousand deep."""
    name = b"\x80\x04ctorch._tensor\n_rebuild_from_type_v2\n\x940"
    arguments = b"h\0N)\x87"
    for _ in range(1000):
        arguments = b"h\0N" + arguments + b"\x87"
    assert "made in an unknown way" in refused(tmp_path, name + b"h\0" + arguments + b"R.")


def test_a_deep_chain_of_objects(tmp_path):
    """Objects in objects, 100,000 deep, are made, walked through and freed without recursion."""
    objects = (
        b"\x94(cargparse\nNamespace\nj" + struct.pack("<I", i) + b"o" for i in range(100_000)
    )
    harmless(tmp_path, b"\x80\x04N" + b"".join(objects) + b".")


@pytest.mark.parametrize(
    ("error", "words"), [(RecursionError, "nests its contents"), (MemoryError, "more memory")]
)
def test_errors_of_the_interpreter_end_in_one_line(tmp_path, monkeypatch, error, words):
    (tmp_path / "x.pt").write_bytes(saved({"w": torch.zeros(1)}))

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Unpickler, "load", fail)
        assert words in refusal(tmp_path / "x.pt")
    monkeypatch.setattr(checkpoints.detection, "_check_volume", fail)
    assert words in refusal(tmp_path / "x.pt")


def test_a_large_zip_directory(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("x/data.pkl", b"N.")
    data = target.getvalue()
    entry = data[data.index(b"PK\x01\x02") : data.index(b"PK\x05\x06")]
    end = bytearray(data[data.index(b"PK\x05\x06") :])
    count = (5 << 20) // len(entry)
    struct.pack_into("<HHII", end, 8, 0xFFFE, 0xFFFE, count * len(entry), data.index(entry))
    large = data[: data.index(entry)] + entry * count + bytes(end)
    peak = peak_memory(lambda: refused(tmp_path, large))
    assert "zip directory" in refused(tmp_path, large)
    assert peak < 20_000_000


# Names and settings that are printed


def printed(tmp_path: Path, data: bytes) -> list[str]:
    """The lines of `fice inspect`; all are printable."""
    (tmp_path / "x.safetensors").write_bytes(data)
    result = fice("inspect", tmp_path / "x.safetensors")
    assert result.exit_code == 0
    lines = result.stdout.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    return lines


def test_control_characters_are_shown_and_not_obeyed(tmp_path):
    header = {
        "__metadata__": {"no\x1b[2Jte": "x\n  generator  everything is fine\x1b[8m\u202e"},
        "a\n\x1b]0;title\x07\x9b31m": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    summary, *details = printed(tmp_path, safetensors_bytes(header, bytes(4)))
    assert r"(1 tensors: a\n\x1b]0;title\x07\x9b31m...)" in summary
    assert r"no\x1b[2Jte  x\n  generator  everything is fine\x1b[8m\u202e" in " ".join(details[-1:])


def test_long_descriptions_are_cut(tmp_path):
    metadata = {f"n{i:03}" + "o" * 5000: "m" * 10_000 for i in range(200)}
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = {"__metadata__": metadata, "k" * 100_000: tensor}
    lines = printed(tmp_path, safetensors_bytes(header, bytes(4)))
    assert len(lines) < 70
    assert max(map(len, lines)) < 2500
    assert lines[-1].split() == ["...", "144", "more"]


@pytest.mark.parametrize(
    "settings",
    [
        {"vocabulary": 5},
        {"vocabulary": ["a", None]},
        {"vocabulary": [["a\x1b"] * 9] * 9},
        {"vision_cfg": {"layers": [1] * 100_000}},
        {"vision_cfg": [[[[[]]]]] * 1000, "embed_dim": 10**400},
        {"text_cfg": {"width": float("nan"), "a" * 10_000: {"b": "\x07"}}},
    ],
)
def test_absurd_settings_are_described_and_refused(tmp_path, settings):
    metadata = {"fice.kind": "clip", "fice.config": json.dumps(settings)}
    data = safetensors_bytes({"__metadata__": metadata}, b"")
    printed(tmp_path, data)
    with pytest.raises(FiceError, match="its settings do not describe a valid clip") as caught:
        checkpoints.load(tmp_path / "x.safetensors")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "absurd",
    ["\x1b[31m", "n" * 10_000, [["a" * 5000] * 9], {"b": "\x07"}, 10**300, 1e300, None, True],
    ids=["control", "long", "nested", "mapping", "huge", "large", "none", "bool"],
)
@pytest.mark.parametrize(
    ("kind", "names", "others"),
    [
        ("clip", ["embed_dim"], {"vision_cfg": {"layers": 3}}),
        ("encoder", ["num_styles", "style_dim"], {}),
        ("generator", ["w_dim"], {"resolution": [256, 256]}),
        ("densepose", ["head"], {"blocks": [1, 2, 2, 1]}),
        ("segmenter", ["labels"], {"blocks": [1, 2, 2, 1]}),
        ("sam", ["image_size", "depth"], {"embed_dim": 768}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_absurd_settings_stay_out_of_the_summary(tmp_path, kind, names, others, absurd):
    settings = others | dict.fromkeys(names, absurd)
    if kind == "clip":
        settings["vision_cfg"] = others["vision_cfg"] | {"image_size": absurd}
    metadata = {"fice.kind": kind, "fice.config": json.dumps(settings)}
    summary, *_ = printed(tmp_path, safetensors_bytes({"__metadata__": metadata}, b""))
    assert len(summary) < 160


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "embed_dim is missing"),
        ({"embed_dim": 2.5}, "embed_dim is 2.5, but a whole number was expected"),
        ({"embed_dim": True}, "embed_dim is true, but a whole number was expected"),
        ({"quick_gelu": "no"}, "quick_gelu is 'no', but true or false was expected"),
        ({"vocabulary": 5}, "vocabulary is 5, but a list of texts or null was expected"),
        ({"vocabulary": {"a": 1}}, "vocabulary is a mapping, but a list of texts or null was"),
        ({"vocabulary": ["a", None]}, "vocabulary is a list of other things, but a list of texts"),
        ({"mean": "dark"}, "mean is 'dark', but a list of numbers was expected"),
        ({"std": [0.2, 0.2, float("inf")]}, "std is a list of other things, but a list of numbers"),
        ({"std": [0.2, 0, 0.2]}, "std is not above 0 in every channel"),
        ({"std": [0.2]}, "mean and std have 3 and 1 numbers, not 3 each"),
        ({"text_cfg": None}, "text_cfg is null, but a mapping was expected"),
        ({"colour": "red"}, "there is no setting colour"),
    ],
)
def test_settings_of_another_type_are_named(tmp_path, settings, reason):
    sound = {"embed_dim": 8, "vision_cfg": {"layers": 1, "width": 8, "head_width": 8}}
    sound |= {"text_cfg": {"width": 8, "heads": 1, "layers": 1, "vocab_size": 49408}}
    metadata = {
        "fice.kind": "clip",
        "fice.config": json.dumps(sound | settings if settings else {}),
    }
    (tmp_path / "x.safetensors").write_bytes(safetensors_bytes({"__metadata__": metadata}, b""))
    with pytest.raises(FiceError, match="its settings do not describe a valid clip") as caught:
        checkpoints.load(tmp_path / "x.safetensors")
    assert reason in str(caught.value)


def test_settings_nested_too_deeply(tmp_path):
    metadata = {"fice.kind": "clip", "fice.config": '{"a":' * 900 + "1" + "}" * 900}
    printed(tmp_path, safetensors_bytes({"__metadata__": metadata}, b""))
    with pytest.raises(FiceError, match="its settings do not describe a valid clip"):
        checkpoints.load(tmp_path / "x.safetensors")


def test_an_encoder_without_its_linear_layers(tmp_path):
    marks = ("input_layer.0.weight", "styles.0.convs.0.weight", "body.0.res_layer.3.weight")
    data = saved({f"encoder.{mark}": torch.zeros(1, 3, 1, 1) for mark in marks})
    assert "is incomplete: styles.0.linear.weight" in refused(tmp_path, data)


# Byte order, encryption, missing parts


def test_unknown_byte_order(tmp_path):
    data = rewrite_zip(
        saved({"w": torch.zeros(2)}), lambda name, old: b"middle" if name == "byteorder" else old
    )
    assert "byte order is neither little nor big" in refused(tmp_path, data)


@pytest.mark.parametrize("member", ["data/0", "data.pkl"])
def test_missing_members(tmp_path, member):
    data = rewrite_zip(
        saved({"w": torch.zeros(2)}), lambda name, old: None if name == member else old
    )
    refused(tmp_path, data)


def test_encrypted_members(tmp_path):
    data = bytearray(rewrite_zip(saved({"w": torch.zeros(2)}), lambda name, old: old))
    start = data.find(b"PK\x01\x02")
    while start >= 0:  # the flag in every entry of the directory
        data[start + 8] |= 1
        start = data.find(b"PK\x01\x02", start + 1)
    assert "encrypts" in refused(tmp_path, bytes(data))


def test_other_archives(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    assert "a zip archive that contains no PyTorch checkpoint" in refused(
        tmp_path, target.getvalue()
    )


@pytest.mark.parametrize(
    "data",
    [
        safetensors_bytes(
            {"w": {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 8]}}, b"12345678"
        ),
        safetensors_bytes(
            {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]}}, b"12345678"
        ),
        safetensors_bytes(
            {"w": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}}, b"12345678"
        ),
        safetensors_bytes({"w": 3}, b""),
        (30).to_bytes(8, "little") + b"{" * 60,
        (2**60).to_bytes(8, "little") + b'{"a": 1}',
    ],
)
def test_broken_safetensors(tmp_path, data):
    refused(tmp_path, data, "x.safetensors")


# Anything at all


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> dict[str, bytes]:
    return sound_files(tmp_path_factory.mktemp("forms"))


def survives(folder: Path, data: bytes) -> None:
    """Loading succeeds or raises FiceError with one line; anything else fails the test."""
    path = folder / "fuzzed.bin"
    path.write_bytes(data)
    message = ""
    try:
        checkpoints.load(path)
    except FiceError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 500


FORMS = st.sampled_from(["zip", "legacy", "nvidia", "detectron2", "torchscript", "safetensors"])
SEEDS = st.integers(0, 2**32)
BEGINNINGS = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"\x08" + b"\0" * 7]
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(start=BEGINNINGS, data=st.binary(max_size=400))
@example(start=b"", data=b"")
def test_random_bytes(tmp_path, start, data):
    survives(tmp_path, start + data)


@FUZZ
@given(form=FORMS, fraction=st.floats(0, 1, exclude_max=True))
def test_truncated_files(tmp_path, forms, form, fraction):
    data = forms[form]
    (tmp_path / "cut.bin").write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(FiceError, match=r"^cut\.bin"):
        checkpoints.load(tmp_path / "cut.bin")


@FUZZ
@given(
    form=FORMS,
    changes=st.lists(
        st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=9
    ),
    from_end=st.booleans(),
)
def test_altered_files(tmp_path, forms, form, changes, from_end):
    data = bytearray(forms[form])
    for position, value in changes:
        position %= len(data)
        data[-1 - position if from_end else position] = value
    survives(tmp_path, bytes(data))


@settings(FUZZ, max_examples=60)
@given(kind=st.sampled_from(sorted(GENERATORS)), seed=SEEDS)
def test_nested_repeated_and_absurd_files(tmp_path, kind, seed):
    """`tools/fuzz_checkpoints.py` reads ten thousand of these."""
    survives(tmp_path, GENERATORS[kind](Random(seed)))


@settings(FUZZ, max_examples=60)
@given(form=FORMS, seed=SEEDS)
def test_damaged_files_of_every_kind(tmp_path, forms, form, seed):
    survives(tmp_path, damaged(Random(seed), forms[form]))
