"""LibreOffice opens the workbooks, the encrypted ones with their password; skipped where there is none.

Its command line knows no password, so a macro in a profile of the test's own opens the file and stores it again.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from datetime import UTC, date, datetime
from xml.sax.saxutils import escape

import openpyxl
import pytest

from exports.workbook import Column, ColumnKind
from tests.exports.made import encrypted, workbook

SOFFICE = shutil.which("soffice")
pytestmark = pytest.mark.skipif(
    SOFFICE is None, reason="LibreOffice is not there: its reading was not tested"
)

COLUMNS = [
    Column("text", "Text"),
    Column("amount", "Amount", ColumnKind.MONEY),
    Column("at", "At", ColumnKind.INSTANT),
    Column("on", "On", ColumnKind.DATE),
    Column("test", "Test", ColumnKind.BOOLEAN),
    Column("count", "Count", ColumnKind.INTEGER),
]
TEXTS = [
    "plain",
    "=1+1",
    "+81",
    "@x",
    "\t=1",
    "_x0041_",
    " edge ",
    "two\nlines",
    "<&>]]>",
    "😀 שלום 会員",
    "0012",
    "a\x00b",
]
ROWS = [
    (text, (1005, "USD"), datetime(2026, 1, 1, 15, 0, 1, tzinfo=UTC), date(2026, 1, 2), True, 7)
    for text in TEXTS
]

SHARED = "http://openoffice.org/2000"
LIBRARIES = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:libraries PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "libraries.dtd">
<library:libraries xmlns:library="{SHARED}/library" xmlns:xlink="http://www.w3.org/1999/xlink">
 <library:library library:name="Standard" xlink:href="$(USER)/basic/Standard/script.xlb/" xlink:type="simple"
  library:link="false"/>
</library:libraries>"""
LIBRARY = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd">
<library:library xmlns:library="{SHARED}/library" library:name="Standard" library:readonly="false"
 library:passwordprotected="false"><library:element library:name="Module1"/></library:library>"""
MODULE = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="{SHARED}/script" script:name="Module1" script:language="StarBasic">%s</script:module>"""
MACRO = """Sub Again
  On Error GoTo Finish
  Dim opening(1) As New com.sun.star.beans.PropertyValue
  opening(0).Name = "Hidden" : opening(0).Value = True
  opening(1).Name = "Password" : opening(1).Value = "%(password)s"
  document = StarDesktop.loadComponentFromURL("%(source)s", "_blank", 0, opening())
  Dim storing(0) As New com.sun.star.beans.PropertyValue
  storing(0).Name = "FilterName" : storing(0).Value = "Calc MS Excel 2007 XML"
  document.storeToURL("%(target)s", storing())
  document.close(True)
Finish:
  StarDesktop.terminate()
End Sub"""


def soffice(profile, *arguments):
    command = [SOFFICE, f"-env:UserInstallation={profile.as_uri()}", "--headless", "--norestore", *arguments]
    subprocess.run(command, capture_output=True, check=True, timeout=60)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    at = tmp_path_factory.mktemp("profile")
    soffice(at, "--terminate_after_init")  # which makes it
    return at


def opened_with(profile, source, password):
    """The file as LibreOffice stores it again; None when the password did not open it."""
    basic, target = profile / "user" / "basic", source.with_name("again.xlsx")
    target.unlink(missing_ok=True)
    facts = {"password": password.replace('"', '""'), "source": source.as_uri(), "target": target.as_uri()}
    (basic / "script.xlc").write_text(LIBRARIES, encoding="utf-8")
    (basic / "Standard" / "script.xlb").write_text(LIBRARY, encoding="utf-8")
    (basic / "Standard" / "Module1.xba").write_text(MODULE % escape(MACRO % facts), encoding="utf-8")
    soffice(profile, "macro:///Standard.Module1.Again")
    return openpyxl.load_workbook(target) if target.exists() else None


def test_libreoffice_reads_every_cell_as_it_was_meant(profile, tmp_path):
    (tmp_path / "orders.xlsx").write_bytes(workbook(ROWS, columns=COLUMNS))
    as_csv = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,2"
    soffice(profile, "--convert-to", as_csv, "--outdir", str(tmp_path), str(tmp_path / "orders.xlsx"))
    with next(tmp_path.glob("*.csv")).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [column.title for column in COLUMNS]
    assert [row[0] for row in rows] == [text.replace("\x00", "\ufffd") for text in TEXTS]
    assert {tuple(row[1:]) for row in rows} == {("10.05", "2026-01-02 00:00:01", "2026-01-02", "TRUE", "7")}


@pytest.mark.parametrize("password", ["x", 'a "quoted" pass word', "ひみつ🔑", "b" * 300])
def test_libreoffice_opens_an_encrypted_workbook_with_its_password(profile, tmp_path, password):
    (tmp_path / "orders.xlsx").write_bytes(encrypted(workbook(ROWS, columns=COLUMNS), password))
    book = opened_with(profile, tmp_path / "orders.xlsx", password)
    assert book.sheetnames == ["About", "Orders"]
    assert book["Orders"]["A3"].value == "=1+1"
    assert book["Orders"].auto_filter.ref == "A1:F13"


def test_libreoffice_opens_a_workbook_so_small_that_its_package_lies_in_the_mini_stream(profile, tmp_path):
    data = workbook([])
    assert len(data) < 4_000
    (tmp_path / "orders.xlsx").write_bytes(encrypted(data, "x"))
    assert opened_with(profile, tmp_path / "orders.xlsx", "x").sheetnames == ["About", "Orders"]


def test_libreoffice_does_not_open_it_with_another_password(profile, tmp_path):
    (tmp_path / "orders.xlsx").write_bytes(encrypted(workbook(ROWS, columns=COLUMNS), "right"))
    assert opened_with(profile, tmp_path / "orders.xlsx", "wrong") is None
