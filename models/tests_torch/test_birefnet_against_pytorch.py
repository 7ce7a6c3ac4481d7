"""BiRefNet's graph against the same network in PyTorch's functions.

The side is what the network is made for, 1024, so that this takes minutes.
"""

import numpy as np
import torch

from lacuna_models import birefnet, export, verify
from lacuna_models.birefnet.architecture import SWIN_TOY
from lacuna_models.birefnet.network import build_graph
from tests.doubles import birefnet_weights
from tests_torch.birefnet_reference import logits


def test_the_graph_answers_within_one_level() -> None:
    weights = birefnet_weights(SWIN_TOY)
    ((_, image),) = verify.pictures(None, birefnet.SIDE)
    image[:, 200:700, 300:800] //= 3
    session = export.open_session(build_graph(weights, SWIN_TOY).SerializeToString())
    (alpha,) = session.run(None, {"image": image})
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    with torch.no_grad():
        answer = logits(tensors, SWIN_TOY, torch.from_numpy(birefnet.normalised(image)))
    expected = birefnet.alpha_of(answer.numpy())
    assert expected.std() > 10
    assert np.abs(alpha.astype(int) - expected.astype(int)).max() <= 1
