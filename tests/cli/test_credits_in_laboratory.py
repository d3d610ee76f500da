"""`teiki credit` against a real Temporal, Postgres, gateway and worker."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture
async def paid(teiki_in_lab):
    """A subscription whose first payment of 1,000 yen (or what is said) is settled; its id."""

    async def made(*amount: str, token: str = "tok_ok") -> str:
        customer = (await teiki_in_lab("customer", "put", "--email", "c@example.com", "--json")).document[
            "id"
        ]
        product = (await teiki_in_lab("product", "put", "--name", "Club", "--json")).document["id"]
        method = ("payment-method", "add", "--customer", customer, "--token", token, "--json")
        card = (await teiki_in_lab(*method)).document["id"]
        created = await teiki_in_lab(
            *(
                "subscription",
                "create",
                "--customer",
                customer,
                "--product",
                product,
                "--payment-method",
                card,
            ),
            *(amount or ("--amount", "1000", "--currency", "JPY")),
            *("--period", "monthly", "--zone", "Asia/Tokyo", "--json"),
        )
        assert created.status == 0, created.out
        return created.document["id"]

    return made


async def test_a_part_and_then_the_rest_go_back_and_are_shown_everywhere(teiki_in_lab, paid):
    subscription = await paid()
    part = await teiki_in_lab(
        "credit", f"{subscription}/1", "--amount", "300", "--comment", "a song was missing"
    )
    assert part.status == 0, part.err
    assert f"300 JPY of payment {subscription}/1 is back with the customer: credit crd_" in part.out
    assert "Left of the payment: 700 JPY." in part.out
    listed = await teiki_in_lab("payment", "list", "--subscription", subscription, "--json")
    assert listed.document["items"][0]["state"] == "partially_refunded"
    found = await teiki_in_lab(
        "payment", "list", "--state", "partially_refunded", "--subscription", subscription, "--json"
    )
    assert len(found.document["items"]) == 1
    much = await teiki_in_lab(
        "credit", f"{subscription}/1", "--amount-minor", "701", "--comment", "x", "--json"
    )
    assert (much.status, much.document["code"]) == (1, "credit_exceeds_balance")
    assert much.document["balance"] == {"minor": 700, "currency": "JPY"}
    rest = await teiki_in_lab("credit", f"{subscription}/1", "--comment", "the rest", "--json")
    assert (rest.document["status"], rest.document["amount"]["minor"]) == ("returned", 700)
    page = await teiki_in_lab("subscription", "show", subscription)
    for told in ("refunded", "refund", "the rest", "operator:desk-1"):
        assert told in page.out
    of_it = await teiki_in_lab("credit", "list", "--of", f"{subscription}/1")
    assert of_it.out.count("returned") == 2
    shown = await teiki_in_lab("credit", "show", rest.document["id"])
    assert "is back with the customer" in shown.out
    why = await teiki_in_lab("subscription", "explain", subscription, "--payment", "1")
    assert "The 300 JPY" in why.out.replace("\n", " ") or "300 JPY of it went back" in why.out.replace(
        "\n", " "
    )


async def test_a_repeated_command_is_one_credit(teiki_in_lab, paid):
    subscription = await paid("--amount", "10.50", "--currency", "USD")
    command = (
        "credit",
        f"{subscription}/1",
        "--amount",
        "0.50",
        "--comment",
        "x",
        "--request-id",
        subscription,
    )
    first, second = [(await teiki_in_lab(*command, "--json")).document for _ in range(2)]
    assert first["id"] == second["id"]
    assert second["balance"] == {"minor": 1000, "currency": "USD"}
    other = await teiki_in_lab(*command[:3], "0.51", *command[4:], "--json")
    assert (other.status, other.document["code"]) == (1, "request_id_conflict")


async def test_a_part_of_a_sepa_payment_needs_the_risk_to_be_accepted(teiki_in_lab, paid):
    subscription = await paid("--amount", "10.00", "--currency", "EUR", token="tok_sepa")
    command = ("credit", f"{subscription}/1", "--amount", "1", "--comment", "x")
    refused = await teiki_in_lab(*command, "--json")
    assert (refused.status, refused.document["code"]) == (1, "risk_not_accepted")
    done = await teiki_in_lab(*command, "--accept-risk")
    assert done.status == 0, done.err
    assert "Left of the payment: 9.00 EUR." in done.out


async def test_an_unknown_outcome_is_told_as_one_and_resolved_by_itself(teiki_in_lab, paid, lab):
    subscription = await paid()
    rules = [
        {"fault": "drop_after", "route": "refund", "reference_prefix": subscription},
        {"fault": "error_before", "route": "lookup", "reference_prefix": subscription},
    ]
    async with lab.http.put("/_control/faults", json={"seed": 0, "rules": rules}) as answer:
        assert answer.ok
    made = await teiki_in_lab("credit", f"{subscription}/1", "--block-all", "--comment", "x")
    async with lab.http.put("/_control/faults", json={"seed": 0, "rules": []}) as answer:
        assert answer.ok
    for told in (
        "is on its way",
        "nobody knows yet whether it arrived",
        "Left of the payment: 0 JPY.",
        "blocked",
    ):
        assert told in made.out
    (item,) = (await teiki_in_lab("credit", "list", "--of", subscription, "--json")).document["items"]
    assert (item["status"], item["attempt_state"]) == ("open", "unknown")
    for _ in range(100):
        shown = (await teiki_in_lab("credit", "show", item["id"], "--json")).document
        if shown["status"] == "returned":
            break
        await lab.environment.sleep(20)
        await asyncio.sleep(0.05)
    assert shown["status"] == "returned"


@pytest.mark.parametrize("name", ["sub_1", "sub_1/", "/1", "sub_1/x"])
async def test_a_payment_that_is_not_named_is_a_usage_error(teiki, name):
    assert teiki("credit", name, "--comment", "x").status == 2


async def test_what_does_not_exist_is_refused_by_name(teiki_in_lab):
    nobody = await teiki_in_lab("credit", "sub_nobody/1", "--comment", "x", "--json")
    assert (nobody.status, nobody.document["code"]) == (1, "payment_not_found")
    order = await teiki_in_lab("credit", "20260101-0000001/1", "--comment", "x", "--json")
    assert (order.status, order.document["code"]) == (1, "order_not_found")
    credit = await teiki_in_lab("credit", "show", "crd_nobody", "--json")
    assert (credit.status, credit.document["code"]) == (1, "credit_not_found")
