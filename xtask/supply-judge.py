"""Asks the libraries of those who write the rules whether what is released keeps them.

supply-judge.py sbom FILE...      CycloneDX: the schema
supply-judge.py python FILE...    wheels and source distributions: contents and metadata
"""

import json
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.metadata import Metadata
from packaging.utils import parse_sdist_filename, parse_wheel_filename


def sbom(text: str, name: str) -> None:
    """The list fits its schema, and names nothing that it doesn't have."""
    read = json.loads(text)
    error = JsonStrictValidator(SchemaVersion.from_version(read["specVersion"])).validate_str(text)
    assert error is None, f"{name}: {error}"
    known = [read["metadata"]["component"]["bom-ref"]] + [part["bom-ref"] for part in read["components"]]
    assert len(known) == len(set(known)), f"{name}: a reference twice"
    for edge in read["dependencies"]:
        unknown = {edge["ref"], *edge.get("dependsOn", [])} - set(known)
        assert not unknown, f"{name}: {unknown} are not in it"


def metadata(raw: bytes, name: str, version: str) -> None:
    """The metadata are valid, whole, and agree with the file's name."""
    read = Metadata.from_email(raw, validate=True)
    assert (read.name, str(read.version)) == (name, version), (read.name, read.version)
    assert read.summary and read.description and read.requires_python and read.license_expression
    assert set(read.license_files or []) == {"LICENSE-MIT", "LICENSE-APACHE"}, read.license_files


def wheel(path: Path) -> None:
    """A wheel for every CPython from 3.10 on, with types, licences and the list of what is in it."""
    name, version, _, tags = parse_wheel_filename(path.name)
    assert {(tag.interpreter, tag.abi) for tag in tags} == {("cp310", "abi3")}, tags
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        info = f"{name}-{version}.dist-info"
        wanted = ["__init__.py", "py.typed", "_mphttp.pyi", "_mphttp.abi3.so", "client.py", "server.py", "asyncio.py"]
        missing = {f"mphttp/{file}" for file in wanted} - names
        missing |= {f"{info}/licenses/{file}" for file in ("LICENSE-MIT", "LICENSE-APACHE")} - names
        assert not missing, missing
        strangers = [file for file in names if PurePosixPath(file).parts[0] not in ("mphttp", info)]
        assert not strangers, f"it would install {strangers}"
        metadata(archive.read(f"{info}/METADATA"), name, str(version))
        lists = [file for file in names if file.startswith(f"{info}/sboms/")]
        assert lists, "no list of what is in it (PEP 770)"
        # maturin answers for its form, which takes long to judge; that it is about this is for us to see.
        parts = {part["name"] for file in lists for part in json.loads(archive.read(file))["components"]}
        assert {"mphttp", "mptcp-socket", "hyper", "rustls"} <= parts, parts


def sources(path: Path) -> None:
    """A source distribution that builds without the network's versions: with the lock file, licences, and all of our crates."""
    name, version = parse_sdist_filename(path.name)
    stem = f"{name}-{version}"
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
        wanted = ["pyproject.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "python/mphttp/__init__.py"]
        wanted += [f"crates/{crate}/Cargo.toml" for crate in ("mphttp", "mphttp-cli", "mphttp-python", "mptcp-socket")]
        missing = {f"{stem}/{file}" for file in wanted} - names
        assert not missing, missing
        file = archive.extractfile(f"{stem}/PKG-INFO")
        assert file is not None
        metadata(file.read(), name, str(version))
        file = archive.extractfile(f"{stem}/pyproject.toml")
        # The lock file is the whole workspace's, of which this is a part: cargo has to cut it.
        assert file is not None and b"\nlocked" not in file.read(), "pip could not build it: tool.maturin.locked"


def main() -> None:
    what, *files = sys.argv[1:]
    assert files, __doc__
    for path in map(Path, files):
        if what == "sbom":
            sbom(path.read_text(), path.name)
        elif path.suffix == ".whl":
            wheel(path)
        else:
            sources(path)


if __name__ == "__main__":
    main()
