"""Which jobs are edited at once, and how a batch is recognised."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fice_core.batch import groups
from fice_core.batch.groups import Input, grouped, identity
from fice_core.batch.jobs import Job
from fice_core.settings import EditSettings


def jobs_of(*pairs: tuple[str, str]) -> list[Job]:
    return [Job(photo, prompt, f"{k}.png") for k, (photo, prompt) in enumerate(pairs)]


def indices(groups: list[list[Job]]) -> list[list[int]]:
    return [[int(job.output.split(".")[0]) for job in group] for group in groups]


SMALL, LARGE = (10, 10), (20, 10)
SIZES = dict.fromkeys("abcde", SMALL) | {"x": LARGE, "y": LARGE, "broken": None}
SINGLE = jobs_of(*((name, "red") for name in "axbyc"))
SEVERAL = jobs_of(("a", "red"), ("b", "red"), ("a", "blue"), ("c", "red"), ("a", "grey"))


def test_groups_of_a_batch() -> None:
    assert indices(grouped(SINGLE, SIZES, apart=False, limit=2)) == [[0, 2], [4], [1, 3]]
    assert indices(grouped(SINGLE, SIZES, apart=True, limit=2)) == [[0], [1], [2], [3], [4]]
    assert indices(grouped(SEVERAL, SIZES, apart=False, limit=2)) == [[0, 2], [4], [1, 3]]
    negative = [Job("a", "red", "0.png"), Job("b", "red", "1.png", negative="hat")]
    jobs = [*negative, Job("broken", "red", "2.png")]
    assert indices(grouped(jobs, SIZES, apart=False, limit=2)) == [[0], [1], [2]]


def test_groups_without_a_limit() -> None:
    assert indices(grouped(SINGLE, SIZES, apart=False)) == [[0, 2, 4], [1, 3]]
    assert indices(grouped(SINGLE, SIZES, apart=True)) == [[0], [1], [2], [3], [4]]
    assert indices(grouped(SEVERAL, SIZES, apart=False)) == [[0, 2, 4], [1, 3]]
    many = jobs_of(*((f"{k}.png", "red") for k in range(20)))
    sizes = {job.photo: SMALL for job in many}
    assert [len(group) for group in grouped(many, sizes, apart=False)] == [20]
    assert [len(group) for group in grouped(many, sizes, apart=False, limit=8)] == [8, 8, 4]


def test_large_photos_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MAX_PIXELS", 250)
    sizes = dict.fromkeys("abc", (10, 10)) | dict.fromkeys("xy", (20, 20))
    for limit in (None, 8):
        assert indices(grouped(SINGLE, sizes, apart=False, limit=limit)) == [[0, 2], [4], [1], [3]]
    # Two prompts for a photo that fills the memory: without a limit its pixels count once.
    jobs = jobs_of(("x", "red"), ("x", "blue"))
    assert indices(grouped(jobs, sizes, apart=False, limit=8)) == [[0], [1]]
    assert indices(grouped(jobs, sizes, apart=False)) == [[0, 1]]


@given(
    jobs=st.lists(
        st.builds(
            Job,
            photo=st.sampled_from("abxy"),
            prompt=st.sampled_from(["red", "blue"]),
            negative=st.sampled_from(["", "hat"]),
            mask=st.sampled_from([None, "m"]),
            person=st.sampled_from([None, 1]),
        )
    ),
    apart=st.booleans(),
    limit=st.sampled_from([None, 1, 3]),
)
def test_a_group_is_of_one_subject_or_of_as_many_as_jobs(
    jobs: list[Job], apart: bool, limit: int | None
) -> None:
    found = grouped(jobs, SIZES, apart, limit)
    assert sorted(map(id, jobs)) == sorted(id(job) for group in found for job in group)
    for group in found:
        subjects = {job.subject for job in group}
        assert len(subjects) in (1, len(group))
        assert len(subjects) == 1 or not apart
        assert limit is None or len(group) <= limit
        for common in ("negative", "worn"):
            assert len({getattr(job, common) for job in group}) == 1
        assert len({(SIZES[job.photo], job.mask is None) for job in group}) == 1


def test_a_batch_is_recognised_by_what_its_results_depend_on() -> None:
    job = Job("in/a.png", "red", "a.png", "hat", "a top", "in/m.png", 1, place="row 2")
    inputs = {"in/a.png": Input("12", SMALL), "in/m.png": Input("34", SMALL)}
    found = identity([job], inputs, EditSettings(), {"clip": None}, {"device": "cpu"})
    assert list(found) == ["jobs or photos", "settings", "models", "device, threads or version"]
    rows = [["a.png", "12", "34", "red", "hat", "a top", 1]]
    assert found["jobs or photos"] == hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    assert found["models"] == hashlib.sha256(b'{"clip": null}').hexdigest()
    other = identity([job], inputs, EditSettings(seed=1), {"clip": None}, {"device": "cpu"})
    assert [name for name in found if found[name] != other[name]] == ["settings"]
