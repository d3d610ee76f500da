"""`teiki attention` against a real Temporal, Postgres, gateway and worker."""

from __future__ import annotations

import asyncio

import psycopg
import pytest


@pytest.fixture
async def refused_refund(teiki_in_lab, lab):
    """Money that arrived after the end, and a gateway that refuses to return all of it: a yen is gone already."""
    rules = [
        {"fault": "drop_after", "route": "charge", "times": 1},
        {"fault": "error_before", "route": "lookup", "times": 1},
    ]
    async with lab.http.put("/_control/faults", json={"seed": 1, "rules": rules}) as answer:
        assert answer.status == 200
    customer = (await teiki_in_lab("customer", "put", "--email", "b@example.com", "--json")).document["id"]
    product = (await teiki_in_lab("product", "put", "--name", "Box", "--json")).document["id"]
    card = await teiki_in_lab("payment-method", "add", "--customer", customer, "--token", "tok_ok", "--json")
    created = await teiki_in_lab(
        *("subscription", "create", "--customer", customer, "--product", product),
        *("--payment-method", card.document["id"], "--amount", "1000", "--currency", "JPY"),
        *("--period", "monthly", "--json"),
    )
    sub = created.document["id"]
    async with lab.http.put("/_control/faults", json={"seed": 1, "rules": []}):
        pass
    async with lab.http.get("/charges", params={"reference": f"{sub}/1/1"}) as answer:
        (charge,) = (await answer.json())["items"]
    async with lab.http.post(
        f"/charges/{charge['id']}/refunds",
        json={"amount": {"minor": 1, "currency": "JPY"}, "reference": f"{sub}/by-hand"},
        headers={"Idempotency-Key": f"by-hand-{sub}"},
    ) as answer:
        by_hand = (await answer.json())["id"]
    assert (await teiki_in_lab("subscription", "cancel", sub, "--json")).status == 0
    return sub, by_hand


async def waiting(teiki_in_lab, sub: str, reference: str) -> None:
    for _ in range(100):
        listed = (await teiki_in_lab("attention", "list", "--json")).document["attempts"]
        if [a["reference"] for a in listed if a["object_id"] == sub] == ([reference] if reference else []):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{reference or 'nothing'} is expected to wait, found {listed}")


async def test_a_refused_refund_waits_until_a_person_has_settled_it(teiki_in_lab, refused_refund):
    sub, by_hand = refused_refund
    await waiting(teiki_in_lab, sub, f"{sub}/1/refund")
    page = await teiki_in_lab("attention", "list")
    assert f"{sub}/1/refund" in page.out
    assert "teiki attention settle" in page.out

    wrong_word = await teiki_in_lab(
        "attention", "settle", f"{sub}/1/refund", "--as", "charged", "--comment", "x"
    )
    assert (wrong_word.status, wrong_word.err.split(":")[0]) == (1, "✗ invalid_input")

    again = await teiki_in_lab(
        *(
            "attention",
            "settle",
            f"{sub}/1/refund",
            "--as",
            "again",
            "--comment",
            "they topped up the balance",
        )
    )
    assert again.status == 0, again.err
    await waiting(teiki_in_lab, sub, f"{sub}/1/refund/2")

    unproved = await teiki_in_lab(
        *("attention", "settle", f"{sub}/1/refund/2", "--as", "returned", "--gateway-id", by_hand),
        *("--comment", "seen at the gateway"),
    )
    assert (unproved.status, unproved.err.split(":")[0]) == (1, "✗ gateway_disagrees")
    await waiting(teiki_in_lab, sub, f"{sub}/1/refund/2")

    closed = await teiki_in_lab(
        *(
            "attention",
            "settle",
            f"{sub}/1/refund/2",
            "--as",
            "not-returned",
            "--comment",
            "sent by bank",
            "--json",
        )
    )
    assert closed.status == 0, closed.err
    await waiting(teiki_in_lab, sub, "")
    shown = (await teiki_in_lab("subscription", "show", sub, "--json")).document
    said = [event for event in shown["history"] if event["data"].get("do") == "settle_attention"]
    assert [event["comment"] for event in said] == ["they topped up the balance", "sent by bank"]
    assert {event["actor"] for event in said} == {"operator:desk-1"}


async def test_an_incident_is_closed_with_a_comment_once(teiki_in_lab, lab):
    url = lab.settings.database.replace("postgresql+psycopg://", "postgresql://")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await connection.execute(
            "INSERT INTO incidents (kind, dedupe_key, gateway_id) VALUES ('charge_without_attempt', 'test:1', 'ch_9')"
            " RETURNING id"
        )
        (incident,) = await row.fetchone()
    listed = (await teiki_in_lab("attention", "list", "--json")).document["incidents"]
    assert incident in [entry["id"] for entry in listed]
    closed = await teiki_in_lab("attention", "settle", incident, "--comment", "a test charge by hand")
    assert (closed.status, closed.out.strip()) == (0, f"Closed {incident}.")
    again = await teiki_in_lab("attention", "settle", incident, "--comment", "twice")
    assert again.status == 0
    after = (await teiki_in_lab("attention", "list", "--json")).document["incidents"]
    assert incident not in [entry["id"] for entry in after]
    nobody = await teiki_in_lab("attention", "settle", "inc_99999", "--comment", "who?")
    assert (nobody.status, nobody.err.split(":")[0]) == (1, "✗ incident_not_found")


@pytest.mark.parametrize(
    "arguments",
    [
        ("inc_1", "--as", "charged", "--comment", "x"),
        ("sub_1/1/1", "--comment", "x"),
        ("sub_1/1/1", "--as", "charged"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(teiki, arguments):
    assert teiki("attention", "settle", *arguments).status == 2


async def test_what_does_not_wait_cannot_be_settled(teiki_in_lab):
    refused = await teiki_in_lab("attention", "settle", "sub_1/1/1", "--as", "charged", "--comment", "x")
    assert (refused.status, refused.err.split(":")[0]) == (1, "✗ nothing_to_settle")
