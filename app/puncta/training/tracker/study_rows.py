"""The rows of the mask study: what each network is, in the paper's size and in a size that two CPU cores train.

`size = "full"` follows the papers' numbers (parameter counts are tested); `size = "small"` keeps every part and the way
they work together and cuts channels and depth. In the small sizes motion is estimated at stride 16, where a 128 px
picture has 8 x 8 cells, so that a search window covers about the share of the picture that it does on the paper's
12 x 12 map at stride 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from puncta.imaging.motion_history import CHANNELS
from puncta.training.nets.cmt import TABLE_1, CmtTrunk
from puncta.training.nets.flow_regression import TABLE_2, FlowRegression
from puncta.training.nets.mask_baselines import Fcn32, PspNet, ResNetFcn32, SegNet, UNet, Vgg16UNet
from puncta.training.nets.needle_track import NeedleTrack
from puncta.training.nets.stcn import Stcn
from puncta.training.nets.stcn_trunks import SmallTrunk, resnet18_to_16, resnet50_to_16
from puncta.training.tracker.study_clips import ClipInput

Size = Literal["small", "full"]
MEMORY = ("stcn", "stcn-ct", "stnan")
FRAMEWISE = ("unet", "segnet", "pspnet", "fcn32", "vgg16-unet", "resnet50-fcn32")
PREVIOUS = ("unet-previous",)
OURS = "track"
SHIPPED = "shipped"
NETS = (*FRAMEWISE, *PREVIOUS, *MEMORY, OURS, SHIPPED)

SMALL_KEY = (16, 24, 40, 64)
SMALL_VALUE = (12, 16, 32, 48)
SMALL_CMT = (24, 40, 64)
SMALL_DEPTHS = (1, 1, 2)
SMALL_MATCHING = (24, 32, 32, 24, 12)
SMALL_WINDOW = 9


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    net : str
        One of `NETS`.
    depths : tuple of int
        Blocks of the C&T encoder's stages; empty takes the size's own.
    window : int
        Side of the search window of STNAN.
    model : str
        Model id of a shipped row.
    """

    name: str
    title: str
    net: str
    size: Size = "small"
    depths: tuple[int, ...] = ()
    window: int = SMALL_WINDOW
    model: str = ""

    @property
    def kind(self) -> Literal["frame", "previous", "memory", "track", "shipped"]:
        """What it carries from frame to frame; only "memory" cannot start by itself."""
        if self.net in (SHIPPED, OURS):
            return "shipped" if self.net == SHIPPED else "track"
        return "memory" if self.net in MEMORY else "previous" if self.net in PREVIOUS else "frame"

    @property
    def trained(self) -> bool:
        """False for a model that ships."""
        return self.net != SHIPPED


def table_1_rows() -> tuple[Row, ...]:
    """STCN+C&T with the paper's numbers of blocks, in full size."""
    return tuple(Row(f"stcn-ct-{name}", f"STCN + C&T ({name})", "stcn-ct", "full", depths)
                 for name, depths in TABLE_1.items())


def table_2_rows() -> tuple[Row, ...]:
    """STNAN with the paper's search windows, in full size."""
    return tuple(Row(f"stnan-w{w}", f"STNAN (window {w} x {w})", "stnan", "full", window=w) for w in TABLE_2)


def build_memory_net(row: Row, side: int = 384) -> Stcn:
    """STCN, STCN+C&T or STNAN.

    Parameters
    ----------
    side : int
        Side of the input [px] that the C&T encoder's relative bias is laid out for.
    """
    full = row.size == "full"
    with_flow = row.net == "stnan"
    if row.net == "stcn":
        trunk: nn.Module = resnet50_to_16() if full else SmallTrunk(1, SMALL_KEY)
    elif full:
        trunk = CmtTrunk(row.depths or TABLE_1["3-3-16-3"], size=side)
    else:
        trunk = CmtTrunk(row.depths or SMALL_DEPTHS, SMALL_CMT, 16, 3.0, side, channels=1)
    deepest: int = trunk.channels[-1]  # type: ignore[index,assignment]
    if full:
        flow = FlowRegression(deepest, row.window) if with_flow else None
        return Stcn(trunk, resnet18_to_16(), flow=flow)
    flow = FlowRegression(deepest, row.window, 8, SMALL_MATCHING) if with_flow else None
    return Stcn(trunk, SmallTrunk(2, SMALL_VALUE), key=32, value=64, widths=(64, 32), flow=flow)


def build_frame_net(row: Row) -> nn.Module:
    """A network that sees one frame, or one frame and the mask before."""
    full = row.size == "full"
    if row.net == "unet-previous":
        return UNet(64 if full else 8, 2)
    if full:
        full_nets = {"unet": UNet, "segnet": SegNet, "pspnet": PspNet, "fcn32": Fcn32, "vgg16-unet": Vgg16UNet,
                     "resnet50-fcn32": ResNetFcn32}
        return full_nets[row.net]()
    if row.net == "unet":
        return UNet(8, 1)
    if row.net == "segnet":
        return SegNet(8, 1)
    if row.net == "pspnet":
        return PspNet((2, 2, 2, 2), 12, 1)
    if row.net == "fcn32":
        return Fcn32(12, 1, hidden=256, kernel=3)
    if row.net == "vgg16-unet":
        return Vgg16UNet(8, 1)
    return ResNetFcn32((2, 3, 4, 2), 16, 1)


class OverClip(nn.Module):
    """A row's network over training clips: logits (B, T - 1, S, S) of the frames after the first.

    Ours gives logits of "a needle lies in the plane", (B, T - 1), beside them.
    """

    def __init__(self, row: Row, side: int) -> None:
        super().__init__()
        self.kind = row.kind
        if row.kind == "track":
            # The very network that ships, with its own widths.
            self.net: nn.Module = NeedleTrack(len(CHANNELS))
        else:
            self.net = build_memory_net(row, side) if row.kind == "memory" else build_frame_net(row)

    def forward(self, clip: ClipInput) -> Tensor | tuple[Tensor, Tensor]:
        """Run."""
        images = clip.images
        if self.kind == "track":
            assert clip.priors is not None
            mask, presence, _ = self.net(torch.cat([images, clip.priors[:, :, None]], 2))
            return mask[:, 1:], presence[:, 1:]
        if self.kind == "memory":
            return self.net(images, clip.first_mask)
        if self.kind == "frame":
            later = images[:, 1:]
            return self.net(later.reshape(-1, 1, *later.shape[2:])).reshape(later.shape)
        mask, out = clip.first_mask * (~clip.forget)[:, None, None], []
        for t in range(1, images.shape[1]):
            logits = self.net(torch.stack([images[:, t], mask.to(images.dtype)], 1))[:, 0]
            out.append(logits)
            # Not through time: the mask it gets is an input like another.
            mask = torch.sigmoid(logits.detach())
        return torch.stack(out, 1)


def build_net(row: Row, side: int) -> OverClip:
    """Make a row's untrained network."""
    return OverClip(row, side)
