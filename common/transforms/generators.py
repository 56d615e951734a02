"""Seed the random generators that code of any kind draws from: the global ones, and those that it holds."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch
from monai.transforms import Compose, Randomizable
from torch import Tensor, nn

from ..command import PACKAGE

__all__ = ["drawn_from", "held_generators", "seed_all", "seed_held"]

GENERATORS = (Randomizable, np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
PLAIN = (str, bytes, int, float, complex, type(None), type, Tensor, np.ndarray)
LEVELS = 8  # of objects within objects: beyond, they are rarely what draws, and often the whole program


def seed_all(number: int) -> None:
    """Seed the generators of torch, NumPy and Python with an integer of up to 64 bits."""
    torch.manual_seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002
    random.seed(number)


def seed_held(thing: object, number: int) -> None:
    """Seed the random transforms and generators that an object holds, each in another way."""
    _seed(held_generators(thing), number)


@contextmanager
def drawn_from(number: int, held: Sequence[object]) -> Iterator[None]:
    """Draw from a number within the block; the generators of torch (on the CPU), NumPy and Python stay as they were.

    Args:
        number: an integer of up to 64 bits.
        held: further generators (`held_generators`).

    Example:
        >>> def draws(): return random.random(), torch.rand(1).item(), float(np.random.rand())
        >>> with drawn_from(3, []): first = draws()
        >>> with drawn_from(3, []): first == draws()
        True
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            seed_all(number % 2**63)
            _seed(held, number % 2**63)
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


def held_generators(thing: object) -> list[object]:
    """Find the random transforms and generators that an object is or holds, in a fixed order.

    They are looked for in attributes, lists, dictionaries, closures, defaults, what methods and partial functions are
    bound to, and among the names of the classes and modules that define these objects. Those that are made later, or
    belong to modules that these import, are not found.

    Example:
        >>> class Own:
        ...     def __init__(self): self.parts = {"noise": [random.Random()]}
        >>> len(held_generators(Own()))
        1
    """
    found: list[object] = []
    seen: dict[int, object] = {}  # keeps what it has seen, whose id would otherwise be given again
    level = [thing]
    for _ in range(LEVELS):
        below: list[object] = []
        for one in level:
            if id(one) in seen:
                continue
            seen[id(one)] = one
            with suppress(Exception):  # of an object that cannot be looked into, such as a closed file
                if isinstance(one, GENERATORS):
                    found.append(one)
                if isinstance(one, Randomizable) or not isinstance(one, (*GENERATORS, *PLAIN)):
                    below.extend(_parts(one))
        level = below
    return found


def _parts(thing: object) -> Iterator[object]:
    if isinstance(thing, ModuleType):
        yield from _generators(vars(thing))
    elif isinstance(thing, dict):  # another mapping may read files
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        yield from thing
    elif isinstance(thing, partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, FunctionType):
        yield from (thing.__defaults__ or (), thing.__kwdefaults__ or {}, sys.modules.get(thing.__module__))
        yield from (cell.cell_contents for cell in thing.__closure__ or ())
    elif isinstance(thing, nn.Module):
        for module in thing.modules():
            yield from (value for name, value in vars(module).items() if name != "_modules")
            yield sys.modules.get(type(module).__module__)
    else:
        yield from getattr(thing, "__dict__", {}).values()
        for kind in type(thing).__mro__:
            slots = getattr(kind, "__slots__", ())
            yield from (getattr(thing, name, None) for name in ((slots,) if isinstance(slots, str) else slots))
            yield from _generators(vars(kind))
        yield sys.modules.get(type(thing).__module__)


def _generators(names: Mapping[str, object]) -> list[object]:
    """Return the generators among names; random transforms there may be the pipeline itself."""
    return [value for value in list(names.values()) if isinstance(value, GENERATORS[1:])]


def _seed(held: Sequence[object], number: int) -> None:
    for position, part in enumerate(held):
        seed = (number + position) % 2**63
        match part:
            # a pipeline alone: what it holds is found, too, and may hold it
            case Randomizable() if isinstance(part, Compose) or type(part).__module__.startswith(f"{PACKAGE}."):
                Randomizable.set_random_state(part, seed=seed % 2**32)
            case Randomizable():
                part.set_random_state(seed=seed % 2**32)
            case np.random.Generator():
                part.bit_generator.state = type(part.bit_generator)(seed).state
            case np.random.RandomState() | random.Random():
                part.seed(seed % 2**32)
            case torch.Generator():
                part.manual_seed(seed)
