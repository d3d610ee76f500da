"""Where workbooks lie: the same promises of a directory and of a bucket (moto's server on loopback)."""

from __future__ import annotations

import http.client
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
import pytest
from moto.server import ThreadedMotoServer

from domain.errors import TeikiError
from exports.object_storage import ObjectStorage
from exports.places import storage_at
from exports.storage import CHUNK_BYTES, DirectoryStorage, FileGoneError, Storage, new_name

BUCKET = "teiki-exports"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> ObjectStorage:
    config: dict[str, Any] = {
        "endpoint": endpoint,
        "access_key_id": "test",
        "secret_access_key": "test",
        "region": "us-east-1",
        "client_options": {"allow_http": True},
        "virtual_hosted_style_request": False,
    }
    made = ObjectStorage.at(f"s3://{BUCKET}", spool=DirectoryStorage(tmp_path / "spool"), **config)
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    connection.close()
    prefix = f"{tmp_path.name}"
    return ObjectStorage.at(f"s3://{BUCKET}/{prefix}", spool=made.spool, **config)


@pytest.fixture(params=["directory", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "directory":
        return DirectoryStorage(tmp_path / "exports")
    return request.getfixturevalue("bucket")


def written(storage: Storage, content: bytes) -> str:
    name = new_name()
    with storage.writing(name) as file:
        file.write(content)
    return name


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, 9 * 2**20 + 5])
def test_what_is_written_is_read_whole(storage, size):
    content = os.urandom(size)
    name = written(storage, content)
    assert storage.size(name) == size
    assert b"".join(storage.read(name)) == content
    assert list(storage.names()) == [name]


def test_a_file_can_go_back_and_be_read_while_it_is_written(storage):
    name = new_name()
    with storage.writing(name) as file:
        file.write(b"0000world")
        file.seek(0)
        file.write(b"hell")
        file.seek(2)
        assert file.read(3) == b"llw"
        file.seek(0, os.SEEK_END)
        file.write(b"!")
    assert b"".join(storage.read(name)) == b"hellworld!"


def test_a_file_has_no_name_before_it_is_whole(storage):
    name = new_name()
    with storage.writing(name) as file:
        file.write(b"half")
        with pytest.raises(FileGoneError):
            storage.size(name)
        with pytest.raises(FileGoneError):
            storage.read(name)
        assert list(storage.names()) == [name], "a sweep must see what was only begun"


def test_a_failure_leaves_nothing(storage):
    def fail() -> None:
        with storage.writing(new_name()) as file:
            file.write(b"half")
            raise RuntimeError("the rows ended")

    with pytest.raises(RuntimeError):
        fail()
    assert list(storage.names()) == []


def test_removing_is_harmless_when_there_is_nothing(storage):
    name = written(storage, b"x")
    for _ in range(2):
        storage.remove(name)
    assert list(storage.names()) == []
    with pytest.raises(FileGoneError):
        storage.read(name)


def test_what_a_killed_worker_began_can_be_removed_by_its_name(storage):
    name = new_name()
    begun = storage.writing(name)
    begun.__enter__().write(b"half")
    storage.remove(name)
    assert list(storage.names()) == []
    with pytest.raises(FileNotFoundError):
        begun.__exit__(None, None, None)
    assert list(storage.names()) == []


def test_an_empty_storage_has_no_names(storage):
    assert list(storage.names()) == []


def test_directory_and_files_are_for_their_owner_only(tmp_path):
    storage = DirectoryStorage(tmp_path / "exports")
    name = new_name()
    with storage.writing(name):
        (part,) = (tmp_path / "exports").iterdir()
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    (whole,) = (tmp_path / "exports").iterdir()
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "exports").stat().st_mode) == 0o700


def test_a_bucket_gets_whole_files_only_and_the_spool_is_empty_afterwards(bucket, tmp_path):
    name = new_name()
    with bucket.writing(name) as file:
        file.write(b"x")
        assert [item for page in obstore.list(bucket.store) for item in page] == []
    assert list((tmp_path / "spool").iterdir()) == []


def test_foreign_files_in_the_directory_are_left_alone(tmp_path):
    storage = DirectoryStorage(tmp_path)
    (tmp_path / "notes.xlsx").write_text("mine", encoding="utf-8")
    assert list(storage.names()) == []


def test_names_are_256_random_bits():
    names = {new_name() for _ in range(1_000)}
    assert len(names) == 1_000
    assert {len(name) for name in names} == {64}


def test_an_address_is_a_directory_or_a_bucket(tmp_path):
    assert isinstance(storage_at(str(tmp_path), spool=tmp_path), DirectoryStorage)
    assert isinstance(storage_at("s3://bucket/prefix", spool=tmp_path), ObjectStorage)
    with pytest.raises(TeikiError, match="settings_invalid"):
        storage_at("ftp://somewhere", spool=tmp_path)
