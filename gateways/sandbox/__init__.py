"""The sandbox: our stand-in for a payment company (spec: charging.md §1, adapter 1).

It is a process of its own with a book of its own, reached over HTTP only, so that what the tests and
`teiki up` prove about money is proved against somebody who can crash, lie, lag and forget separately from us.
It knows no card number: tokens name an outcome (`tokens.py`), scripts list outcomes (`outcomes.py`), and a
seeded fault plan breaks the line (`faults.py`). `desk.py` decides each request, `book.py` keeps the ledger.

Start it with `python -m gateways.sandbox`, or from code with `gateways.sandbox.launch.start_sandbox`.
"""
