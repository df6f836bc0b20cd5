# SPDX-License-Identifier: Apache-2.0
"""Packs the built module and its presets as a wheel: wheel.py BUILD_FOLDER OUT_FOLDER

The wheel is for the Python that the module was built for and for machines that have the same shared
libraries (Debian's, packages.txt): it is no manylinux wheel. Needs nothing but Python and cmake.
"""

import base64
import hashlib
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]

METADATA = """Metadata-Version: 2.1
Name: moesim
Version: {version}
Summary: Simulate Mixture-of-Experts layers on a GPU cluster from real routing traces
License: Apache-2.0
Requires-Python: >=3.11
Requires-Dist: numpy
Provides-Extra: frames
Requires-Dist: pandas; extra == "frames"
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: moesim\nRoot-Is-Purelib: false\nTag: {tag}\n"


def version_of(cmake_lists):
    return re.search(r"project\(moesim VERSION ([0-9.]+)", cmake_lists.read_text())[1]


def tag_of(module):
    """cp311-cp311-linux_x86_64 of _core.cpython-311-x86_64-linux-gnu.so."""
    python = "cp" + re.search(r"\.cpython-(\d+)-", module.name)[1]
    return f"{python}-{python}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def installed_module(build, scratch):
    subprocess.run(
        ["cmake", "--install", str(build), "--component", "python", "--prefix", str(scratch)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next(scratch.rglob("moesim/__init__.py")).parent


def record_line(name, content):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def main(build, out):
    version = version_of(ROOT / "CMakeLists.txt")
    with tempfile.TemporaryDirectory() as scratch:
        package = installed_module(build, pathlib.Path(scratch))
        tag = tag_of(next(package.glob("_core.*.so")))
        name = f"moesim-{version}"
        files = {f"moesim/{file.name}": file.read_bytes() for file in sorted(package.iterdir())}
    for file in sorted((ROOT / "scenarios").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            shared = f"{name}.data/data/share/moesim/{file.relative_to(ROOT)}"
            files[shared] = file.read_bytes()
    files[f"{name}.dist-info/METADATA"] = METADATA.format(version=version).encode()
    files[f"{name}.dist-info/WHEEL"] = WHEEL.format(tag=tag).encode()
    files[f"{name}.dist-info/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = "".join(record_line(*item) for item in files.items())
    files[f"{name}.dist-info/RECORD"] = f"{record}{name}.dist-info/RECORD,,\n".encode()
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{name}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as pack:
        for path, content in files.items():
            pack.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    print(wheel)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
