"""What a user installs is all there, and nothing of the machine it was made on comes along."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("zoo", "registry", "configs", "benchmarks")
MACHINE_PATH = re.compile(r"(?<![\w.~$}/])/(?:work|root|home|Users|mnt)/[\w.]")
INDEX = re.compile(r"(?:extra-)?index-url|find-links|trusted-host|/simple/?(?=[\s\"'])")
HOST = re.compile(r"https?://(?:[^/\s@]+@)?([\w.-]+)")
PUBLIC = re.compile(r"\.(com|co|org|net|io|edu|ai|dev|de|ch|cn|fr|uk|jp|at|sh|tech|cool)$")
LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "pip.conf"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[Path, str]:
    found = {}
    for file in tracked():
        data = file.read_bytes()
        if b"\0" not in data:
            found[file] = data.decode("utf-8", errors="replace")
    return found


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file, text in texts().items()
        if file != Path(__file__)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for file in tracked():
        copy = source / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(built)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (archive,) = built.glob("*.whl")
    unpacked = built / "unpacked"
    zipfile.ZipFile(archive).extractall(unpacked)
    return unpacked


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    ours = {file.relative_to(ROOT) for file in tracked()}
    wanted = {file for file in ours if file.parts[0] in PACKAGES}
    packed = {file.relative_to(wheel) for file in wheel.rglob("*") if file.is_file()}
    assert {str(file) for file in wanted - packed} == set()
    strangers = {file for file in packed - wanted if "dist-info" not in file.parts[0]}
    assert strangers == set()


def test_an_installed_zoo_finds_its_configs_and_its_hand(wheel, tmp_path):
    code = (
        "import registry.config, zoo.mano.files as files\n"
        "from registry.catalog import heads\n"
        "names = registry.config.available()\n"
        "assert all(file.is_file() for file in names.values())\n"
        "assert files.find('clayhand').is_file(), files.find('clayhand')\n"
        "print(registry.config.__file__, len(names), *heads.names())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    where, count, *names = done.stdout.split()
    assert Path(where).is_relative_to(wheel)
    shipped = [f for f in (wheel / "configs").glob("*.py") if not f.stem.startswith("_")]
    assert int(count) >= len(shipped)
    assert "mano_decoder" in names


def test_every_folder_with_code_can_be_imported():
    folders = {file.parent for file in tracked() if file.suffix == ".py"}
    ours = {
        f
        for f in folders
        if f.relative_to(ROOT).parts[:1] and f.relative_to(ROOT).parts[0] in PACKAGES
    }
    assert [str(f.relative_to(ROOT)) for f in ours if not (f / "__init__.py").is_file()] == []


def test_test_folders_are_no_packages():
    """Tests of one name in two rooms would otherwise shadow each other."""
    assert [
        str(f.relative_to(ROOT)) for f in tracked() if "tests" in f.parts and f.stem == "__init__"
    ] == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_index():
    assert lines_with(INDEX) == []
    assert [file.name for file in tracked() if file.name in LOCKS] == []


def test_every_address_is_a_public_one():
    private = []
    for line in lines_with(HOST):
        for host in HOST.findall(line):
            name = host.rstrip(".")
            if name == "localhost" or (PUBLIC.search(name) and not is_address(name)):
                continue
            private.append(line)
    assert private == []


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("open('/work/shards/x.tar')", True),
        ("cd /root/zoo", True),
        ("/home/me/data", True),
        ("~/work/zoo", False),
        ("docs/work/notes.md", False),
        ("network/home/page", False),
        ("https://example.org/home/page", False),
    ],
)
def test_machine_paths_are_told_from_other_words(text, found):
    assert bool(MACHINE_PATH.search(text)) is found
