"""A model as Triton serves it, asked over HTTP (KServe v2, binary tensors)."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lacuna_models.errors import ModelsError

_TIMEOUT_S = 600.0
_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Served:
    """One model of one Triton; every tensor is UINT8."""

    address: str
    """``http://host:port`` of Triton's HTTP service (8000, not the gRPC port)."""
    model: str

    def __call__(self, inputs: Mapping[str, NDArray[np.uint8]], output: str) -> NDArray[np.uint8]:
        """The named output; raises ``ModelsError`` if it cannot be had."""
        header = json.dumps(
            {
                "inputs": [
                    {
                        "name": name,
                        "shape": array.shape,
                        "datatype": "UINT8",
                        "parameters": {"binary_data_size": array.nbytes},
                    }
                    for name, array in inputs.items()
                ],
                "outputs": [{"name": output, "parameters": {"binary_data": True}}],
            }
        ).encode()
        request = urllib.request.Request(
            f"{self.address.rstrip('/')}/v2/models/{self.model}/infer",
            data=b"".join([header, *(array.tobytes() for array in inputs.values())]),
            headers={_HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                split = int(answer.headers[_HEADER_LENGTH])
                body = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ModelsError(f"Triton refuses {self.model}: {error.code} {text}") from error
        except OSError as error:
            raise ModelsError(f"Triton cannot be reached at {self.address}: {error}") from error
        (tensor,) = json.loads(body[:split])["outputs"]
        if tensor["name"] != output or tensor["datatype"] != "UINT8":
            raise ModelsError(f"Triton answers {tensor['datatype']} {tensor['name']}")
        return np.frombuffer(body[split:], np.uint8).reshape(tensor["shape"])
