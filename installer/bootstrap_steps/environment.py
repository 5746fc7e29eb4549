"""The virtual environment beside the program: made, repaired, filled from a lock with hashes, and stamped when done.

A stamp is written last and names everything that decides what is inside. While it matches, nothing is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

from bootstrap_steps.stop import StopInstalling
from bootstrap_steps.system import need_venv_support

# What pip's output says and what it means to a person; the first that fits is said.
_REASONS = (
    (r"No space left on device|Errno 28", "the disk is full; make room for about 2 GB and start again"),
    (r"DO NOT MATCH THE HASHES|hash mismatch", "a downloaded file is not the one that was tested; a mirror or proxy "
     "may have changed it, so nothing of it was installed"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the package index answers with a certificate that this machine does not "
     "trust; behind a company proxy, tell pip its certificate (PIP_CERT)"),
    (r"ProxyError|Tunnel connection failed|407 ", "the proxy refuses; set HTTPS_PROXY to one that lets pip through"),
    (r"Temporary failure in name resolution|Name or service not known|getaddrinfo failed|nodename nor servname|"
     r"Network is unreachable|Connection refused|ConnectTimeout|NewConnectionError|Read timed out|"
     r"connection broken|Max retries exceeded",
     "the package index cannot be reached; check the network or proxy and start again"),
    (r"Could not find a version that satisfies the requirement (\S+)|No matching distribution found for (\S+)",
     "the package index has no ready-made build of {0} for this Python and machine, or cannot be reached"),
    (r"Permission denied|Errno 13", "the folder of the project cannot be written to"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an environment is filled for: the lock it follows and whether torch comes on top."""

    name: str
    lock: str
    with_torch: bool = False


TO_RUN = Purpose("run", "runtime.txt")
TO_TEST = Purpose("test", "dev.txt", with_torch=True)


