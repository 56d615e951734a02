"""Registration of images between datasets, to compare their annotations."""

from .affine_then_bspline import AffineThenBSpline
from .comparison import Comparison, compare
from .consistency_report import write_report
from .pairing import Pair, similar_pairs
from .stage import Stage

__all__ = ["AffineThenBSpline", "Comparison", "Pair", "Stage", "compare", "similar_pairs", "write_report"]
