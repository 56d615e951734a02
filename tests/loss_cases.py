"""Every loss in `common/losses`, its arguments to test, and the ordinary loss it equals on complete labels.

A new loss is found by itself. It needs an entry in ORDINARY, and in VARIANTS if it has required arguments or options;
the conformance suite says what is missing.
"""

import importlib
import inspect
import pkgutil

import monai.losses
from torch import nn
from torch.nn import functional

import common.losses
from common.losses import MarginalDiceLoss, MarginalLoss
from common.losses.contract import ACTIVATIONS

CLASSES = ["background", "one", "two", "three"]

# Arguments to test besides the defaults, and required arguments.
VARIANTS = {
    "AdaptiveCrossEntropyLoss": [
        {"reading": reading} for reading in ("masked_softmax", "annotated_foreground", "literal")
    ],
    "AdaptiveBCELoss": [{}, {"exclusive_negatives": True}],
    "MarginalDiceLoss": [{}, {"include_background": True}],
    "SumLoss": [{"losses": (MarginalLoss, MarginalDiceLoss), "weights": [1.0, 0.5]}],
}


def dice_loss(logits, truth, include_background=False):
    loss = monai.losses.DiceLoss(include_background=include_background, smooth_nr=0.0, smooth_dr=0.0)
    return loss(logits.softmax(dim=1), truth)


def cross_entropy(logits, truth):
    return functional.cross_entropy(logits, truth)


def binary(logits, truth, **_):
    return functional.binary_cross_entropy_with_logits(logits[:, 1:], truth[:, 1:]) * (len(CLASSES) - 1)


# What other libraries compute on complete labels: (logits, one-hot truth, the arguments of the variant).
ORDINARY = {
    "AdaptiveBCELoss": binary,
    "AdaptiveCrossEntropyLoss": lambda logits, truth, **_: cross_entropy(logits, truth),
    "CategoricalCrossEntropyLoss": cross_entropy,
    "ExclusionLoss": lambda logits, truth: 1 - dice_loss(logits, 1 - truth),
    "LeafDiceLoss": lambda logits, truth: dice_loss(logits, truth, include_background=True),
    "MarginalDiceCELoss": lambda logits, truth: cross_entropy(logits, truth) + dice_loss(logits, truth),
    "MarginalDiceLoss": dice_loss,
    "MarginalLoss": cross_entropy,
    "SumLoss": lambda logits, truth, **_: cross_entropy(logits, truth) + 0.5 * dice_loss(logits, truth),
}


def discover():
    """Return every public nn.Module that a module in common/losses defines, by name."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(common.losses.__path__, f"{common.losses.__name__}.")
    ]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == module.__name__
        if not name.startswith("_")
    }


def missing(loss):
    """Say in plain words what a loss still has to state, and where."""
    name, module = loss.__name__, loss.__module__.rpartition(".")[2]
    parameters = inspect.signature(loss).parameters
    required = [each for each in parameters if parameters[each].default is inspect.Parameter.empty]
    untested = [each for each in required if not all(each in variant for variant in VARIANTS.get(name, [{}]))]
    problems = []
    if name not in common.losses.__all__:
        problems.append(f"export it: add 'from .{module} import {name}' and '{name}' in __all__ to losses/__init__.py")
    if getattr(loss, "activation", None) not in ACTIVATIONS and name != "SumLoss":
        problems.append(
            'say how its logits are read: add to the class the line activation = "softmax" (classes exclude each '
            'other) or activation = "sigmoid" (one sigmoid per foreground class)'
        )
    if "reduction" not in parameters and name != "SumLoss":
        problems.append('give its constructor the argument reduction: str = "mean" (losses/contract/reduction.py)')
    if untested:
        problems.append(
            f"it has the required arguments {untested}: list values to test them with, as "
            f'VARIANTS["{name}"] = [{{"{untested[0]}": ...}}] in tests/loss_cases.py'
        )
    if name not in ORDINARY:
        problems.append(
            "name the ordinary loss that it equals when every class is annotated (law 2): add to ORDINARY in "
            f'tests/loss_cases.py "{name}": lambda logits, truth: ..., where truth is one-hot'
        )
    return problems


LOSSES = discover()
CASES = {
    "-".join([name, *(str(value) for key, value in variant.items() if key not in ("losses", "weights"))]): (
        name,
        variant,
    )
    for name, loss in LOSSES.items()
    for variant in VARIANTS.get(name, [{}])
    if not missing(loss)
}


def build(case, reduction="mean"):
    name, variant = CASES[case]
    if name == "SumLoss":
        variant = {**variant, "losses": [loss(reduction=reduction) for loss in variant["losses"]]}
        return common.losses.SumLoss(**variant)
    return LOSSES[name](**variant, reduction=reduction)


def ordinary(case, logits, label):
    """Compute with other libraries the ordinary loss that a loss must equal on complete labels."""
    name, variant = CASES[case]
    truth = functional.one_hot(label[:, 0], len(CLASSES)).movedim(-1, 1).to(logits)
    return ORDINARY[name](logits, truth, **variant)
