"""Registration of images between datasets, and what it tells about their annotation."""

from common.registration.affine_then_bspline import AffineThenBSpline
from common.registration.comparison import Comparison, compare
from common.registration.consistency_report import write_report
from common.registration.pairing import Pair, similar_pairs
from common.registration.stage import Stage

__all__ = ["AffineThenBSpline", "Comparison", "Pair", "Stage", "compare", "similar_pairs", "write_report"]
