"""A network's weights: complete, of the right shapes, and nothing else among them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lacuna_models.errors import ModelsError

Weights = Mapping[str, NDArray[np.float32]]
"""A network's weights by name, ``model.1.ffc.convl2l.weight`` for instance."""

_NAMED_AT_MOST = 6


def checked(
    found: Mapping[str, NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]], network: str
) -> Weights:
    """``found`` as 32-bit floats, after each key has been compared with ``shapes``.

    Raises ``ModelsError``, naming the keys, when one is missing, spare, of another shape, not
    of floating-point numbers, or not finite.
    """

    def refuse(how: str, keys: list[str]) -> None:
        if not keys:
            return
        more = f" and {len(keys) - _NAMED_AT_MOST} more" if len(keys) > _NAMED_AT_MOST else ""
        named = ", ".join(keys[:_NAMED_AT_MOST])
        raise ModelsError(f"weights that {how} this {network}: {named}{more}")

    refuse("are missing from", sorted(shapes.keys() - found.keys()))
    refuse("do not belong to", sorted(found.keys() - shapes.keys()))
    refuse(
        "have another shape in",
        [
            f"{name} {list(found[name].shape)} instead of {list(shape)}"
            for name, shape in shapes.items()
            if found[name].shape != shape
        ],
    )
    refuse(
        "are not floating-point numbers in",
        [name for name in shapes if not np.issubdtype(found[name].dtype, np.floating)],
    )
    weights = {name: np.asarray(found[name], dtype=np.float32) for name in shapes}
    refuse(
        "are not finite in",
        [name for name, array in weights.items() if not np.isfinite(array).all()],
    )
    return weights
