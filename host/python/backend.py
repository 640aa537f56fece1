"""Builds the package, with nothing but Python: what `pip` asks of it (PEP 517).

The component has to be there first: `pagebox component > pagebox/pager.wasm`. The
same files give the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import tarfile
import zipfile

NAME = "pagebox-0.1.0"
HERE = os.path.dirname(os.path.abspath(__file__))

METADATA = """\
Metadata-Version: 2.1
Name: pagebox
Version: 0.1.0
Summary: Crash-consistent page files whose logic runs in a WebAssembly sandbox
Home-page: https://github.com/pagebox/pagebox
License: MIT OR Apache-2.0
Classifier: Development Status :: 4 - Beta
Classifier: Operating System :: POSIX
Classifier: Programming Language :: Python :: 3
Classifier: Topic :: Database :: Database Engines/Servers
Classifier: Typing :: Typed
Requires-Python: >=3.9
Requires-Dist: wasmtime==48.0.0
Requires-Dist: xxhash>=3,<5
Description-Content-Type: text/markdown

"""

WHEEL = """\
Wheel-Version: 1.0
Generator: pagebox
Root-Is-Purelib: true
Tag: py3-none-any
"""


def read(*path: str) -> bytes:
    with open(os.path.join(HERE, *path), "rb") as file:
        return file.read()


def package() -> dict[str, bytes]:
    """What is installed, by its name."""
    names = sorted(name for name in os.listdir(os.path.join(HERE, "pagebox"))
                   if name.endswith(".py") or name in ("py.typed", "pager.wasm"))
    if "pager.wasm" not in names:
        raise FileNotFoundError("the component is not there: "
                                f"pagebox component > {os.path.join(HERE, 'pagebox/pager.wasm')}")
    return {f"pagebox/{name}": read("pagebox", name) for name in names}


def licenses() -> dict[str, bytes]:
    """They are beside this file, or where the repository begins."""
    found = {}
    for name in "LICENSE-APACHE", "LICENSE-MIT":
        here = os.path.exists(os.path.join(HERE, name))
        found[name] = read(name) if here else read("..", "..", name)
    return found


def metadata() -> bytes:
    return METADATA.encode() + read("README.md")


def build_wheel(wheel_directory: str, config_settings: object = None,
                metadata_directory: object = None) -> str:
    info = f"{NAME}.dist-info"
    files = package()
    files.update((f"{info}/licenses/{name}", text) for name, text in licenses().items())
    files.update({f"{info}/METADATA": metadata(), f"{info}/WHEEL": WHEEL.encode()})
    lines = [f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    name = f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)  # of 1980, at any time
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, data)
    return name


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    files = {**package(), **licenses(), "PKG-INFO": metadata()}
    files.update((name, read(name)) for name in ("README.md", "backend.py", "pyproject.toml"))
    name = f"{NAME}.tar.gz"
    with open(os.path.join(sdist_directory, name), "wb") as out, \
            gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{NAME}/{path}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return name
