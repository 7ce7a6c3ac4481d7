"""The LaMa generator in plain PyTorch, with ``torch.fft``: what the graph must agree with.

Only ``verify`` and its tests need PyTorch. The modules carry the published names, so that
a state dictionary of the checkpoint fits as it is.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lacuna_models.lama.architecture import DOWNSAMPLINGS, Architecture
from lacuna_models.weights import Weights

Parts = tuple[Tensor, Tensor | None]
"""Local and global feature maps."""


class FourierUnit(nn.Module):
    """A 1x1 convolution, norm and ReLU on the spectrum of the whole feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        interleaved = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, 2 * channels, height, -1)
        mixed = torch.relu(self.bn(self.conv_layer(interleaved)))
        pairs = mixed.reshape(batch, channels, 2, height, -1).permute(0, 1, 3, 4, 2)
        restored = torch.view_as_complex(pairs.contiguous())
        return torch.fft.irfft2(restored, s=(height, width), norm="ortho")


class SpectralTransform(nn.Module):
    """The global branch: half the channels, a Fourier unit beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        halved: Tensor = self.conv1(x)
        answer: Tensor = self.conv2(halved + self.fu(halved))
        return answer


class Branches(nn.Module):
    """The convolutions between local and global part, as far as both are there."""

    def __init__(
        self, into: tuple[int, int], out: tuple[int, int], kernel: int, stride: int
    ) -> None:
        super().__init__()

        def convolution(channels_in: int, channels_out: int) -> nn.Module | None:
            if not channels_in or not channels_out:
                return None
            # The stem is padded by a layer of its own.
            padding = 1 if kernel == 3 else 0
            return nn.Conv2d(
                channels_in,
                channels_out,
                kernel,
                stride,
                padding,
                bias=False,
                padding_mode="reflect",
            )

        self.convl2l = convolution(into[0], out[0])
        self.convl2g = convolution(into[0], out[1])
        self.convg2l = convolution(into[1], out[0])
        self.convg2g = SpectralTransform(out[1]) if into[1] and out[1] else None

    def forward(self, parts: Parts) -> Parts:
        near, far = parts
        assert self.convl2l is not None
        local, whole = self.convl2l(near), None
        if self.convl2g is not None:
            whole = self.convl2g(near)
        if far is not None:
            assert self.convg2l is not None and self.convg2g is not None
            local, whole = local + self.convg2l(far), whole + self.convg2g(far)
        return local, whole


class Layer(nn.Module):
    """A fast Fourier convolution with its norms and ReLU."""

    def __init__(
        self, into: tuple[int, int], out: tuple[int, int], *, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.ffc = Branches(into, out, kernel, stride)
        self.bn_l = nn.BatchNorm2d(out[0])
        self.bn_g = nn.BatchNorm2d(out[1]) if out[1] else None

    def forward(self, parts: Parts) -> Parts:
        local, whole = self.ffc(parts)
        if whole is not None:
            assert self.bn_g is not None
            whole = torch.relu(self.bn_g(whole))
        return torch.relu(self.bn_l(local)), whole


class Block(nn.Module):
    """Two layers beside the identity."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = Layer(channels, channels)
        self.conv2 = Layer(channels, channels)

    def forward(self, parts: Parts) -> Parts:
        local, whole = self.conv2(self.conv1(parts))
        return parts[0] + local, parts[1] + whole


class _Joined(nn.Module):
    def forward(self, parts: Parts) -> Tensor:
        local, whole = parts
        assert whole is not None
        return torch.cat((local, whole), dim=1)


class _Split(nn.Module):
    """Padding for the stem, and the pair of parts that the layers pass on."""

    def forward(self, x: Tensor) -> Parts:
        return nn.functional.pad(x, (3, 3, 3, 3), mode="reflect"), None


class Generator(nn.Module):
    """The whole network: [N, 4, S, S] (blanked RGB in 0..1 and mask) to [N, 3, S, S]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        arch, width = architecture, architecture.width
        inner = (arch.inner_local, arch.inner_global)
        layers: list[nn.Module] = [_Split(), Layer((4, 0), (width, 0), kernel=7)]
        for step in range(DOWNSAMPLINGS - 1):
            layers.append(Layer((width * 2**step, 0), (width * 2 ** (step + 1), 0), stride=2))
        layers.append(Layer((arch.inner // 2, 0), inner, stride=2))
        layers += [Block(inner) for _ in range(arch.blocks)]
        layers.append(_Joined())
        for step in range(DOWNSAMPLINGS):
            into, out = arch.inner // 2**step, arch.inner // 2 ** (step + 1)
            layers += [
                nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.model(x)
        return answer


class Reference:
    """The network with given weights, with pictures of bytes in and out like the graph."""

    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        self.generator = Generator(architecture).eval()
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        missing, spare = self.generator.load_state_dict(tensors, strict=False)
        missing = [key for key in missing if not key.endswith(".num_batches_tracked")]
        if missing or spare:
            raise ValueError(f"weights missing: {missing}, spare: {spare}")

    def __call__(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[N, S, S, 3] and [N, S, S, 1] to [N, S, S, 3]; the image outside the hole."""
        levels = torch.from_numpy(image).permute(0, 3, 1, 2).float()
        hole = torch.from_numpy(mask).permute(0, 3, 1, 2) >= 128
        blank = hole.float()
        with torch.no_grad():
            prediction = self.generator(torch.cat((levels / 255 * (1 - blank), blank), dim=1))
        mixed = torch.where(hole, torch.round(prediction * 255), levels)
        return mixed.permute(0, 2, 3, 1).to(torch.uint8).numpy()
