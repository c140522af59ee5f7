"""clayhand: a hand nobody owns, in MANO's layout, drawn from anatomy and analytic surfaces.

Nothing here was measured from MANO, and nothing is interchangeable with it (docs/clayhand.md).
Loading reads frozen arrays; `python -m zoo.mano.procedural.build` makes them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zoo.mano.procedural import archive
from zoo.mano.procedural.appearance import Appearance
from zoo.mano.procedural.pose_prior import PosePrior

if TYPE_CHECKING:
    from zoo.contracts import HandAsset

__all__ = ["Appearance", "PosePrior", "load"]

NAME = "clayhand"


def load() -> HandAsset:
    """The arrays of clayhand, a right hand of 778 vertices, 1538 faces and 16 joints."""
    from zoo.contracts import HandAsset  # brings torch; the pose prior alone does without

    arrays = archive.read()
    return HandAsset(
        name=NAME,
        v_template=arrays["v_template"],
        faces=arrays["faces"].astype(np.int64),
        weights=arrays["weights"],
        posedirs=arrays["posedirs"],
        shapedirs=arrays["shapedirs"],
        joint_regressor=arrays["joint_regressor"],
        parents=arrays["parents"].astype(np.int64),
        hands_mean=arrays["hands_mean"],
        hands_components=arrays["hands_components"],
    )
