import numpy as np
import pytest

from fice_core.people.maths import (
    encoded,
    frame,
    linear,
    rotation,
    rotation_between,
    smoothstep,
    twist_angle,
    unit,
)

pytest.importorskip("scipy", reason="meshes of people need scipy (extra `people`)")
from fice_core.people.topology import Sheet, edges, loop_matrix, normals, triangles

Z = np.array([0.0, 0.0, 1.0])


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat unit square of n x n cells."""
    x, y = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1))
    points = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    i = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    quads = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]], -1).reshape(-1, 4)
    return points, triangles(quads)


def area(points: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_a_quarter_turn() -> None:
    assert rotation(Z, np.pi / 2) @ np.array([1.0, 0, 0]) == pytest.approx([0, 1, 0], abs=1e-12)


def test_the_smallest_rotation_reaches_its_aim() -> None:
    a, b = np.array([1.0, 2, 3]), np.array([-2.0, 0.5, 1])
    assert rotation_between(a, b) @ unit(a) == pytest.approx(unit(b))


def test_the_twist_of_a_swing_and_a_twist() -> None:
    axis = unit(np.array([0.3, -0.5, 0.8]))
    swing = rotation(np.cross(axis, Z), 0.7)
    assert twist_angle(swing @ rotation(axis, 1.1), axis) == pytest.approx(1.1)
    assert twist_angle(swing @ rotation(axis, -2.0), axis) == pytest.approx(-2.0)


def test_a_frame_is_orthonormal() -> None:
    f = frame(np.array([1.0, 2, 0]), np.array([0.2, 1, 1]))
    assert f.T @ f == pytest.approx(np.eye(3)) and np.linalg.det(f) == pytest.approx(1)


def test_srgb_by_hand() -> None:
    assert linear(0.5) == pytest.approx(0.21404, abs=1e-5)
    assert encoded(linear(np.linspace(0, 1, 20))) == pytest.approx(np.linspace(0, 1, 20), abs=1e-6)


def test_smoothstep_is_level_at_its_ends() -> None:
    assert smoothstep([0.0, 1.0, 1.5, 2.0, 3.0], 1, 2) == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_tetrahedron_has_six_edges() -> None:
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    edge, of_face = edges(faces)
    assert len(edge) == 6
    assert np.array_equal(np.sort(edge[of_face[1, 0]]), [0, 3])


def test_subdivision_keeps_planes_and_constants() -> None:
    points, faces = grid(4)
    matrix, finer = loop_matrix(faces, len(points))
    assert np.asarray(matrix.sum(1)).ravel() == pytest.approx(1)
    assert len(finer) == 4 * len(faces)
    fine = matrix @ points
    assert np.abs(fine[:, 2]).max() == 0
    assert normals(fine, finer)[:, 2] == pytest.approx(1)


def test_a_sheet_is_cut_along_a_line() -> None:
    points, faces = grid(5)
    sheet = Sheet(faces, {"p": points, "x": points[:, 0]})
    kept = sheet.clip(0.33 - points[:, 0])
    assert area(kept["p"], kept.faces) == pytest.approx(0.33)
    assert kept["x"].max() == pytest.approx(0.33)
    assert kept["p"][:, 0] == pytest.approx(kept["x"])
    assert (normals(kept["p"], kept.faces)[:, 2] > 0.99).all()


def test_the_border_of_a_square_is_its_rim() -> None:
    points, faces = grid(3)
    rim = np.unique(Sheet(faces, {"p": points}).border())
    assert len(rim) == 12


def test_a_cylinder_unfolds_to_its_true_lengths() -> None:
    from fice_core.people.unfold import unfolded

    points, faces = grid(20)
    angle = (points[:, 0] - 0.5) * 2.0
    radius = 0.3
    shape = np.stack([radius * np.sin(angle), -radius * np.cos(angle), points[:, 1]], 1)
    start = np.stack([angle * 0.2, points[:, 1] * 0.9], 1)  # wrong radius, squeezed height
    flat = unfolded(start, shape, faces, np.ones(len(points)))
    across = flat[:, 0].max() - flat[:, 0].min()
    assert across == pytest.approx(2.0 * radius, rel=0.05)
    assert flat[:, 1].max() - flat[:, 1].min() == pytest.approx(1.0, rel=0.05)
