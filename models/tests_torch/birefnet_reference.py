"""BiRefNet in PyTorch's functions, from its published description, for comparison.

Written apart from the graph's builder: maps are [N, C, H, W] or lists of pixels as in the
published code, norms are not folded, and the deformable convolution is torchvision's.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

from lacuna_models.birefnet.architecture import Architecture

Tensors = Mapping[str, Tensor]


def logits(weights: Tensors, arch: Architecture, x: Tensor) -> Tensor:
    """[N, 1, 1024, 1024] for normalised pictures [N, 3, 1024, 1024]."""
    w = Scope(weights, "")
    whole = backbone(w / "bb", arch, x)
    half = backbone(w / "bb", arch, resized(x, (x.shape[2] // 2, x.shape[3] // 2)))
    x1, x2, x3, x4 = (
        torch.cat((a, resized(b, a.shape[2:])), 1) for a, b in zip(whole, half, strict=True)
    )
    x4 = torch.cat((*(resized(each, x4.shape[2:]) for each in (x1, x2, x3)), x4), 1)
    p = block(w / "squeeze_module" / "0", x4)
    d = w / "decoder"
    for stage, lateral in ((4, x3), (3, x2), (2, x1)):
        p = block(d / f"decoder_block{stage}", with_picture(d / f"ipt_blk{stage + 1}", p, x))
        gradient = d / f"gdt_convs_{stage}"
        seen = F.relu(batch_norm(gradient / "1", convolution(gradient / "0", p)))
        p = p * torch.sigmoid(convolution(d / f"gdt_convs_attn_{stage}" / "0", seen))
        lateral_ = convolution(d / f"lateral_block{stage}" / "conv", lateral)
        p = resized(p, lateral.shape[2:]) + lateral_
    p = block(d / "decoder_block1", with_picture(d / "ipt_blk2", p, x))
    p = resized(p, x.shape[2:])
    return convolution(d / "conv_out1" / "0", with_picture(d / "ipt_blk1", p, x))


class Scope:
    """Weights below a dotted name."""

    def __init__(self, weights: Tensors, prefix: str) -> None:
        self.weights, self.prefix = weights, prefix

    def __truediv__(self, name: str) -> "Scope":
        return Scope(self.weights, f"{self.prefix}{name}.")

    def get(self, name: str) -> Tensor | None:
        return self.weights.get(self.prefix + name)

    def __getitem__(self, name: str) -> Tensor:
        return self.weights[self.prefix + name]


def resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def convolution(w: Scope, x: Tensor) -> Tensor:
    return F.conv2d(x, w["weight"], w.get("bias"), padding=w["weight"].shape[2] // 2)


def batch_norm(w: Scope, x: Tensor) -> Tensor:
    return F.batch_norm(x, w["running_mean"], w["running_var"], w["weight"], w["bias"])


def layer_norm(w: Scope, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w["weight"], w["bias"])


def linear(w: Scope, x: Tensor) -> Tensor:
    return F.linear(x, w["weight"], w.get("bias"))


def with_picture(w: Scope, features: Tensor, x: Tensor) -> Tensor:
    """Patches of the picture as channels: colour, then row, then column of the grid."""
    height, width = features.shape[2:]
    rows = x.unfold(2, height, height).unfold(3, width, width)  # N, 3, rows, columns, h, w
    patches = rows.reshape(x.shape[0], -1, height, width)
    return torch.cat((features, convolution(w / "conv_out", convolution(w / "conv1", patches))), 1)


def block(w: Scope, x: Tensor) -> Tensor:
    x = F.relu(batch_norm(w / "bn_in", convolution(w / "conv_in", x)))
    p = w / "dec_att"
    parts = [deformable(p / "aspp1", x)]
    parts += [deformable(p / "aspp_deforms" / str(number), x) for number in range(3)]
    pool = p / "global_avg_pool"
    mean = F.conv2d(x.mean(dim=(2, 3), keepdim=True), pool["1.weight"])
    parts.append(resized(F.relu(batch_norm(pool / "2", mean)), x.shape[2:]))
    x = F.relu(batch_norm(p / "bn1", convolution(p / "conv1", torch.cat(parts, 1))))
    return batch_norm(w / "bn_out", convolution(w / "conv_out", x))


def deformable(w: Scope, x: Tensor) -> Tensor:
    parts = w / "atrous_conv"
    kernel = parts["regular_conv.weight"]
    y = deform_conv2d(
        x,
        convolution(parts / "offset_conv", x),
        kernel,
        padding=kernel.shape[2] // 2,
        mask=2 * torch.sigmoid(convolution(parts / "modulator_conv", x)),
    )
    return F.relu(batch_norm(w / "bn", y))


def backbone(w: Scope, arch: Architecture, x: Tensor) -> list[Tensor]:
    x = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=4)
    x = layer_norm(w / "patch_embed" / "norm", x.permute(0, 2, 3, 1))
    found = []
    for stage, depth in enumerate(arch.depths):
        layer = w / "layers" / str(stage)
        for number in range(depth):
            shift = arch.window // 2 if number % 2 else 0
            x = swin_block(layer / "blocks" / str(number), x, arch.window, arch.heads[stage], shift)
        found.append(layer_norm(w / f"norm{stage}", x).permute(0, 3, 1, 2))
        if stage < 3:
            four = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
            x = layer_norm(layer / "downsample" / "norm", torch.cat(four, -1))
            x = linear(layer / "downsample" / "reduction", x)
    return found


def swin_block(w: Scope, x: Tensor, window: int, heads: int, shift: int) -> Tensor:
    batch, height, width, channels = x.shape
    y = layer_norm(w / "norm1", x)
    y = F.pad(y, (0, 0, 0, -width % window, 0, -height % window))
    rows, columns = y.shape[1] // window, y.shape[2] // window
    y = torch.roll(y, (-shift, -shift), (1, 2))
    y = windows(y, window)
    mask = shift_mask(rows * window, columns * window, window, shift) if shift else None
    y = attention(w / "attn", y, window, heads, mask)
    y = y.view(batch, rows, columns, window, window, channels).permute(0, 1, 3, 2, 4, 5)
    y = y.reshape(batch, rows * window, columns * window, channels)
    x = x + torch.roll(y, (shift, shift), (1, 2))[:, :height, :width]
    y = F.gelu(linear(w / "mlp" / "fc1", layer_norm(w / "norm2", x)))
    return x + linear(w / "mlp" / "fc2", y)


def windows(x: Tensor, window: int) -> Tensor:
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    parts = torch.zeros(1, height, width, 1)
    slices = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (row, column) in enumerate((r, c) for r in slices for c in slices):
        parts[:, row, column] = number
    flat = windows(parts, window).squeeze(-1)
    return torch.where(flat[:, None, :] == flat[:, :, None], 0.0, -100.0)


def attention(w: Scope, x: Tensor, window: int, heads: int, mask: Tensor | None) -> Tensor:
    count, pixels, channels = x.shape
    q, k, v = (
        linear(w / "qkv", x).reshape(count, pixels, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    )
    scores = q @ k.transpose(-2, -1) * (channels // heads) ** -0.5
    scores = scores + position_bias(w["relative_position_bias_table"], window)
    if mask is not None:
        scores = scores.view(-1, len(mask), heads, pixels, pixels) + mask[None, :, None]
        scores = scores.view(count, heads, pixels, pixels)
    y = torch.softmax(scores, -1) @ v
    return linear(w / "proj", y.transpose(1, 2).reshape(count, pixels, channels))


def position_bias(table: Tensor, window: int) -> Tensor:
    """[heads, pixels, pixels], entry by entry."""
    bias = torch.empty(table.shape[1], window**2, window**2)
    for a in range(window**2):
        for b in range(window**2):
            down, right = a // window - b // window, a % window - b % window
            bias[:, a, b] = table[(down + window - 1) * (2 * window - 1) + right + window - 1]
    return bias
