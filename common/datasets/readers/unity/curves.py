"""How Unity Imaging annotates a structure, a curve through control points or a word, and how that becomes a mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....contours import fill, spline

__all__ = [
    "CURVES",
    "ENDOCARDIUM",
    "EPICARDIUM",
    "LEFT_ATRIUM",
    "Structure",
    "annotation",
    "structures_of",
    "unlabelled",
]

ENDOCARDIUM = "curve-lv-endo"
EPICARDIUM = "curve-lv-epi"
LEFT_ATRIUM = "curve-la-endo"
CURVES = (ENDOCARDIUM, EPICARDIUM, LEFT_ATRIUM)
MAX_NODES = 1000  # of a curve; experts set 10 to 30, the platform's own resampling a few hundred
MAX_SIDE = 4096  # pixels of an image; filling takes memory for every row and every point of a curve
UNKNOWN_TYPES = ("blurred", "point", None)  # a point is no outline
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


@dataclass(frozen=True, eq=False)
class Structure:
    """What is known of one structure of one image.

    Args:
        state: "drawn", "absent" (certainly not in the image), or "unknown" (nobody told).
        nodes: control points, (points, 2), (row, column), in pixels; empty unless drawn.
        straight: (points - 1,), marks the segments that are straight lines; None where all are curved.
        remark: what was odd about the label, for a person to read; empty where nothing was.
    """

    state: Literal["drawn", "absent", "unknown"]
    nodes: NDArray[np.float64] | None = None
    straight: NDArray[np.bool_] | None = None
    remark: str = ""


def structures_of(labels: Mapping[str, Any]) -> dict[str, Structure]:
    """Read the curves of an image from its labels.

    Args:
        labels: by name, `{"type": "curve", "x": "12.3 45.6 ...", "y": "..."}`, perhaps with `straight_segment`, a flag
            for each node that tells of the segment after it. A list holds several of them; its first curve counts.

    Returns:
        What is known of each of `CURVES`.

    Raises:
        ValueError: if a label is no object, or its numbers are none or do not fit together; the message names it.

    Example:
        >>> known = structures_of({"curve-lv-endo": {"type": "curve", "x": "1 2 3", "y": "4 9 4"}})
        >>> known["curve-lv-endo"].nodes.tolist(), known["curve-la-endo"].state
        ([[4.0, 1.0], [9.0, 2.0], [4.0, 3.0]], 'unknown')
    """
    return {name: _structure(labels.get(name) or [], name) for name in CURVES}


def _structure(label: Any, name: str) -> Structure:
    instances = label if isinstance(label, list) else [label]
    if not all(isinstance(instance, dict) for instance in instances):
        raise ValueError(f"{name} is no object with type, x and y.")
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
        raise ValueError(f"{name} is no list of at most {MAX_NODES} numbers.")
    return tokens


def _numbers(value: Any, name: str) -> list[float]:
    try:
        numbers = [float(token) for token in _tokens(value, name)]
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{name} holds something else than numbers.") from error
    except ValueError as error:
        raise ValueError(f"{name}: {str(error)[:80]}") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} holds a number that is not finite.")
    return numbers


def _straight(value: Any, nodes: int, name: str) -> NDArray[np.bool_] | None:
    if not value:
        return None
    flags = [FLAGS.get(str(token).lower()) for token in _tokens(value, f"straight_segment of {name}")]
    if None in flags or len(flags) not in (nodes - 1, nodes):
        raise ValueError(f"straight_segment of {name} is no list of 0 and 1, one for each of its {nodes} nodes.")
    return np.array(flags[: nodes - 1], np.bool_)


def unlabelled(structures: Mapping[str, Structure]) -> list[str]:
    """Name the classes of which an image does not tell where they are.

    The myocardium is known where it lies between two drawn curves, and absent where the whole ventricle is.

    Args:
        structures: as from `structures_of`.
    """
    endocardium, epicardium, atrium = (structures[name].state for name in CURVES)
    known = {
        "lv_cavity": endocardium != "unknown",
        "lv_myocardium": endocardium == epicardium != "unknown",
        "left_atrium": atrium != "unknown",
    }
    return [name for name, told in known.items() if not told]


def annotation(structures: Mapping[str, Structure], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the mask: 1 LV cavity, 2 LV myocardium, 3 left atrium; where they overlap the smaller value stays.

    Cavity and atrium are closed by the straight line from their last node to their first, which is the mitral annulus.
    The myocardium lies between the two curves of the ventricle, which are joined at the annulus.

    Args:
        structures: as from `structures_of`.
        shape: (rows, columns) of the image.

    Raises:
        ValueError: if a curve runs far outside the image or encloses nothing (the message names it), or the image is
            too large.
    """
    if max(shape) > MAX_SIDE:
        raise ValueError(f"the image has {shape[0]} rows and {shape[1]} columns; at most {MAX_SIDE} are drawn on.")
    drawn = {name: _curve(one, name, shape) for name, one in structures.items() if one.state == "drawn"}
    label = np.zeros(shape, np.uint8)
    if LEFT_ATRIUM in drawn:
        label[_filled(drawn[LEFT_ATRIUM], LEFT_ATRIUM, shape)] = 3
    if ENDOCARDIUM in drawn:
        inner = drawn[ENDOCARDIUM]
        if EPICARDIUM in drawn:
            label[_filled(_between(inner, drawn[EPICARDIUM]), EPICARDIUM, shape)] = 2
        label[_filled(inner, ENDOCARDIUM, shape)] = 1
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


def _filled(polygon: NDArray[np.float64], name: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = fill(polygon, shape)
    if not inside.any():
        raise ValueError(f"{name} encloses no pixel of the image.")
    return inside
