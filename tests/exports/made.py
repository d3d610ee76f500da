"""Workbooks made for the tests, and readers that are not ours: openpyxl and msoffcrypto."""

from __future__ import annotations

import io
import re
from zoneinfo import ZoneInfo

import msoffcrypto
import openpyxl

from exports.encryption import EncryptedSink
from exports.workbook import About, Column, ColumnKind, WorkbookWriter

TOKYO = ZoneInfo("Asia/Tokyo")
TEXT_ONLY = [Column("text", "Text")]


def workbook(rows, *, columns=TEXT_ONLY, about=(("Filter", "none"),), **options):
    """The file's bytes."""
    file = io.BytesIO()
    options = {"sheet_title": "Orders", "zone": TOKYO, **options}
    writer = WorkbookWriter(file, columns=columns, about=About(list(about)), **options)
    writer.write_rows(rows)
    writer.close()
    return file.getvalue()


def opened(data):
    return openpyxl.load_workbook(io.BytesIO(data))


def cells_of(kind, values, **options):
    """The cells of one column under its header, as openpyxl reads them."""
    data = workbook([(value,) for value in values], columns=[Column("x", "X", kind)], **options)
    return [row[0] for row in opened(data)["Orders"].iter_rows(min_row=2, max_row=len(values) + 1)]


def texts_of(values):
    """What Excel shows of these texts: openpyxl leaves the escapes of ECMA-376 22.9.2.19 as they are written."""
    return [as_shown(cell.value) for cell in cells_of(ColumnKind.TEXT, values)]


def as_shown(text):
    return text and re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def encrypted(data, password, *, pieces=50_000):
    file = io.BytesIO()
    sink = EncryptedSink(file, password)
    for start in range(0, len(data), pieces):
        sink.write(data[start : start + pieces])
    sink.close()
    return file.getvalue()


def decrypted(data, password):
    """As msoffcrypto reads it: password verified, integrity verified."""
    file = msoffcrypto.OfficeFile(io.BytesIO(data))
    file.load_key(password=password, verify_password=True)
    out = io.BytesIO()
    file.decrypt(out, verify_integrity=True)
    return out.getvalue()
