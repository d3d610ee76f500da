"""An encrypted workbook opens with its password, with no other, and not at all when a byte was changed (exports.md)."""

from __future__ import annotations

import io
import os
import secrets
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import msoffcrypto
import olefile
import pytest

from domain.errors import ErrorCode, TeikiError
from exports import compound
from exports.encryption import EncryptedSink, require_password
from tests.exports.made import decrypted, encrypted, opened, workbook

ROOT = Path(__file__).parents[2]


def package_of(size):
    """Bytes that msoffcrypto takes for a package, because they end like a zip."""
    with_end = io.BytesIO()
    zipfile.ZipFile(with_end, "w").close()
    return secrets.token_bytes(size - 22) + with_end.getvalue()


@pytest.mark.parametrize(
    "password",
    [
        "x",
        " ",
        "  two  ends  ",
        "a" * 255,
        "a" * 256,
        "b" * 5_000,
        "ひみつの合言葉",
        "🔑🗝️",
        "e\u0301",
        "\ud800",
        "\t\n\x00",
    ],
    ids=lambda password: f"{len(password)} signs",
)
def test_the_password_as_it_was_typed_opens_the_file(password):
    data = workbook([("secret",)])
    file = encrypted(data, password)
    if password != "\ud800":  # which msoffcrypto cannot spell
        assert decrypted(file, password) == data
        assert opened(decrypted(file, password))["Orders"]["A2"].value == "secret"


@pytest.mark.parametrize(
    "wrong", ["Password", "password ", " password", "passwor", "password\x00", "e\u0301"]
)
def test_another_password_does_not(wrong):
    file = encrypted(workbook([("secret",)]), "password" if wrong != "e\u0301" else "\xe9")
    with pytest.raises(msoffcrypto.exceptions.InvalidKeyError):
        decrypted(file, wrong)


def test_an_empty_password_is_refused_and_a_very_long_one_is_warned_about():
    with pytest.raises(TeikiError) as refused:
        require_password("")
    assert refused.value.code is ErrorCode.PASSWORD_EMPTY
    with pytest.raises(TeikiError):
        EncryptedSink(io.BytesIO(), "")
    assert require_password(" ") == []
    assert require_password("a" * 255) == []
    assert require_password("a" * 256) == ["password_longer_than_255"]


# Around the end of the mini stream (4,096 with the size), of a segment, of a batch, and of the header's list of tables.
SIZES = [
    22,
    23,
    100,
    4_080,
    4_081,
    4_088,
    4_096,
    4_097,
    8_191,
    65_535,
    65_536,
    65_537,
    200_001,
    7_100_000,
    15_500_000,
]


@pytest.mark.parametrize("size", SIZES)
def test_a_package_of_any_size_comes_back(size):
    data = package_of(size)
    file = encrypted(data, "password", pieces=1_000 if size < 300_000 else 1_000_000)
    assert decrypted(file, "password") == data
    with olefile.OleFileIO(io.BytesIO(file), raise_defects=olefile.DEFECT_UNSURE) as container:
        assert container.parsing_issues == []
        assert len(container.listdir()) == 6
        assert len(file) % 512 == 0


def test_how_the_bytes_arrive_makes_no_difference():
    data = package_of(150_000)
    assert {decrypted(encrypted(data, "x", pieces=pieces), "x") for pieces in (1, 4_095, 4_096, 150_000)} == {
        data
    }


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_changed_byte_is_noticed(size):
    data = package_of(size)
    file = bytearray(encrypted(data, "password"))
    with olefile.OleFileIO(io.BytesIO(bytes(file))) as container:
        stream = container.openstream("EncryptedPackage").read()
    at = bytes(file).index(stream[8:520][:56]) + 17
    file[at] ^= 1
    with pytest.raises(msoffcrypto.exceptions.InvalidKeyError, match="integrity"):
        decrypted(bytes(file), "password")


def test_the_size_is_protected_too():
    data = package_of(100_000)
    file = bytearray(encrypted(data, "password"))
    assert int.from_bytes(file[512:520], "little") == 100_000
    file[512] ^= 1
    with pytest.raises(msoffcrypto.exceptions.InvalidKeyError, match="integrity"):
        decrypted(bytes(file), "password")


def test_the_file_says_how_it_is_encrypted():
    with olefile.OleFileIO(io.BytesIO(encrypted(package_of(100), "password"))) as container:
        info = container.openstream("EncryptionInfo").read()
        assert container.exists("\x06DataSpaces/TransformInfo/StrongEncryptionTransform/\x06Primary")
    assert info[:8] == bytes.fromhex("0400040040000000")
    for said in (b'spinCount="100000"', b'keyBits="256"', b'hashAlgorithm="SHA512"', b"ChainingModeCBC"):
        assert said in info


def test_a_target_that_cannot_be_read_back_is_refused_before_anything_is_written(tmp_path):
    with (tmp_path / "file").open("wb") as target, pytest.raises(ValueError, match="reading"):
        EncryptedSink(target, "password")
    assert (tmp_path / "file").stat().st_size == 0


class Hollow(io.BytesIO):
    """Takes any amount and keeps none."""

    def write(self, data):
        return len(data)


def test_a_file_that_passes_what_the_container_holds_is_refused():
    sink = EncryptedSink(Hollow(), "password")
    with pytest.raises(TeikiError) as refused:
        sink.write(Huge())
    assert refused.value.code is ErrorCode.EXPORT_TOO_LARGE


class Huge(bytes):
    """As long as it says, without the memory."""

    def __len__(self):
        return compound.STREAM_MAX + 1


def test_a_disk_that_forgot_what_was_written_is_noticed():
    sink = EncryptedSink(Hollow(), "password")
    sink.write(bytes(100_000))
    with pytest.raises(OSError, match="read back"):
        sink.close()


EXPORT_FOR_EVER = """
import itertools, sys
from zoneinfo import ZoneInfo
from exports.encryption import EncryptedSink
from exports.workbook import About, Column, WorkbookWriter

with open(sys.argv[1], "w+b") as target:
    sink = EncryptedSink(target, "password")
    columns = [Column("a", "A"), Column("b", "B")]
    writer = WorkbookWriter(
        sink, columns=columns, about=About([]), sheet_title="Canary", zone=ZoneInfo("Asia/Tokyo")
    )
    writer.write_rows((f"canary {number}", "canary") for number in itertools.count())
"""


def files_open_in(process):
    """Paths of the regular files that the process holds, deleted ones included."""
    found = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        name = str(descriptor.readlink())
        if name.startswith("/") and not name.startswith(("/dev/", "/proc/")):
            found.add(name)
    return found


def test_a_process_killed_half_way_leaves_nothing_that_can_be_read(tmp_path):
    target = tmp_path / "export"
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT_FOR_EVER, str(target)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 30
        while not target.exists() or target.stat().st_size < 300_000:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        held = files_open_in(process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert held == {str(target)}
    assert list(tmp_path.iterdir()) == [target]
    left = target.read_bytes()
    for readable in (b"canary", b"Canary", b"PK\x03\x04", b"_rels", b"xl/worksheets", b"password"):
        assert readable not in left
    # Ciphertext looks like noise: every byte about as often as any other.
    body = left[520:]
    assert max(body.count(bytes([byte])) for byte in range(256)) < 1.5 * len(body) / 256
