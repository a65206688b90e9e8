"""Builds the wheel of the Python binding (PEP 517 and PEP 660), with the standard library alone.

The C library comes from, in this order:
  1. the file that the environment variable TFM_LIBRARY names: it is put into the wheel;
  2. a libtfm of the same version that the system's loader finds: it is used where it is;
  3. the C sources around this folder: built with CMake, put into the wheel.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
PACKAGE = HERE / "src" / "tfm"
BUNDLED = {"win32": "tfm.dll", "darwin": "libtfm.dylib"}.get(sys.platform, "libtfm.so")
SYSTEM = {"win32": "tfm.dll", "darwin": "libtfm.0.dylib"}.get(sys.platform, "libtfm.so.0")
Settings = Optional[Dict[str, Any]]


def version() -> str:
    text = (PACKAGE / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("src/tfm/_version.py holds no version")
    return found.group(1)


# ---- The C library ----------------------------------------------------------------------------------------------


def system_has_library() -> bool:
    """Whether the loader finds a libtfm of this version by itself."""
    try:
        library = ctypes.CDLL(SYSTEM)
        library.tfm_version.restype = ctypes.c_char_p
        return bool(library.tfm_version() == version().encode())
    except (OSError, AttributeError):
        return False


def must_build() -> bool:
    return not os.environ.get("TFM_LIBRARY") and not system_has_library()


def run(command: List[str]) -> None:
    print("+", " ".join(command), flush=True)
    try:
        failed = subprocess.run(command).returncode
    except OSError as error:
        raise SystemExit(f"tfm: cannot run {command[0]}: {error.strerror}")
    if failed:
        raise SystemExit(
            "tfm: the C library could not be built. It needs a C compiler and CMake 3.21; on Debian:\n"
            f"    sh {REPOSITORY}/tools/install-deps.sh build"
        )


def build_library(folder: Path) -> Path:
    if not (REPOSITORY / "src" / "tfm.map").is_file():
        raise SystemExit(
            "tfm: no libtfm of this version is installed, and the C sources are not here. Install from a checkout\n"
            "(pip 21.3 or later), or name the library: TFM_LIBRARY=/path/to/libtfm.so pip install ..."
        )
    switches = ["TESTS=OFF", "EXAMPLES=OFF", "STATIC=OFF", "SHARED=ON"]
    run(
        ["cmake", "-S", str(REPOSITORY), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DTFM_INSTALL=OFF"]
        + [f"-DTFM_BUILD_{switch}" for switch in switches]
    )
    jobs = str(os.cpu_count() or 1)
    run(["cmake", "--build", str(folder), "--config", "Release", "--target", "tfm", "--parallel", jobs])
    found = [path for path in sorted(folder.rglob(BUNDLED)) if path.is_file()]
    if not found:
        raise SystemExit(f"tfm: the build made no {BUNDLED} in {folder}")
    return found[0].resolve()


def library_content() -> Optional[bytes]:
    """The library to put into the wheel, or None where the system's own is used."""
    given = os.environ.get("TFM_LIBRARY")
    if given:
        return Path(given).read_bytes()
    if system_has_library():
        return None
    kept = REPOSITORY / "build" / "python"  # makes the next installation quick
    try:
        kept.mkdir(parents=True, exist_ok=True)
        if os.access(kept, os.W_OK):
            return build_library(kept).read_bytes()
    except OSError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        return build_library(Path(folder)).read_bytes()


# ---- The wheel --------------------------------------------------------------------------------------------------


def metadata() -> str:
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    return (
        "Metadata-Version: 2.1\n"
        "Name: tfm\n"
        f"Version: {version()}\n"
        "Summary: Transformers as a library: run language models from the files that people have\n"
        "License: MIT\n"
        "Requires-Python: >=3.9\n"
        "Description-Content-Type: text/markdown\n"
        f"\n{readme}"
    )


def tag(pure: bool) -> str:
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    return "py3-none-any" if pure else f"py3-none-{platform}"


def write_wheel(folder: str, files: Dict[str, bytes], pure: bool) -> str:
    """A wheel is a zip file with three texts beside the package (PEP 427). Gives its name."""
    info = f"tfm-{version()}.dist-info"
    files[f"{info}/METADATA"] = metadata().encode()
    licence = REPOSITORY / "LICENSE"
    if licence.is_file():
        files[f"{info}/LICENSE"] = licence.read_bytes()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tfm_build\nRoot-Is-Purelib: {str(pure).lower()}\nTag: {tag(pure)}\n"
    ).encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    name = f"tfm-{version()}-{tag(pure)}.whl"
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))  # the same input gives the same file
            entry.external_attr = (0o755 if path.endswith(BUNDLED) else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content)
    return name


def sources() -> Dict[str, bytes]:
    names = sorted(path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or path.name == "py.typed")
    return {f"tfm/{name}": (PACKAGE / name).read_bytes() for name in names}


# ---- The hooks that pip calls -----------------------------------------------------------------------------------


def get_requires_for_build_wheel(config_settings: Settings = None) -> List[str]:
    return ["cmake>=3.21"] if must_build() and shutil.which("cmake") is None else []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """The name and version alone: nothing is built for them."""
    name = f"tfm-{version()}.dist-info"
    folder = Path(metadata_directory) / name
    folder.mkdir()
    (folder / "METADATA").write_text(metadata(), encoding="utf-8")
    (folder / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: tfm_build\nRoot-Is-Purelib: false\n", encoding="utf-8")
    return name


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    files = sources()
    library = library_content()
    if library is not None:
        files[f"tfm/{BUNDLED}"] = library
    return write_wheel(wheel_directory, files, pure=library is None)


def get_requires_for_build_editable(config_settings: Settings = None) -> List[str]:
    return get_requires_for_build_wheel(config_settings)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    library = library_content()
    beside = PACKAGE / BUNDLED
    if library is not None:
        beside.write_bytes(library)
    elif beside.exists():
        beside.unlink()
    return write_wheel(wheel_directory, {"tfm.pth": f"{PACKAGE.parent}\n".encode()}, pure=library is None)


def get_requires_for_build_sdist(config_settings: Settings = None) -> List[str]:
    return []


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The Python sources alone: what is made from them uses an installed libtfm."""
    root = f"tfm-{version()}"
    name = f"{root}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "PKG-INFO"
        info.write_text(metadata(), encoding="utf-8")
        with tarfile.open(Path(sdist_directory) / name, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            archive.add(info, f"{root}/PKG-INFO")
            for path in ("pyproject.toml", "README.md", "build_support/tfm_build.py"):
                archive.add(HERE / path, f"{root}/{path}")
            for path in sources():
                archive.add(HERE / "src" / path, f"{root}/src/{path}")
    return name
