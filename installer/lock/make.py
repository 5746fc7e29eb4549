"""Write runtime.txt and dev.txt again from pyproject.toml.

Usage, from the repository root, with the newest versions that pyproject.toml allows::

    python3 -m pip install uv
    python3 installer/lock/make.py            # move only what pyproject.toml asks for
    python3 installer/lock/make.py --upgrade  # move everything

Both files cover Linux, macOS and Windows and every Python from 3.11 on, carry the hash of every file, and name
no package index, so that any mirror serves them. torch is not in them: its CPU and CUDA builds share one
version and differ in hash. dev.txt holds what torch itself imports, so that only torch is left to install, and the
packages that need torch (peft and its own) are resolved as if they did not: the bootstrap installs a lock as it is.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What the CPU build of torch 2.13.0 asks for, read from its metadata.
TORCH_NEEDS = ["filelock", "fsspec>=0.8.5", "jinja2", "networkx>=2.5.1", "sympy>=1.13.3", "typing-extensions>=4.10.0"]
TORCH_NEEDS += ["setuptools>=77.0.3"]
# Takes torch and the CUDA packages below it out of whatever asks for it.
WITHOUT_TORCH = "torch ; python_version < '3'"


def read_requirements() -> dict[str, list[str]]:
    """Return the requirements of each lock file, from pyproject.toml."""
    meta = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = meta["project"]["optional-dependencies"]
    # The build backend is locked too: the bootstrap installs the project without build isolation.
    runtime = meta["project"]["dependencies"] + meta["build-system"]["requires"]
    train = [line for line in extras["train"] if not line.startswith("torch")]
    return {"runtime.txt": runtime, "dev.txt": runtime + extras["dev"] + extras["sounds"] + train + TORCH_NEEDS}


def compile_lock(name: str, requirements: list[str], constraint: Path | None, upgrade: bool) -> None:
    """Resolve `requirements` and replace the lock file `name` when that has worked."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        source.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        made = Path(folder) / name
        if (HERE / name).exists() and not upgrade:
            shutil.copy(HERE / name, made)  # uv keeps the versions it finds there
        command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
        left_out = Path(folder) / "overrides.txt"
        left_out.write_text(WITHOUT_TORCH + "\n", encoding="utf-8")
        command += ["--no-emit-find-links", "--override", str(left_out), "--output-file", str(made), str(source)]
        if constraint is not None:
            command += ["--constraint", str(constraint)]
        subprocess.run(command, check=True)
        head = f"# {name}: every package with its hashes. Made by installer/lock/make.py, not by hand.\n"
        (HERE / name).write_text(head + made.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the lock files again from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="move every package to its newest allowed version")
    upgrade = parser.parse_args().upgrade
    wanted = read_requirements()
    compile_lock("runtime.txt", wanted["runtime.txt"], None, upgrade)
    # dev.txt repeats the versions of runtime.txt, so that tests run what users get.
    compile_lock("dev.txt", wanted["dev.txt"], HERE / "runtime.txt", upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
