"""Types of arrays, as annotations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Numbers of any shape; docstrings give the shape in brackets: `[n, d]`."""
Mask = npt.NDArray[np.bool_]
"""Yes or no, of any shape."""
