"""`teiki order`, `ticket` and `deposit`: what is wrong with a command line is said before anything is asked."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("order", "cancel", "n"), "--yes to agree to whatever is computed"),
        (("order", "cancel", "n", "--refund-amount", "1", "--refund-amount-minor", "1"), "not both"),
        (("order", "show", "n", "--tab", "everything"), "--tab is one of history, orders"),
        (("order", "place", "--token", "tok_ok", "--payment-method", "pm_1"), "not both"),
        (("order", "place", "--field", "size"), "A field is given as KEY=VALUE"),
        (("order", "place", "--identify", "=Mei"), "Identification is given as KEY=VALUE"),
        (("order", "place", "--file", "nowhere.yaml"), "--file nowhere.yaml"),
        (("order", "fields", "n"), "NAME=VALUE"),
        (("order", "note", "n"), "TEXT"),
        (("ticket", "process-access", "n"), "This cannot be undone: say --yes."),
        (("deposit", "pay", "kon_1", "--notice", "maybe"), "--notice is one of confirmed, preliminary"),
        (("deposit", "pay", "kon_1", "--times", "0"), "--times"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_a_wrong_call_is_a_usage_error(teiki, arguments, told):
    ran = teiki(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert told in ran.err
    as_json = teiki(*arguments, "--json")
    assert (as_json.status, as_json.document["code"], as_json.err) == (2, "usage", "")


@pytest.mark.parametrize(
    "arguments", [(), ("place",), ("show",), ("cancel",), ("slip",), ("identify",)], ids=" ".join
)
def test_every_command_explains_itself(teiki, arguments):
    ran = teiki("order", *arguments, "--help")
    assert ran.status == 0
    assert "Usage: teiki order" in ran.out


def test_a_ticket_and_a_deposit_explain_themselves(teiki):
    assert "Cannot be undone" in teiki("ticket", "process-access", "--help").out
    assert "sandbox only" in teiki("deposit", "--help").out
