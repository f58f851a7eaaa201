"""The nodes' names, sockets, help pages and translations."""

import ast
import json
from pathlib import Path

import pytest
from server import PACK

from workflows import is_widget, ordered_inputs

SNAPSHOT = Path(__file__).parent / "snapshot.json"
LANGUAGES = ("zh", "ja", "ko")


@pytest.fixture(scope="session")
def ours(info):
    return {name: schema for name, schema in info.items() if name.startswith("FICE_")}


def _frozen(schema):
    """What saved workflows depend on."""
    inputs = {
        part: [
            [name, of, bool(options.get("control_after_generate"))]
            for name, of, options in ordered_inputs(
                {"input": {part: schema["input"].get(part, {})}}
            )
        ]
        for part in ("required", "optional")
    }
    return {
        **inputs,
        "outputs": [
            list(pair) for pair in zip(schema["output_name"], schema["output"], strict=True)
        ],
    }


def test_saved_workflows_keep_working(ours):
    """Ids, order of inputs and outputs are what they were: new inputs go last and are optional.

    A change on purpose: delete the file, run the test once, and say in the commit what broke.
    """
    found = {name: _frozen(schema) for name, schema in sorted(ours.items())}
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
        pytest.fail(f"{SNAPSHOT} was written; look at it and commit it")
    assert found == json.loads(SNAPSHOT.read_text())


def test_every_input_and_output_has_a_tooltip(ours):
    bare = [
        f"{node}.{name}"
        for node, schema in ours.items()
        for name, _, options in ordered_inputs(schema)
        if not options.get("tooltip")
    ]
    bare += [
        f"{node} output {place}"
        for node, schema in ours.items()
        for place, tooltip in enumerate(schema["output_tooltips"])
        if not tooltip
    ]
    assert bare == []


def test_a_node_shows_what_matters(ours):
    """At most four widgets are in sight; the others are marked as advanced, and work untouched."""
    for node, schema in ours.items():
        widgets = [(n, options) for n, of, options in ordered_inputs(schema) if is_widget(of)]
        shown = [name for name, options in widgets if not options.get("advanced")]
        assert len(shown) <= 4, f"{node}: {shown}"
        for name, options in widgets:
            assert "default" in options or not options.get("advanced"), f"{node}.{name}"


def test_every_node_describes_itself(ours):
    for name, schema in ours.items():
        assert schema["description"], name
        assert schema["search_aliases"], name
        assert schema["category"].startswith("FICE"), name
        assert schema["display_name"].endswith(" (FICE)"), name


def test_the_search_finds_an_edit_by_what_people_call_it(ours):
    called = set(ours["FICE_Edit"]["search_aliases"])
    assert called >= {
        "dress",
        "outfit",
        "change clothes",
        "clothing swap",
        "text to clothes",
        "stylegan",
        "clip guided",
    }


def test_categories_are_jobs_and_translated(ours):
    jobs = {schema["category"].removeprefix("FICE").strip("/") for schema in ours.values()} - {""}
    for language in LANGUAGES:
        names = json.loads((PACK / "locales" / language / "main.json").read_text())
        assert set(names["nodeCategories"]) == jobs
        assert all(not name.isascii() for name in names["nodeCategories"].values())


def test_every_node_has_a_help_page_that_is_served(server, ours):
    pages = {path.stem for path in (PACK / "web" / "docs").glob("FICE_*.md")}
    assert pages == set(ours)
    for name in ours:
        served = server.get(f"/extensions/comfyui-fice/docs/{name}.md").decode()
        assert served == (PACK / "web" / "docs" / f"{name}.md").read_text()
        assert "![" in served, name
        for line in served.splitlines():
            if line.startswith("!["):
                image = line.rsplit("(", 1)[1].rstrip(")")
                assert server.get(f"/extensions/comfyui-fice/docs/{image}")[:4] in (
                    b"\x89PNG",
                    b"\xff\xd8\xff\xe0",
                )


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_and_tooltips_are_translated(server, ours, language):
    served = server.get("/i18n")
    names = served[language]["nodeDefs"]
    for node, schema in ours.items():
        entry = names[node]
        assert entry["display_name"] and entry["description"], node
        inputs = [name for name, _, _ in ordered_inputs(schema)]
        assert sorted(entry["inputs"]) == sorted(inputs), node
        assert sorted(entry["outputs"]) == [str(k) for k in range(len(schema["output"]))], node
        for text in (*entry["inputs"].values(), *entry["outputs"].values()):
            assert text["name"] and text["tooltip"], node
            assert not text["tooltip"].isascii(), f"{node}: {text['tooltip']}"
    assert {name for name in names if name.startswith("FICE_")} == set(ours)


def test_nodes_are_thin():
    """No `execute` is longer than 40 lines, and the nodes are a fraction of the engine."""
    nodes = list((PACK / "nodes").glob("*.py"))
    for path in nodes:
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.FunctionDef) and found.name == "execute":
                assert found.end_lineno - found.body[0].lineno + 1 <= 40, (
                    f"{path.name}:{found.lineno}"
                )
    lines = sum(len(path.read_text().splitlines()) for path in nodes)
    engine = sum(len(path.read_text().splitlines()) for path in (PACK / "fice_core").rglob("*.py"))
    assert lines < 0.25 * engine


def test_a_broken_pack_would_be_noticed(server, ours):
    """ComfyUI only logs errors in an entry point."""
    assert "Error while calling comfy_entrypoint" not in server.log()
    failed = [line for line in server.log().splitlines() if "IMPORT FAILED" in line]
    assert not [line for line in failed if "fice" in line]
    assert len(ours) == 38
