"""Excel workbooks as bytes: rows go in, an .xlsx comes out, encrypted when there is a password.

    with path.open("w+b") as file:
        sink = EncryptedSink(file, password)  # without a password, the file itself
        writer = WorkbookWriter(sink, columns=…, about=…, sheet_title="Orders", zone=zone)
        writer.write_rows(rows)
        writer.close()
        sink.close()

No database, no Temporal, no clock, no temporary file.
"""
