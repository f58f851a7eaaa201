"""The shape of the repository: what is installed, how ComfyUI loads it, and that its pages are true."""

import ast
import asyncio
import importlib
import importlib.util
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from setuptools import find_packages

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it along
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "fice_core").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pages() -> list[Path]:
    return sorted(
        [
            *ROOT.glob("*.md"),
            *(ROOT / "docs").rglob("*.md"),
            *ROOT.glob("workflows/*.md"),
            *ROOT.glob("benchmarks/*.md"),
        ]
    )


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Level and module of every import statement of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_knows_nothing_of_comfyui_and_imports_itself_relatively(path: Path) -> None:
    foreign = {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "server", "fice_core"}
    bad = [name for level, name in imports(path) if level == 0 and name.split(".")[0] in foreign]
    assert bad == []


# Import layers, see docs/architecture.md: a module imports from its own package and from lower layers.
LAYERS = (
    ("errors",),
    ("settings", "files", "ray_cluster"),
    ("ops", "images"),
    ("networks", "framing", "people"),
    ("acceleration", "checkpoints", "extraction", "latents", "demo", "datasets"),
    ("catalogue",),
    ("models", "persons", "masks", "inversion"),
    ("stitching",),
    ("editing", "registration", "preparation"),
    ("evaluation", "reporting", "training", "profiling"),
    ("batch", "bridges", "rivals"),
    ("comparison",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
NODES = sorted((ROOT / "nodes").glob("*.py"))


def own_imports(path: Path, package: Path) -> Iterator[str]:
    """Dotted names below `package` that a file imports relatively, inside functions too."""
    here = path.relative_to(package).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = node.level - 1
            base = list(here[: len(here) - up]) if up <= len(here) else [".."] * (up - len(here))
            module = [*base, *(node.module or "").split(".")] if node.module else base
            # `from . import x` imports the module x
            names = [[*module, alias.name] for alias in node.names] if not node.module else [module]
            yield from (".".join(name) for name in names)


def test_every_module_has_a_layer() -> None:
    tops = {path.relative_to(ROOT / "fice_core").parts[0].removesuffix(".py") for path in SOURCES}
    assert tops - {"__init__"} == set(LAYER_OF)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_lower_layers(path: Path) -> None:
    own = path.relative_to(ROOT / "fice_core").parts[0].removesuffix(".py")
    if own == "__init__":  # it names the public interface of all layers
        return
    tops = {name.split(".")[0] for name in own_imports(path, ROOT / "fice_core")} - {own}
    upward = sorted(top for top in tops if LAYER_OF[top] >= LAYER_OF[own])
    assert upward == [], f"{own} imports {upward}, which lie no lower"


def test_the_architecture_page_draws_the_tree_as_it_is() -> None:
    """Packages whose files the page lists, and the folder of the nodes."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    tree = re.search(r"## The tree\n\n```\n(.*?)```", page, flags=re.DOTALL)
    assert tree is not None
    here: set[str] = set()
    listed: dict[str, set[str]] = {}
    for line in tree[1].splitlines():
        if match := re.match(r" *(\w+)/ ", line):
            here = listed.setdefault(match[1], set())
        here |= set(re.findall(r"\w+\.py", line))
    layers = "\n".join(line for line in page.splitlines() if re.match(r"\| \d+ \|", line))
    assert re.findall(r"`(\w+)`", layers) == [name for names in LAYERS[:-1] for name in names]
    for folder in [*(ROOT / "fice_core").rglob("*/"), ROOT / "nodes"]:
        found = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        if len(listed.get(folder.name, ())) > 1 and folder.name != "commands":
            assert listed[folder.name] == found, folder


def test_modules_form_no_circle() -> None:
    """Within a package too, where layers say nothing. Imports for type checkers count."""
    package = ROOT / "fice_core"
    modules = {".".join(p.relative_to(package).with_suffix("").parts): p for p in SOURCES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    edges = {}
    for name, path in modules.items():
        found = {
            next((known for known in (each, each.rpartition(".")[0]) if known in modules), None)
            for each in own_imports(path, package)
        }
        edges[name] = found - {None, name}
    while free := {name for name, found in edges.items() if not found & edges.keys()}:
        edges = {name: found for name, found in edges.items() if name not in free}
    assert sorted(edges) == []


def loaded_at_import(path: Path) -> set[str]:
    """Top-level names that a module of ours loads from elsewhere when it is imported, by way of ours too."""
    package, found, todo, known = ROOT / "fice_core", set(), [path], {path}
    while todo:
        here = todo.pop()
        for node in ast.parse(here.read_text()).body:
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.ImportFrom):
                folder = here.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                names = [folder, *(folder / alias.name for alias in node.names)]
                files = [each.with_suffix(".py") for each in names]
                files += [each / "__init__.py" for each in names]
                files += [
                    each / "__init__.py" for each in folder.parents if package in each.parents
                ]
                new = {each for each in files if each.is_file()} - known
                known |= new
                todo += new
    return found


@pytest.mark.parametrize(
    "path",
    [ROOT / "fice_core" / name for name in ("__init__.py", "settings.py", "files.py", "cli.py")]
    + sorted((ROOT / "fice_core" / "commands").glob("*.py")),
    ids=lambda path: path.name,
)
def test_heads_load_no_torch(path: Path) -> None:
    """`fice --help` is fast. (`test_cli.py` looks at a process; this names the module.)"""
    assert not loaded_at_import(path) & {"torch", "torchvision", "open_clip", "numpy", "PIL"}


def test_the_search_for_loaded_modules_finds_torch() -> None:
    assert "torch" in loaded_at_import(ROOT / "fice_core" / "editing" / "pipeline.py")


def test_no_module_of_nodes_imports_another_one_that_defines_nodes() -> None:
    defining = {path.stem for path in NODES if "define_schema" in path.read_text()}
    assert len(defining) > 5
    for path in NODES:
        if path.stem != "__init__":
            taken = {name.split(".")[0] for name in own_imports(path, ROOT / "nodes")}
            assert not taken & (defining - {path.stem}), path.name


def test_public_imports() -> None:
    """What saved scripts, packs and pages import keeps working."""
    import fice_core

    assert {
        "EditInterrupted",
        "EditResult",
        "EditSettings",
        "FiceError",
        "Frame",
        "LossWeights",
        "Models",
        "Step",
        "edit",
        "load_models",
        "read_image",
        "write_image",
    } == set(fice_core.__all__)
    for name in fice_core.__all__:
        assert getattr(fice_core, name).__module__.startswith("fice_core.")
    for module, names in {
        "checkpoints": [f"load_{kind}" for kind in ("generator", "encoder", "densepose")]
        + ["load_segmenter", "load_clip", "load_sam", "save", "describe"],
        "editing": ["edit"],
        "images": ["read_image", "write_image"],
        "inversion": ["invert"],
        "masks": ["edit_mask"],
        "stitching": ["stitch"],
        "evaluation": ["evaluate"],
        "cli": ["main"],
    }.items():
        found = importlib.import_module(f"fice_core.{module}")
        assert [name for name in names if not callable(getattr(found, name))] == []


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, fice_core, fice_core.settings; fice_core.EditSettings(); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import fice_core

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(fice_core, "nonsense")  # noqa: B009


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name == "__init__.py"], ids=lambda path: path.parent.name
)
def test_every_package_says_what_lives_there(path: Path) -> None:
    page = ast.get_docstring(ast.parse(path.read_text()))
    assert page, f"{path} has no docstring"
    if path.parent != ROOT / "fice_core":
        assert "ay import" in page, f"{path} does not say what it may import"


def test_requirements_are_those_of_the_project() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == PROJECT["project"][
        "dependencies"
    ]
    pinned = [line for line in PROJECT["project"]["dependencies"] if re.search(r"==|<|~=", line)]
    assert pinned == []


def test_every_third_party_import_is_required() -> None:
    known = {
        "PIL": "pillow",
        "skimage": "scikit-image",
        "open_clip": "open_clip_torch",
        "timm": "open_clip_torch",  # which needs it
        "huggingface_hub": "open_clip_torch",  # which needs it too
        "segment_anything": "segment-anything",
        "torch_fidelity": "torch-fidelity",
        "drjit": "mitsuba",
        "warp": "warp-lang",
    }
    optional = {
        "tokenizers",
        "yaml",
    }  # for some files, which then ask for it; for ComfyUI's settings
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [
        *PROJECT["project"]["dependencies"],
        *extras["ray"],
        *extras["people"],
        *extras["parsers"],
        *extras["metrics"],
        *extras["datasets"],
    ]
    names = {re.split(r"[\[>=]", line)[0] for line in lines}
    for path in SOURCES:
        for level, module in imports(path):
            top = module.split(".")[0]
            if level == 0 and top not in sys.stdlib_module_names:
                assert known.get(top, top) in names | optional, f"{path} imports {top}"


class _Anything(type):
    """A class that has every attribute, each a class of the same kind."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {"__init__": lambda self, *args, **kwargs: None})


@pytest.fixture
def comfy_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for what the nodes import of ComfyUI; `tests/comfyui` has the real thing."""
    for name in (
        "comfy",
        "comfy.utils",
        "comfy.model_management",
        "comfy.model_patcher",
        "comfy_api",
        "comfy_api.latest",
        "comfy_execution",
        "comfy_execution.utils",
        "comfyui_version",
        "folder_paths",
        "server",
    ):
        module = types.ModuleType(name)
        module.__getattr__ = _Anything("stub", (), {}).__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["comfyui_version"].__version__ = "0.33.0"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("comfy_api")
def test_comfyui_loads_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ComfyUI does: by path, under a name with dots replaced, without touching sys.path."""
    name, before = "/custom_nodes/fice_x_1", list(sys.path)
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    extension = asyncio.run(module.comfy_entrypoint())
    assert len(asyncio.run(extension.get_node_list())) == 38
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")  # it would hide comfy_entrypoint
    assert sys.path == before


def test_readme_commands_are_those_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = [line.split() for line in (ROOT / ".ci" / "run").read_text().splitlines() if line]
    first, second = re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL)[:2]
    for command in (*first.split(" && "), *second.split(" && ")):
        words = command.split()
        if ".venv" in command:  # it makes its own, in a folder that is thrown away
            continue
        assert any(line[0] == words[0] and set(words) <= set(line) for line in ci), command


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_pages_exist(page: Path) -> None:
    from fice_core.cli import main

    for line in re.findall(r"^\s*(?:\$ )?fice (.+)$", page.read_text(), flags=re.MULTILINE):
        words = line.split("#")[0].split()
        command = main.commands.get(words[0])
        assert command is not None, line
        below = getattr(command, "commands", {})
        known = {name for option in command.params for name in option.opts}
        if below and len(words) > 1 and words[1][0] not in "-|":
            command = below.get(words[1])
            assert command is not None, line
            known = {name for option in command.params for name in option.opts}
        elif chosen := [below[word] for word in words if word in below]:  # options come first
            known |= {name for option in chosen[0].params for name in option.opts}
        used = {
            word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)
        }
        assert used <= known, line


def test_wheel_holds_the_library_alone() -> None:
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    parents = {".".join(path.relative_to(ROOT).parent.parts) for path in SOURCES}
    assert set(find_packages(str(ROOT), **find)) == parents


def test_demonstration_set_is_whole_and_small() -> None:
    folder = ROOT / "fice_core" / "demo" / "weights"
    found = {path.stem: path.stat().st_size for path in folder.iterdir()}
    assert {"generator", "encoder", "densepose", "segmenter", "clip"} <= set(found)
    assert sum(found.values()) < 40e6
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["fice_core"]
    shipped = {path for pattern in patterns for path in (ROOT / "fice_core").glob(pattern)}
    assert set(folder.iterdir()) <= shipped
