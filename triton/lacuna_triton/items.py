"""Requests to items and back: the part of a Triton model that is the same for all.

An *item* is one picture of one request: a mapping from input name to an array without
the batch dimension, for instance ``{"image": [S, S, 3], "mask": [S, S, 1]}`` of uint8.
A model says how one item is answered. The items of a batch are answered one by one, so
that the answer to an item has the same bytes whatever it was batched with.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Item = Mapping[str, Image]


class BadItem(ValueError):
    """The caller's input cannot be answered; the message says why and reaches the caller.

    Triton reports it over gRPC as INVALID_ARGUMENT.
    """


class ItemModel(ABC):
    """A ``TritonPythonModel`` that answers item by item.

    A request whose item fails is answered with an error; the other requests of the same
    batch are not touched by it.
    """

    @abstractmethod
    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Get ready to answer.

        ``folder`` is the model's version folder (``model_repository/<model>/1``) and
        ``config`` the model's configuration as Triton reports it. An exception here
        makes Triton refuse to load the model, with the exception's text.
        """

    @abstractmethod
    def answer(self, item: Item) -> Item:
        """The outputs for one item, by name and without the batch dimension.

        Raises ``BadItem`` where the caller is at fault; any other exception is reported
        as the model's failure (gRPC INTERNAL).
        """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Called by Triton once, when the model is loaded."""
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self.load(Path(args["model_repository"]) / args["model_version"], config)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Called by Triton with a batch: one response for each request, in order."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        try:
            inputs = {
                name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
                for name in self._inputs
            }
            answers = [self.answer(item) for item in split_items(inputs)]
        except BadItem as error:
            return _error(f"{self._name}: {error}", pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # whatever happened, the other requests go on
            message = f"{self._name} failed: {type(error).__name__}: {error}"
            pb_utils.Logger.log_error(message)
            return _error(message, pb_utils.TritonError.INTERNAL)
        return pb_utils.InferenceResponse(
            output_tensors=[
                pb_utils.Tensor(name, np.stack([answer[name] for answer in answers]))
                for name in self._outputs
            ]
        )


def split_items(inputs: Item) -> list[Item]:
    """The items of arrays that have a leading batch dimension.

    Raises ``BadItem`` if the arrays disagree on the batch size.
    """
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) != 1:
        raise BadItem(f"inputs disagree on the batch size: {sizes}")
    size = next(iter(sizes.values()))
    return [{name: array[n] for name, array in inputs.items()} for n in range(size)]


def _error(message: str, code: int) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))
