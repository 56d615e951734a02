"""What all losses share: arguments, precision, reduction, and how logits are read."""

from .activation import ACTIVATIONS, activation_of
from .check_shapes import check_agreement
from .precision import full_precision
from .reduction import reduce, reduce_pixels

__all__ = ["ACTIVATIONS", "activation_of", "check_agreement", "full_precision", "reduce", "reduce_pixels"]
