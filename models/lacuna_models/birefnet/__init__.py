"""BiRefNet: what is the foreground of a photo, as soft alpha at 1024x1024.

Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation"
(CAAI Artificial Intelligence Research, 2024). There are two ways to its graph: ``graft``
takes the published ONNX graph, ``network`` builds it from the published weights.
"""

from lacuna_models.birefnet.graft import (
    DEVIATION,
    INPUT,
    LARGEST_FREE_BATCH,
    MEAN,
    OUTPUT,
    SIDE,
    Grafted,
    alpha_of,
    graft,
    normalised,
)

__all__ = [
    "DEVIATION",
    "INPUT",
    "LARGEST_FREE_BATCH",
    "MEAN",
    "OUTPUT",
    "SIDE",
    "Grafted",
    "alpha_of",
    "graft",
    "normalised",
]
