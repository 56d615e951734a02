"""How the logits that a loss trains are read."""

from torch import nn

__all__ = ["ACTIVATIONS", "activation_of"]

ACTIVATIONS = ("softmax", "sigmoid")


def activation_of(loss: nn.Module) -> str:
    """Return how the logits of networks trained with a loss are read.

    Args:
        loss: a module that states it, as its attribute `activation`.

    Returns:
        "softmax" (classes exclude each other) or "sigmoid" (one sigmoid per foreground class, background logit 0).

    Raises:
        ValueError: if the loss does not state it.

    Example:
        >>> from . import AdaptiveBCELoss
        >>> activation_of(AdaptiveBCELoss())
        'sigmoid'
    """
    activation = getattr(loss, "activation", None)
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{type(loss).__name__} does not state how its logits are read (its activation is {activation!r}). Give "
            "the class an attribute: activation = 'softmax' if classes exclude each other, activation = 'sigmoid' for "
            "one sigmoid per foreground class."
        )
    return str(activation)
