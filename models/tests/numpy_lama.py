"""The LaMa generator once more, in NumPy with ``np.fft`` and unfolded norms.

Written from the published description and apart from the graph's builder, so that the two
check each other where PyTorch is not installed. Slow; meant for tiny networks.
"""

import numpy as np
from numpy.typing import NDArray

from lacuna_models.lama.architecture import DOWNSAMPLINGS, Architecture
from lacuna_models.weights import Weights

Floats = NDArray[np.float32]


class NumpyLama:
    """Pictures of bytes in and out: [1, S, S, 3] and [1, S, S, 1] to [1, S, S, 3]."""

    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        self.weights = weights
        self.arch = architecture
        self.largest = 0.0
        """The largest activation so far."""

    def __call__(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        levels = image[0].transpose(2, 0, 1).astype(np.float32)
        hole = mask[0, :, :, 0] >= 128
        x = np.concatenate([levels / 255 * ~hole, hole[None].astype(np.float32)])
        answer = np.rint(self.generator(x.astype(np.float32)) * 255)
        mixed = np.where(hole, answer, levels).astype(np.uint8)
        return mixed.transpose(1, 2, 0)[None]

    def generator(self, x: Floats) -> Floats:
        arch = self.arch
        x = self.norm(
            "model.1.bn_l", convolve(reflect(x, 3), self.weights["model.1.ffc.convl2l.weight"])
        )
        for number in range(2, 1 + DOWNSAMPLINGS):
            weight = self.weights[f"model.{number}.ffc.convl2l.weight"]
            x = self.norm(f"model.{number}.bn_l", convolve(reflect(relu(x), 1), weight, 2))
        name, x = f"model.{1 + DOWNSAMPLINGS}", reflect(relu(x), 1)
        near, far = (
            relu(
                self.norm(
                    f"{name}.bn_{part}",
                    convolve(x, self.weights[f"{name}.ffc.convl2{part}.weight"], 2),
                )
            )
            for part in "lg"
        )
        for number in range(arch.first_block, arch.first_block + arch.blocks):
            inner = self.layer(f"model.{number}.conv1", near, far)
            inner = self.layer(f"model.{number}.conv2", *inner)
            near, far = near + inner[0], far + inner[1]
        x = np.concatenate([near, far])
        self.largest = max(self.largest, float(np.abs(x).max()))
        for step in range(DOWNSAMPLINGS):
            number = arch.first_upsampling + 3 * step
            x = upsample(x, self.weights[f"model.{number}.weight"])
            x = x + self.weights[f"model.{number}.bias"][:, None, None]
            x = relu(self.norm(f"model.{number + 1}", x))
        last = f"model.{arch.last_convolution}"
        logits = convolve(reflect(x, 3), self.weights[f"{last}.weight"])
        logits = logits + self.weights[f"{last}.bias"][:, None, None]
        return np.asarray(1 / (1 + np.exp(-logits)))

    def layer(self, name: str, near: Floats, far: Floats) -> tuple[Floats, Floats]:
        def branch(which: str, x: Floats) -> Floats:
            return convolve(reflect(x, 1), self.weights[f"{name}.ffc.{which}.weight"])

        local = branch("convl2l", near) + branch("convg2l", far)
        whole = branch("convl2g", near) + self.spectral(f"{name}.ffc.convg2g", far)
        return relu(self.norm(f"{name}.bn_l", local)), relu(self.norm(f"{name}.bn_g", whole))

    def spectral(self, name: str, x: Floats) -> Floats:
        x = relu(self.norm(f"{name}.conv1.1", convolve(x, self.weights[f"{name}.conv1.0.weight"])))
        spectrum = np.fft.rfft2(x, norm="ortho")
        pairs = np.stack([spectrum.real, spectrum.imag], axis=1).astype(np.float32)
        flat = pairs.reshape(-1, *pairs.shape[2:])
        mixed = convolve(flat, self.weights[f"{name}.fu.conv_layer.weight"])
        mixed = relu(self.norm(f"{name}.fu.bn", mixed)).reshape(pairs.shape)
        unit = np.fft.irfft2(mixed[:, 0] + 1j * mixed[:, 1], s=x.shape[1:], norm="ortho")
        return convolve(x + unit.astype(np.float32), self.weights[f"{name}.conv2.weight"])

    def norm(self, name: str, x: Floats) -> Floats:
        gain, bias, mean, variance = (
            self.weights[f"{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return np.asarray((x - mean) / np.sqrt(variance + np.float32(1e-5)) * gain + bias)


def relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def reflect(x: Floats, by: int) -> Floats:
    return np.pad(x, ((0, 0), (by, by), (by, by)), mode="reflect")


def convolve(x: Floats, weight: Floats, stride: int = 1) -> Floats:
    """[C, H, W] with [O, C, k, k], without padding."""
    kernel = weight.shape[2]
    height, width = ((size - kernel) // stride + 1 for size in x.shape[1:])
    out = np.zeros((len(weight), height * width), np.float32)
    for row in range(kernel):
        for column in range(kernel):
            rows = slice(row, row + stride * (height - 1) + 1, stride)
            columns = slice(column, column + stride * (width - 1) + 1, stride)
            out += weight[:, :, row, column] @ x[:, rows, columns].reshape(len(x), -1)
    return out.reshape(-1, height, width)


def upsample(x: Floats, weight: Floats) -> Floats:
    """Transposed convolution: kernel 3, stride 2, padding 1, output padding 1."""
    channels, height, width = x.shape
    out = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2), np.float32)
    for row in range(3):
        for column in range(3):
            spread = weight[:, :, row, column].T @ x.reshape(channels, -1)
            target = out[:, row : row + 2 * height : 2, column : column + 2 * width : 2]
            target += spread.reshape(-1, height, width)
    return out[:, 1 : 2 * height + 1, 1 : 2 * width + 1]
