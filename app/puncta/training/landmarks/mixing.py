"""Takes back as much of what a network learnt at one site as the machines it knew before ask for.

The weights between those before and those after adapting are tried (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022): the most of the way is kept on which the tune split of the known machines loses next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from puncta.training.landmarks.calibrate import answer_shots, figures_of
from puncta.training.landmarks.data import Shot
from puncta.training.nets.lp_small import LandmarkNet

STEPS = (1.0, 0.75, 0.5, 0.25)
LOSS_MOST = 0.005
"""F1 that the known machines may lose; half of what is promised."""


def mix_back(net: LandmarkNet, before: Mapping[str, Tensor], shots: Sequence[Shot], size: int) -> float:
    """Leave the network with the largest share of what it learnt that costs the tune shots next to nothing.

    Parameters
    ----------
    net : LandmarkNet
        As it learnt; changed in place.
    before : mapping of str to Tensor
        Its weights before.
    shots : sequence of Shot
        Tune split of the machines that were known before.

    Returns
    -------
    float
        The share of the way that was kept; 0 where none could be.
    """
    after = {name: value.clone() for name, value in net.state_dict().items()}

    def set_share(share: float) -> None:
        net.load_state_dict({
            name: value + (1 - share) * (before[name] - value) if value.dtype.is_floating_point else value
            for name, value in after.items()
        })

    set_share(0.0)
    least = _f1(net, shots, size) - LOSS_MOST
    for share in STEPS:
        set_share(share)
        if _f1(net, shots, size) >= least:
            return share
    set_share(0.0)
    return 0.0


def _f1(net: LandmarkNet, shots: Sequence[Shot], size: int) -> float:
    told = answer_shots(net, shots, size)
    return figures_of(told, told.answers.logits)["f1"]