class Environment:
    """The folder `.venv` in `root`.

    Parameters
    ----------
    root : Path
        The top folder of the project.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.log = self.folder / "puncta-install.log"
        self._busy = self.folder / "puncta-installing"

    @property
    def python(self) -> Path:
        """The interpreter inside."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def prepare(self, purpose: Purpose, torch_index: str | None = None) -> bool:
        """Bring the environment to what `purpose` asks for; return whether anything had to be done.

        Raises
        ------
        StopInstalling
            With one plain sentence when a step cannot be done.
        """
        version = self._ask_version()
        if version is not None and self._read_stamp(purpose) == self._describe(purpose, version):
            return False
        if version is None or self._busy.exists() or self._was_moved():
            self._make()
            version = self._ask_version()
            if version is None:
                raise StopInstalling(
                    f"The virtual environment in {self.folder} does not start: delete that folder and try again."
                )
        self._fill(purpose, torch_index)
        for done in (TO_RUN, TO_TEST) if purpose == TO_TEST else (purpose,):  # dev.txt holds all of runtime.txt
            self._write_stamp(done, self._describe(done, version))
        return True

    def add_peers(self) -> bool:
        """Add the packages of `lock/peers.txt` that a few tests use; return whether they are there.

        One of them is built here and so may fail, as without a network: those tests then say what they lack.
        """
        if self._has("pyigtl"):
            return True
        lock = self.root / "installer" / "lock" / "peers.txt"
        try:
            self._pip("install", "--require-hashes", "--no-deps", "--no-build-isolation", "-r", str(lock))
        except (StopInstalling, OSError):
            return False
        return self._has("pyigtl")

    def _has(self, package: str) -> bool:
        """Tell whether a package is in the environment."""
        places = ("lib/python*/site-packages", "Lib/site-packages")
        return any(path.is_dir() for place in places for path in self.folder.glob(f"{place}/{package}"))

    def _ask_version(self) -> str | None:
        """Return the version of the Python inside, or none if it is broken, too old or not the one it was made for."""
        try:
            made_for = re.search(
                r"^version(?:_info)?\s*=\s*(\d+\.\d+)", (self.folder / "pyvenv.cfg").read_text("utf-8"), re.M
            )
            asked = subprocess.run(
                [str(self.python), "-I", "-c", "import importlib.util as u, platform as p\n"
                 "print(p.python_version() if u.find_spec('pip') else '')"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except (OSError, UnicodeDecodeError):
            return None
        version = asked.stdout.strip()
        if asked.returncode != 0 or made_for is None or not version.startswith(made_for[1] + "."):
            return None
        return version if tuple(int(part) for part in made_for[1].split(".")) >= (3, 11) else None

    def _describe(self, purpose: Purpose, version: str) -> dict[str, str]:
        return {
            "lock": _hash_file(self.root / "installer" / "lock" / purpose.lock),
            "project": _hash_file(self.root / "pyproject.toml"),
            "torch": self._ask_torch() if purpose.with_torch else "",
            "python": version,
            "root": str(self.root),
        }

    def _ask_torch(self) -> str:
        """Return the line of pyproject.toml that names torch and its one version."""
        meta = tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))
        return next(line for line in meta["project"]["optional-dependencies"]["train"] if line.startswith("torch=="))

    def _stamp(self, purpose: Purpose) -> Path:
        return self.folder / f"puncta-{purpose.name}.json"

    def _read_stamp(self, purpose: Purpose) -> dict[str, str] | None:
        try:
            return json.loads(self._stamp(purpose).read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def _write_stamp(self, purpose: Purpose, content: dict[str, str]) -> None:
        made = self._stamp(purpose).with_suffix(".tmp")
        made.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(made, self._stamp(purpose))

    def _was_moved(self) -> bool:
        """Tell whether the project was installed under another path: programs inside know it by heart."""
        stamps = [stamp for stamp in map(self._read_stamp, (TO_RUN, TO_TEST)) if stamp is not None]
        return any(stamp.get("root") != str(self.root) for stamp in stamps)

    def _make(self) -> None:
        need_venv_support()
        print(f"Making {self.folder}", flush=True)
        if self.folder.is_symlink() or self.folder.is_file():
            self.folder.unlink()
        elif self.folder.exists():
            shutil.rmtree(self.folder)
        try:
            venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(self.folder)
        except subprocess.CalledProcessError as error:
            raise StopInstalling(
                f"The virtual environment could not be made in {self.folder}: check that the disk has room and that "
                "this Python is complete."
            ) from error

    def _fill(self, purpose: Purpose, torch_index: str | None) -> None:
        lock = self.root / "installer" / "lock" / purpose.lock
        count = sum(1 for line in lock.read_text("utf-8").splitlines() if re.match(r"[A-Za-z0-9]", line))
        self._busy.touch()
        self.log.unlink(missing_ok=True)
        print(f"Installing up to {count} packages; the first time this takes a few minutes", flush=True)
        # --only-binary: building from source would need compilers and could run anything. --no-deps: a lock is whole
        # but for torch, which peft asks for and which comes after it.
        self._pip("install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock))
        if purpose.with_torch:
            torch = self._ask_torch()
            print(f"Installing {torch} for training", flush=True)
            where = ["--index-url", torch_index] if torch_index else []
            self._pip("install", "--only-binary", ":all:", *where, torch)
        self._pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(self.root))
        self._busy.unlink()

    def _pip(self, *arguments: str) -> None:
        """Run pip with its words in the log file, and a sign of life on a terminal."""
        command = [str(self.python), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
        seen: list[str] = []
        with (
            self.log.open("a", encoding="utf-8") as log,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                encoding="utf-8", errors="replace", cwd=self.root,
            ) as process,
        ):  # fmt: skip
            log.write("$ " + " ".join(command) + "\n")
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                seen.append(line)
                _show_life(line)
        if sys.stdout.isatty():
            print("\r" + " " * 78 + "\r", end="", flush=True)
        if process.returncode != 0:
            self._stop_after_pip("".join(seen))

    def _stop_after_pip(self, output: str) -> None:
        if "Installing collected packages" not in output:
            self._busy.unlink(missing_ok=True)  # pip downloads all before it changes anything: nothing is half done
        raise StopInstalling(f"The installation stopped: {explain_pip(output)}. Details are in {self.log}.")


def explain_pip(output: str) -> str:
    """Return why pip failed, as the end of a sentence."""
    for pattern, reason in _REASONS:
        found = re.search(pattern, output, re.IGNORECASE)
        if found:
            return reason.format(next((group for group in found.groups() if group), ""))
    return "pip reports an error"


def _hash_file(path: Path) -> str:
    # Line ends differ between checkouts on Windows and elsewhere; what is locked does not.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _show_life(line: str) -> None:
    found = re.match(r"\s*(Collecting|Downloading|Installing collected packages|Using cached|Looking)\b:? ?(\S*)", line)
    if found and sys.stdout.isatty():
        print(f"\r  {found[1]} {found[2]}"[:77].ljust(78), end="", flush=True)
