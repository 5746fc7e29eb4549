"""Sentences that sources say when they cannot be opened, are damaged or go away, in the language of the window.

They come filled in and in English, as the command line prints them, so they are known by their form.
"""

from __future__ import annotations

from puncta.gui.models.said import told_of

SAID = (
    # a file or a folder
    "{file} does not exist, check the name and the folder.",
    "{file} does not exist, check the name and the folder, or did you mean {address}.",
    "{file} does not exist any more, open the folder again.",
    "{file} cannot be read: permission denied, change its permissions.",
    "{file} cannot be read: permission denied, change its permissions or copy it.",
    "{file} cannot be read: permission denied, change the permissions of its folder.",
    "{file} cannot be read: {reason}, copy it to a disk first.",
    "{file} cannot be read at frame {index}: {why}.",
    "{file} cannot be shown: {why}; choose another copy of the file.",
    "{file} is empty, copy it again from where it came.",
    "{file} is closed, open it again.",
    "{file} is neither a file nor a folder, choose one of these.",
    "{file} is no name a file can have, check it.",
    "{file} has an address of an unknown kind, give a file, a folder or sim:breast.",
    "{file} is no picture sequence the program knows, choose a DICOM file, a video, an .mha, .mhd or .nrrd file, or a "
    "folder of pictures.",
    "No source is named, give a file, a folder of pictures or an address such as sim:breast.",
    "Streams of the kind {kind} are not read; let the sender use rtsp:// or udp:// (MPEG-TS) instead.",
    "{file} has the frames 0 to {last}; frame {index} does not exist, choose one of these.",
    # a video
    "{file} is not a video that can be read, or it is damaged; choose another file or copy it again.",
    "{file} holds no picture that can be decoded, choose another file.",
    "{file} holds no video stream, choose a file with pictures.",
    "{file} is damaged near the beginning: what comes before it plays, the rest cannot be read; get another copy.",
    "{file} is damaged near frame {index}: what comes before it plays, the rest cannot be read; get another copy.",
    # pictures in a folder
    "{folder} holds no pictures ({kinds}), choose a folder with pictures.",
    "{file} is not a picture that can be read, or it is damaged; remove or replace it.",
    "{file} has {size} pixels but {other} has {width} x {height}; put pictures of one size into a folder of their own.",
    # DICOM
    "{file} is not a DICOM file that can be read, or it is damaged; choose another file.",
    "{file} is a DICOM file without a picture, choose one that holds images.",
    "{file} is cut off: not one whole frame is there, get a complete copy.",
    "{file} is cut off: only {count} of its {stated} frames are there, get a complete copy.",
    "{file} is cut off: it ends at {time} of {whole} s, get a complete copy.",
    "{file} holds MPEG video inside DICOM, which is not supported yet; export it as mp4.",
    "{file} says that it is compressed but its picture is not; choose another copy.",
    "{file} does not state {keyword}, so its picture cannot be read; choose another file.",
    "{file} states a picture of {columns} x {rows} pixels, which cannot be; choose another file.",
    "{file} stores {samples} samples of {allocated} bits a pixel, which is not supported; convert it to 8 or 16 bits.",
    "{file} stores its colours uncompressed in 4:2:0, which is not supported; convert it.",
    "{file} stores colours for pairs of pixels but has an odd width; choose another copy.",
    "a compressed frame is damaged; open another copy of the file",
    "it uses 12-bit lossy JPEG, which is not supported; convert it to JPEG 2000 or uncompressed",
    "its lossless JPEG uses an unusual layout ({layout}) that is not supported; convert it",
    "its {bits}-bit cells are not supported; convert it to 8 or 16 bits",
    "its colour palette is damaged",
    "its colour palette is missing",
    "its colour palette is empty",
    # MetaImage and NRRD
    "{file} has no complete MetaImage header, choose another file.",
    "{file} does not begin as an NRRD file does; it is damaged or of another kind, take another one.",
    "{file} has a header that cannot be read, choose another file.",
    "{file} stores its pixels as text, which is not supported; save it as binary data.",
    "{file} stores its pixels as {coding}, which is not supported; save it with 8 or 16 bits.",
    "{file} stores its pixels as {coding}; save it as raw or gzip.",
    "{file} skips lines before its pixels, which is not supported; save it attached.",
    "{file} spreads its pixels over many files, which is not supported; save it as one file.",
    "{file} needs the file {other} beside it, copy that one too.",
    "{file} is damaged: its pixels cannot be unpacked, copy it again.",
    "{file} cannot be unpacked: {reason}, make room on the disk.",
    # a session
    "{folder} holds no frame: {why}.",
    "the recording ended before its first frame",
    "{folder} is coded as {coding}, which this Puncta cannot read; update the program.",
    "The session is cut off at frame {index}; get another copy.",
    "Frame {index} of the session cannot be read: {reason}.",
    # a camera or a screen
    "Camera {number} does not open; plug it in, close other programs that use it, or choose another ('puncta open "
    "--list' shows them).",
    "Camera {number} is gone; see whether its plug sits and its machine is on.",
    "Camera {number} gives no picture; see whether its cable sits and its machine is on.",
    "The screen cannot be read any more; see whether it is locked or was changed.",
    "The screen gives no picture; see whether it is locked.",
    "The screen cannot be read here; allow Puncta to record the screen, then try again.",
    "A screen region needs an X11 screen; this session has none, use a capture device instead.",
    "Screen regions need the package mss; install Puncta again or add mss to it.",
    "The region lies outside the screen, which is {width} x {height} pixels from {left},{top}; choose another one.",
    # a stream or another computer
    "The name {host} is not known in this network; check the address.",
    "Nothing answers at {place}; start the sender there or check the address.",
    "{host} cannot be reached from here ({reason}); check cable, network and address.",
    "Connecting to {place} is not allowed here; a firewall may stand in the way.",
    "Nothing arrives at port {port}; start the sender and let it send MPEG-TS to this computer.",
    "Another program listens at {place}; close it or choose another port.",
    "{host} is no address of this computer; write udp://@:{port} to listen everywhere.",
    "Listening at {place} is not allowed here; choose a port above 1023.",
    "Listening at {place} does not work ({reason}); check the network.",
    "{place} sends nothing; see whether the sender still runs.",
    "{place} holds no video; choose another address.",
    "{place} ended; see whether the sender still runs.",
    "{place} broke off; see whether the sender still runs.",
    "{place} closed the connection; see whether the sender still runs.",
    "{place} wants a name and a password; write rtsp://NAME:PASSWORD@HOST/STREAM.",
    "{place} is not there: the computer answers but has no such stream; check the name.",
    "{place} sends no video that can be read; check what is sent there.",
    "{place} sends something that is not OpenIGTLink; check the port and what sends there.",
    "{place} sends no pictures of the name {device}; start the sending there or look at the network.",
    "{place} sends no pictures; start the sending there or look at the network.",
    "{device} sends volumes, not pictures; choose a device with pictures by ?device=NAME in the address.",
    "{title} is live and cannot be sought; record it and open the recording.",
    "{title} was closed before its first picture came.",
    "The source stopped working; the log has the details.",
    "{title} stopped working; the log has the details.",
    # a Clarius probe
    "The Clarius probe at {place} does not let Puncta in; start the Clarius App, join the probe's network, allow Cast "
    "there, and use the Cast release that belongs to the App.",
    "The Clarius probe at {place} sends no picture; start imaging in the Clarius App, and let the firewall accept "
    "what comes to Puncta by UDP (the port is another one each time).",
    "The Clarius probe is frozen; press its button or Freeze in the Clarius App to go on.",
    "The Clarius library does not start; install the Cast release for this computer again.",
    "The Clarius library is not of version {version}, which Puncta knows; install the Cast release that belongs to "
    "your Clarius App.",
    "The Clarius library is not of version {version}, which Puncta knows; install the Cast release that belongs to "
    "your Clarius App (this one is for firmware {firmware}).",
    "The Clarius library {file} cannot be loaded ({reason}); install the Cast release for this computer.",
    "The Clarius library in {folder} cannot be loaded ({reason}); install the Cast release for Python {version}.",
    "Clarius probes need the vendor's Cast library; put pyclariuscast and its files from github.com/clariusdev/cast "
    "(releases, Python {version}) into {folder}.",
    # a live picture that is not as it should be
    "The picture is black; see whether the machine is on and the right input is chosen.",
    "The picture has not changed for {time} s; see whether the machine is frozen.",
    "What arrives is damaged; look at the cable, the network and the sender.",
    "Only {rate} pictures a second come, a moment ago {usual}; look at the cable and the network, or at the depth and "
    "rate chosen on the machine.",
    "The source sends {rate} pictures a second instead of {promised}; choose a smaller picture size or look at the "
    "cable and the network.",
    "Fewer pictures come than a moment ago; look at the cable and the network.",
    # how a live source is written
    "{address} is not understood: {why}.",
    "size is written as {size}",
    "fps is a number of pictures a second, for example 30",
    "format is a code of four letters, for example MJPG or YUYV",
    "a screen region is written as screen:x,y,w,h in pixels, for example screen:100,80,800,600",
    "{address} is too small; a screen region has at least 16 x 16 pixels.",
    "{address} names no camera; write camera:0 for the first one ('puncta open --list' shows them).",
    "{address} names no computer; write {example}.",
    "{address} names no probe; write {example} as the Clarius App shows it.",
    "{address} names no port; write udp://@:5000 to listen at port 5000.",
    "{address} has no port from 1 to {largest}; check the number.",
    "{address} has the unknown key {key}; there are {known}.",
    "{address} is no address; write it as KIND://HOST:PORT.",
    "{address} is no live source; write camera:0, rtsp://, udp://, igtl://, clarius:// or screen:x,y,w,h.",
    "An address begins with camera:, rtsp://, udp://, igtl://, clarius:// or screen:.",
)
"""What is in braces differs from time to time; of two that begin alike the narrower stands first."""


def told(sentence: str) -> str:
    """Return what a source says in the language of the window; a sentence of an unknown form stays as it is."""
    return told_of(SAID, sentence) or sentence
