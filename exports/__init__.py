"""Excel workbooks as bytes: rows go in, an .xlsx comes out, encrypted when there is a password.

`workbook` is what callers use, with `encryption` as its sink. No database, no Temporal, no clock, no temporary file.
"""
