"""What a network sees of the values of a volume: a window, standardised."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

__all__ = ["Intensity"]


class Intensity:
    """Clip values to a window, subtract a mean and divide by a standard deviation (z-score).

    Args:
        window: lowest and highest value; None clips nothing.
        mean: of the values, such as that of the training fold inside the window.
        sd: standard deviation, likewise.

    Raises:
        ValueError: if the window is empty, or the standard deviation is not a positive number.

    Example:
        >>> import torch
        >>> Intensity([-200, 200], mean=50.0, sd=100.0)(torch.tensor([-1000, 50, 150], dtype=torch.int16))
        tensor([-2.5000,  0.0000,  1.0000])
        >>> print(Intensity([-200, 200], mean=50.0, sd=100.0))
        (value clipped to -200 to 200, minus 50.0) / 100.0
    """

    def __init__(self, window: Sequence[float] | None, mean: float, sd: float) -> None:
        if window is not None and not (len(window) == 2 and window[0] < window[1]):
            raise ValueError(f"window is {list(window)}, expected the lowest and the highest value.")
        if not (0 < sd < math.inf and math.isfinite(mean)):
            raise ValueError(f"mean is {mean} and sd {sd}, expected finite numbers and sd above 0.")
        self.window, self.mean, self.sd = window, mean, sd

    @property
    def outside(self) -> int:
        """The value that pads a volume: the lowest of the window, or the mean without a window."""
        return round(self.mean if self.window is None else self.window[0])

    @property
    def padding(self) -> float:
        """What the network sees of `outside`."""
        return (self.outside - self.mean) / self.sd

    def __str__(self) -> str:
        clipped = "" if self.window is None else f" clipped to {self.window[0]} to {self.window[1]}"
        return f"(value{clipped}, minus {self.mean}) / {self.sd}"

    def __call__(self, values: Tensor) -> Tensor:
        """Standardise values of any dtype and shape; float32."""
        values = values.float()
        if self.window is not None:
            values = values.clamp_(*self.window)
        return values.sub_(self.mean).div_(self.sd)
