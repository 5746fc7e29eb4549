"""DICOM in and out. Nothing here writes a patient's data into a log, a detail or an error."""

from __future__ import annotations

import logging
import warnings

import pydicom.config

# pydicom's warnings quote the value that is at fault, which can be a name; odd values are handled here anyway.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"(pydicom|puncta\.dicom)(\..*)?")
