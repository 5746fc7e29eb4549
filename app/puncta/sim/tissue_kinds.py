"""Kinds of tissue: the numbers of the label map, and the acoustic and mechanical facts of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    """What a place of the body is; the numbers stand in label maps and must not change."""

    OUTSIDE = 0
    GEL = 1
    SKIN = 2
    FAT = 3
    GLAND = 4
    CONNECTIVE = 5
    MUSCLE = 6
    FASCIA = 7
    BONE = 8
    CARTILAGE = 9
    CYST = 10
    BENIGN_MASS = 11
    MALIGNANT_MASS = 12
    DUCT = 13
    NERVE = 14
    ARTERY = 15
    VEIN = 16
    VESSEL_WALL = 17
    PLEURA = 18
    LUNG = 19
    DURA = 20
    CSF = 21
    CORD = 22
    CAUDA_EQUINA = 23
    EPIDURAL_FAT = 24
    DISC = 25
    HAEMATOMA = 26
    LIGAMENT = 27
    FLUID = 28
    """Injected fluid."""
    AIR = 29
    TENDON = 30


@dataclass(frozen=True, slots=True)
class TissueFacts:
    """Facts of one kind.

    Attributes
    ----------
    level_db : float
        Typical backscatter [dB]; 0 is about the brightest interface. Painters vary it.
    attenuation_db_cm_mhz : float
        One way [dB/cm/MHz].
    sound_speed_m_s : float
    grip : float
        Share of the needle's way that the tissue follows before it slips, 0..1.
    pop_mm : float
        How far the tissue tents before a needle enters it [mm]; 0 lets the needle in at once.
    drag : float
        Resistance: 1 is fat; the hand's wanted speed is divided by this.
    solid : bool
        True stops the needle (bone).
    """

    level_db: float
    attenuation_db_cm_mhz: float
    sound_speed_m_s: float
    grip: float = 0.25
    pop_mm: float = 0.0
    drag: float = 1.0
    solid: bool = False


# Attenuation and sound speed after the tables that the simulator's chapter of the manual cites; grip, pop and drag are
# our choice.
FACTS: dict[Tissue, TissueFacts] = {
    Tissue.OUTSIDE: TissueFacts(-80.0, 0.0, 1540.0, 0.0),
    Tissue.GEL: TissueFacts(-60.0, 0.05, 1520.0, 0.0),
    Tissue.SKIN: TissueFacts(-16.0, 0.35, 1600.0, 0.35, 1.5, 1.6),
    Tissue.FAT: TissueFacts(-26.0, 0.6, 1455.0, 0.2),
    Tissue.GLAND: TissueFacts(-14.0, 0.75, 1510.0, 0.3, 0.0, 1.3),
    Tissue.CONNECTIVE: TissueFacts(-14.0, 1.4, 1580.0, 0.3, 0.3, 1.3),
    Tissue.MUSCLE: TissueFacts(-29.0, 1.05, 1580.0, 0.25, 0.0, 1.2),
    Tissue.FASCIA: TissueFacts(-8.0, 1.57, 1600.0, 0.3, 0.9, 1.3),
    Tissue.BONE: TissueFacts(-2.0, 12.0, 3000.0, 0.0, 0.0, 1.0, True),
    Tissue.CARTILAGE: TissueFacts(-34.0, 1.0, 1640.0, 0.2, 0.4, 2.0),
    Tissue.CYST: TissueFacts(-56.0, 0.01, 1530.0, 0.05, 0.6, 0.7),
    Tissue.BENIGN_MASS: TissueFacts(-35.0, 0.6, 1530.0, 0.3, 0.5, 1.6),
    Tissue.MALIGNANT_MASS: TissueFacts(-37.0, 1.4, 1565.0, 0.35, 0.4, 2.2),
    Tissue.DUCT: TissueFacts(-48.0, 0.2, 1530.0, 0.1),
    Tissue.NERVE: TissueFacts(-16.0, 1.0, 1600.0, 0.3, 0.5, 1.4),
    Tissue.ARTERY: TissueFacts(-50.0, 0.17, 1570.0, 0.05, 0.0, 0.7),
    Tissue.VEIN: TissueFacts(-50.0, 0.17, 1570.0, 0.05, 0.0, 0.7),
    Tissue.VESSEL_WALL: TissueFacts(-14.0, 1.2, 1580.0, 0.3, 1.0, 1.3),
    Tissue.PLEURA: TissueFacts(-2.0, 8.0, 1600.0, 0.1, 0.5, 1.0),
    Tissue.LUNG: TissueFacts(-20.0, 15.0, 1000.0, 0.0, 0.0, 0.6),
    Tissue.DURA: TissueFacts(-10.0, 1.2, 1580.0, 0.2, 0.7, 1.2),
    Tissue.CSF: TissueFacts(-60.0, 0.002, 1510.0, 0.0, 0.0, 0.6),
    Tissue.CORD: TissueFacts(-34.0, 0.6, 1545.0, 0.1, 0.3, 1.0),
    Tissue.CAUDA_EQUINA: TissueFacts(-22.0, 0.4, 1540.0, 0.0, 0.0, 0.7),
    Tissue.EPIDURAL_FAT: TissueFacts(-22.0, 0.6, 1460.0, 0.1),
    Tissue.DISC: TissueFacts(-22.0, 1.2, 1600.0, 0.3, 0.5, 3.0),
    Tissue.HAEMATOMA: TissueFacts(-16.0, 0.5, 1560.0, 0.05),
    Tissue.LIGAMENT: TissueFacts(-20.0, 1.3, 1600.0, 0.3, 0.8, 1.6),
    Tissue.FLUID: TissueFacts(-54.0, 0.01, 1520.0, 0.0, 0.0, 0.6),
    Tissue.AIR: TissueFacts(-6.0, 20.0, 340.0, 0.0),
    Tissue.TENDON: TissueFacts(-10.0, 1.4, 1620.0, 0.3, 0.5, 1.6),
}
