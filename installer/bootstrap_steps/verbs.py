"""The command line of bootstrap.py: `run` and `test`."""

from __future__ import annotations

import argparse
import errno
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bootstrap_steps import sample, system
from bootstrap_steps.environment import TO_RUN, TO_TEST, Environment
from bootstrap_steps.stop import StopInstalling

ROOT = Path(__file__).resolve().parents[2]

HELP = """\
usage: python3 installer/bootstrap.py run [ARGS ...]
       python3 installer/bootstrap.py test [--torch-index URL] [ARGS ...]

Installs what Puncta needs beside its own files and starts it.

  run    Install what lacks, then open the window on the sample case. Without a
         display the sample case is analysed to puncta-out/ and a summary is
         printed. With ARGS Puncta's command line runs instead, for example
         run --help, run doctor, run open CLIP.mp4
  test   Install what the tests need too, torch among it, and run them. ARGS go
         to pytest, for example test tests/unit -k frame
         --torch-index URL   take torch from this index, as for its CPU build:
                             on Linux the usual index gives the CUDA build

Everything goes into the folder .venv of this project, from a list of exact
versions with hashes. System libraries that lack are installed when this user
is root or sudo asks no question; else the line that installs them is printed.
The second start changes nothing. An interrupted start goes on with the next.
Delete .venv to start afresh.

environment  PUNCTA_HEADLESS=1 goes without a window even where there is a
             display; pip's own settings (index, proxy, certificate) hold.
exit status  0 done; 2 something is to be done first, said in plain words;
             otherwise that of Puncta or of pytest.

Simulation and training only, not for clinical use.
"""
# A few tests drive these programs and are skipped, with the reason, where they lack.
_TEST_TOOLS = {"Xvfb": "xvfb", "xauth": "xauth", "ffprobe": "ffmpeg", "dcmcjpeg": "dcmtk"}

# Peers that the live sources are tested against; they bring files, no programs.
_TEST_PEERS = {
    "/usr/share/doc/openigtlink-examples": ["openigtlink-examples"],
    "/usr/include/openigtlink": ["libopenigtlink-dev", "g++"],
    "/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib": ["gir1.2-gst-rtsp-server-1.0", "python3-gi"],
    "/usr/lib/*/gstreamer-1.0/libgstvideotestsrc.so": ["gstreamer1.0-plugins-base"],
    "/usr/lib/*/gstreamer-1.0/libgstjpeg.so": ["gstreamer1.0-plugins-good"],
    # The store of labels on a server: tests start one of their own in a temporary folder. Debian keeps it off the path.
    "/usr/lib/postgresql/*/bin/initdb": ["postgresql"],
}


def start(arguments: Sequence[str]) -> int:
    """Carry out a command line; return the exit status."""
    verb, rest = (arguments[0], list(arguments[1:])) if arguments else ("--help", [])
    if verb in {"-h", "--help", "help"}:
        print(HELP, end="")
        return 0
    try:
        if verb == "run":
            return run(rest)
        if verb == "test":
            return test(rest)
        raise StopInstalling(f"There is no verb {verb!r}: it is run or test, and --help explains both.")
    except StopInstalling as stop:
        print(stop, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The next start goes on from here.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC}:
            raise
        where = error.filename or ROOT
        print(
            f"{where} cannot be written ({error.strerror}): make room or rights there and start again.", file=sys.stderr
        )
        return 2


def run(arguments: Sequence[str]) -> int:
    """Install what the program needs and start it."""
    environment = Environment(ROOT)
    fresh = environment.prepare(TO_RUN)
    environ = dict(os.environ)
    missing = system.install_missing_libraries(environ)
    if fresh:
        _measure_models(environment, environ)
    if arguments:
        return _call(environment, ["-m", "puncta", *arguments], environ)
    if not system.has_display(environ):
        if missing:
            print(system.say_what_lacks(missing))
        return sample.run_sample(environment.python, ROOT, environ)
    if missing:
        raise StopInstalling(
            f"{system.say_what_lacks(missing)}\nThen start again. With PUNCTA_HEADLESS=1 it goes without a window."
        )
    print("Opening the window. Simulation and training only, not for clinical use.", flush=True)
    return _call(environment, ["-m", "puncta"], environ)


def test(arguments: Sequence[str]) -> int:
    """Install what the tests need and run them; return pytest's exit status."""
    parser = argparse.ArgumentParser(prog="bootstrap.py test", add_help=False, allow_abbrev=False)
    parser.add_argument("--torch-index")
    ours, for_pytest = parser.parse_known_args(arguments)
    environment = Environment(ROOT)
    environment.prepare(TO_TEST, ours.torch_index)
    environ = dict(os.environ)
    if not system.has_display(environ):
        environ["QT_QPA_PLATFORM"] = "offscreen"
    environ.setdefault("OMP_NUM_THREADS", "1")
    missing = system.install_missing_libraries(environ)
    if missing:
        raise StopInstalling(system.say_what_lacks(missing))
    _install_test_tools()
    environment.add_peers()
    own_workers = any(word.startswith(("-n", "--numprocesses", "--pdb")) for word in for_pytest)
    # A worker that dies ends the run with its test named: replaced, it would leave the others waiting for ever.
    workers = [] if own_workers else ["-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"]
    return _call(environment, ["-m", "pytest", "-rs", *workers, *for_pytest], environ, folder=ROOT)


def _measure_models(environment: Environment, environ: dict[str, str]) -> None:
    """Measure once how the models run best here, while nothing else runs; without it careful settings are used."""
    print("Measuring how the models run best on this machine, once.", flush=True)
    command = [str(environment.python), "-P", "-m", "puncta", "models", "bench"]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _install_test_tools() -> None:
    """Add the programs that a few tests use, where that is allowed; those tests say that they lack otherwise."""
    if not sys.platform.startswith("linux"):
        return
    lacking = [package for program, package in _TEST_TOOLS.items() if not shutil.which(program)]
    lacking += [name for path, names in _TEST_PEERS.items() if not glob.glob(path) for name in names]
    manager = system.find_package_manager() if lacking else None
    if manager is not None and manager.name == "apt" and manager.prefix is not None:
        print(f"Installing system packages for a few tests: {' '.join(lacking)}", flush=True)
        if not manager.install(lacking):
            # One that this system does not know must not keep the others away.
            for package in lacking:
                manager.install_alone(package)


def _call(
    environment: Environment, arguments: Sequence[str], environ: dict[str, str], folder: Path | None = None
) -> int:
    # -P: a folder of the user's that happens to be called as one of our packages is not imported.
    command = [str(environment.python), "-P", *arguments]
    try:
        status = subprocess.run(command, env=environ, cwd=folder, check=False).returncode
    except KeyboardInterrupt:
        return 130  # the program got Ctrl+C too and has closed its files
    return status if status >= 0 else 128 - status
