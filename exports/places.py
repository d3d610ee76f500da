"""Which storage an address means: a directory, or a bucket."""

from __future__ import annotations

from pathlib import Path

from domain.errors import ErrorCode, TeikiError
from exports.storage import DirectoryStorage, Storage


def storage_at(address: str, *, spool: Path) -> Storage:
    """The storage at `address`: a path, or `s3://bucket/prefix`.

    Args:
        address: the setting `export_storage`.
        spool: a directory of this machine where a file grows before it goes into a bucket.

    Raises:
        TeikiError: `settings_invalid` for an address that means nothing, or a bucket without the library for it.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        return DirectoryStorage(Path(address))
    if scheme == "s3":
        try:
            from exports.object_storage import ObjectStorage  # noqa: PLC0415 - only where a bucket is used
        except ModuleNotFoundError as error:
            raise TeikiError(
                ErrorCode.SETTINGS_INVALID, "A bucket needs the extra `s3`: pip install teiki[s3]."
            ) from error
        return ObjectStorage.at(address, spool=DirectoryStorage(spool))
    raise TeikiError(
        ErrorCode.SETTINGS_INVALID,
        "TEIKI_EXPORT_STORAGE is a directory or s3://bucket/prefix.",
        setting="export_storage",
    )
