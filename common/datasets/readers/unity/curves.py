"""Turn annotations of Unity Imaging, curves through control points or words, into masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....contours import fill, spline

__all__ = ["CURVES", "ENDOCARDIUM", "LEFT_ATRIUM", "Structure", "annotation", "structures_of", "unlabelled"]

ENDOCARDIUM = "curve-lv-endo"
EPICARDIUM = "curve-lv-epi"
LEFT_ATRIUM = "curve-la-endo"
CURVES = (ENDOCARDIUM, EPICARDIUM, LEFT_ATRIUM)
MAX_NODES = 1000  # of a curve; experts set 10 to 30, the platform resamples to a few hundred
MAX_SIDE = 4096  # rows or columns; filling needs memory for every row and every point of a curve
UNKNOWN_TYPES = ("blurred", "point", None)  # a point is not an outline
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


@dataclass(frozen=True, eq=False)
class Structure:
    """Annotation of one structure in one image.

    Args:
        state: "drawn", "absent" (not in the image), or "unknown" (not annotated).
        nodes: control points, (points, 2), (row, column), in pixels; None unless drawn.
        straight: marks segments that are straight lines, (points - 1,); None if all are curved.
        remark: oddity of the label, for people to read; may be empty.
    """

    state: Literal["drawn", "absent", "unknown"]
    nodes: NDArray[np.float64] | None = None
    straight: NDArray[np.bool_] | None = None
    remark: str = ""


def structures_of(labels: Mapping[str, Any]) -> dict[str, Structure]:
    """Read the `CURVES` of an image from its labels.

    Args:
        labels: by name, `{"type": "curve", "x": "12.3 45.6 ...", "y": "..."}`; `straight_segment` may hold a flag for
            the segment after each node. Of a list of labels, the first curve is used.

    Example:
        >>> known = structures_of({"curve-lv-endo": {"type": "curve", "x": "1 2 3", "y": "4 9 4"}})
        >>> known["curve-lv-endo"].nodes.tolist(), known["curve-la-endo"].state
        ([[4.0, 1.0], [9.0, 2.0], [4.0, 3.0]], 'unknown')
    """
    return {name: _structure(labels.get(name) or [], name) for name in CURVES}


def _structure(label: Any, name: str) -> Structure:
    instances = label if isinstance(label, list) else [label]
    if not all(isinstance(instance, dict) for instance in instances):
        raise ValueError(f"{name} is not an object with type, x and y.")
    curves = [instance for instance in instances if instance.get("type") == "curve"]
    if not curves:
        types = [instance.get("type") for instance in instances]
        if types and all(kind == "off" for kind in types):
            return Structure("absent")
        strange = [kind for kind in types if kind != "off" and kind not in UNKNOWN_TYPES]
        return Structure("unknown", remark=f"{name}: unknown type {str(strange[0])[:40]!a}" if strange else "")
    rows, columns = (_numbers(curves[0].get(axis), f"{axis} of {name}") for axis in ("y", "x"))
    if len(rows) != len(columns):
        raise ValueError(f"{name} has {len(columns)} x and {len(rows)} y.")
    nodes = list(zip(rows, columns, strict=True))
    straight = _straight(curves[0].get("straight_segment"), len(nodes), name)
    if len(set(nodes)) < 3:
        return Structure("unknown", remark=f"{name}: a curve of fewer than 3 different nodes")
    remark = f"{name}: several curves, the first taken" if len(curves) > 1 else ""
    return Structure("drawn", np.array(nodes), straight, remark)


def _tokens(value: Any, name: str) -> list[Any]:
    tokens = value.split(maxsplit=MAX_NODES) if isinstance(value, str) else value
    if not isinstance(tokens, list) or len(tokens) > MAX_NODES:
        raise ValueError(f"{name} is not a list of at most {MAX_NODES} numbers.")
    return tokens


def _numbers(value: Any, name: str) -> list[float]:
    try:
        numbers = [float(token) for token in _tokens(value, name)]
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{name} has entries that are not numbers.") from error
    except ValueError as error:
        raise ValueError(f"{name}: {str(error)[:80]}") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} has a number that is not finite.")
    return numbers


def _straight(value: Any, nodes: int, name: str) -> NDArray[np.bool_] | None:
    if not value:
        return None
    flags = [FLAGS.get(str(token).lower()) for token in _tokens(value, f"straight_segment of {name}")]
    if None in flags or len(flags) not in (nodes - 1, nodes):
        raise ValueError(f"straight_segment of {name} is not a list of 0 and 1, one for each of its {nodes} nodes.")
    return np.array(flags[: nodes - 1], np.bool_)


def unlabelled(structures: Mapping[str, Structure]) -> list[str]:
    """Return the classes that an image does not annotate.

    The myocardium is annotated if both curves of the ventricle are drawn, or both are absent.
    """
    endocardium, epicardium, atrium = (structures[name].state for name in CURVES)
    known = {
        "lv_cavity": endocardium != "unknown",
        "lv_myocardium": endocardium == epicardium != "unknown",
        "left_atrium": atrium != "unknown",
    }
    return [name for name, annotated in known.items() if not annotated]


def annotation(structures: Mapping[str, Structure], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the mask: 1 LV cavity, 2 LV myocardium, 3 left atrium; overlaps keep the smaller value.

    A straight line from the last node to the first, the mitral annulus, closes cavity and atrium. The myocardium is
    between the two curves of the ventricle, which are joined at the annulus.

    Args:
        structures: by `structures_of`.
        shape: (rows, columns) of the image.
    """
    if max(shape) > MAX_SIDE:
        raise ValueError(f"the image has {shape[0]} rows and {shape[1]} columns, expected at most {MAX_SIDE}.")
    drawn = {name: _curve(one, name, shape) for name, one in structures.items() if one.state == "drawn"}
    label = np.zeros(shape, np.uint8)
    if LEFT_ATRIUM in drawn:
        label[_fill(drawn[LEFT_ATRIUM], LEFT_ATRIUM, shape)] = 3
    if ENDOCARDIUM in drawn:
        inner = drawn[ENDOCARDIUM]
        if EPICARDIUM in drawn:
            label[_fill(_between(inner, drawn[EPICARDIUM]), EPICARDIUM, shape)] = 2
        label[_fill(inner, ENDOCARDIUM, shape)] = 1
    return label


def _curve(structure: Structure, name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    nodes = structure.nodes
    if nodes is None or (nodes < -np.array(shape)).any() or (nodes > 2 * np.array(shape)).any():
        raise ValueError(
            f"{name} runs outside the image of {shape[0]} rows and {shape[1]} columns by more than its size."
        )
    return spline(nodes, structure.straight)


def _between(inner: NDArray[np.float64], outer: NDArray[np.float64]) -> NDArray[np.float64]:
    ends, others = inner[[0, -1]], outer[[0, -1]]
    same_way = np.linalg.norm(ends - others, axis=1).sum() <= np.linalg.norm(ends - others[::-1], axis=1).sum()
    return np.concatenate([inner, outer[::-1] if same_way else outer])


def _fill(polygon: NDArray[np.float64], name: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = fill(polygon, shape)
    if not inside.any():
        raise ValueError(f"{name} encloses no pixel of the image.")
    return inside
