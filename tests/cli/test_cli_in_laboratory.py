"""The command line against a real Temporal, Postgres, gateway and worker."""

import datetime as dt
import json

import psycopg
import pytest


@pytest.fixture
async def references(teiki_in_lab):
    """A customer, a product and a card, as options of `create`."""
    customer = (await teiki_in_lab("customer", "put", "--email", "a@example.com", "--json")).document["id"]
    product = (await teiki_in_lab("product", "put", "--name", "Box", "--json")).document["id"]
    card = await teiki_in_lab("payment-method", "add", "--customer", customer, "--token", "tok_ok", "--json")
    return customer, product, card.document["id"]


@pytest.fixture
async def opened(teiki_in_lab, references):
    customer, product, card = references
    created = await teiki_in_lab(
        *("subscription", "create", "--customer", customer, "--product", product, "--payment-method", card),
        *("--amount", "10.50", "--currency", "USD", "--period", "monthly", "--zone", "America/New_York"),
        *("--metadata", "color=red", "--comment", "asked by phone", "--json"),
    )
    assert created.status == 0, created.out
    return created.document


async def test_create_waits_for_the_first_charge_and_shows_it(opened):
    assert opened["status"] == "current"
    assert opened["amount"] == {"minor": 1050, "currency": "USD"}
    assert opened["payments"][0]["attempts"][0]["state"] == "settled"
    assert opened["history"][0]["comment"] == "asked by phone"
    assert dt.datetime.fromisoformat(opened["next_at"]).tzinfo is not None


async def test_a_life_through_the_command_line(teiki_in_lab, opened):
    sub = opened["id"]
    suspended = await teiki_in_lab("subscription", "suspend", sub, "--comment", "moving house", "--json")
    assert suspended.document["status"] == "suspended"

    again = await teiki_in_lab("subscription", "suspend", sub)
    assert (again.status, again.out) == (1, "")
    assert again.err.startswith("✗ invalid_status: ")
    assert "status=suspended" in again.err

    dry = await teiki_in_lab("subscription", "resume", sub, "--dry-run", "--policy", "catch_up", "--json")
    assert [payment["number"] for payment in dry.document["payments"]] == [2, 3, 4]
    still = await teiki_in_lab("subscription", "show", sub, "--json")
    assert still.document["status"] == "suspended"

    table = await teiki_in_lab("subscription", "resume", sub, "--dry-run")
    assert "What a resume would do (America/New_York)" in table.out
    assert "10.50 USD" in table.out

    resumed = await teiki_in_lab("subscription", "resume", sub, "--json")
    assert resumed.document["payments"] == dry.document["payments"]

    page = await teiki_in_lab("subscription", "show", sub)
    assert "It is paid and running: it was resumed." in page.out
    assert "moving house" in page.out
    assert "operator:desk-1" in page.out
    assert "UTC)" in page.out

    scheduled = await teiki_in_lab("subscription", "cancel", sub, "--mode", "period_end", "--json")
    assert scheduled.document["cancel_at"] == opened["next_at"]
    assert (await teiki_in_lab("subscription", "recover", sub, "--json")).document["cancel_at"] is None
    ended = await teiki_in_lab("subscription", "cancel", sub)
    assert ended.status == 0
    assert "It was canceled for good: it was canceled at once." in ended.out

    over = await teiki_in_lab("subscription", "suspend", sub, "--json")
    assert over.status == 1
    assert over.document["code"] == "invalid_status"
    assert over.document["status"] == "canceled"

    why = await teiki_in_lab("subscription", "explain", sub)
    assert "attempt 1: sent on" in why.out
    assert "operator:desk-1 canceled it on" in why.out
    one = await teiki_in_lab("subscription", "explain", sub, "--payment", "2", "--json")
    assert len(one.document["sentences"]) == 1


async def test_a_token_is_enough_to_try_it_out_and_a_repeated_request_opens_nothing_more(
    teiki_in_lab, references
):
    customer, product, _ = references
    arguments = (
        *(
            "subscription",
            "create",
            "--customer",
            customer,
            "--product",
            product,
            "--token",
            "tok_insufficient_funds",
        ),
        *(
            "--amount",
            "1000",
            "--currency",
            "JPY",
            "--period",
            "monthly",
            "--request-id",
            f"try-{customer}",
            "--json",
        ),
    )
    first = (await teiki_in_lab(*arguments)).document
    assert first["status"] == "unconfirmed"
    assert first["failing"] is True
    second = (await teiki_in_lab(*arguments)).document
    assert second["id"] == first["id"]
    cards = await teiki_in_lab("payment-method", "list", "--customer", customer, "--json")
    assert len(cards.document["items"]) == 2

    changed = await teiki_in_lab(
        *("subscription", "change-card", first["id"], "--payment-method", cards.document["items"][0]["id"]),
        "--json",
    )
    assert changed.status == 0


async def test_what_if_changes_nothing(teiki_in_lab, opened):
    sub = opened["id"]
    plain = (await teiki_in_lab("subscription", "what-if", "nothing", sub, "--json")).document
    assert plain["goes_on"] is True
    suspended = await teiki_in_lab("subscription", "what-if", "suspend", sub)
    assert "nothing is charged" in suspended.out
    dearer = await teiki_in_lab(
        *(
            "subscription",
            "what-if",
            "change-amount",
            sub,
            "--amount",
            "12",
            "--currency",
            "USD",
            "--next-only",
        ),
        "--json",
    )
    assert [payment["amount"]["minor"] for payment in dearer.document["payments"]] == [1200, 1050, 1050]
    ending = await teiki_in_lab("subscription", "what-if", "cancel", sub, "--mode", "period_end", "--json")
    assert ending.document["payments"] == []
    assert ending.document["cancel_at"] == opened["next_at"]
    refused = await teiki_in_lab("subscription", "what-if", "resume", sub, "--json")
    assert refused.document["code"] == "invalid_status"
    for operation in ("recover", "change-card"):
        assert (await teiki_in_lab("subscription", "what-if", operation, sub)).status in (0, 1)
    after = (await teiki_in_lab("subscription", "show", sub, "--json")).document
    assert (after["status"], after["updated_at"]) == (opened["status"], opened["updated_at"])


async def test_a_refused_amount_names_its_code_and_a_wrong_field_is_named(teiki_in_lab, opened):
    sub = opened["id"]
    other = await teiki_in_lab(
        *("subscription", "change-amount", sub, "--amount", "1000", "--currency", "JPY", "--json")
    )
    assert other.document["code"] == "currency_mismatch"
    assert (other.document["expected"], other.document["got"]) == ("USD", "JPY")
    nobody = await teiki_in_lab("subscription", "suspend", sub, "--actor", "nobody", "--json")
    assert nobody.document["code"] == "invalid_input"
    assert nobody.document["field"] == "actor"
    missing = await teiki_in_lab("subscription", "show", "sub_0", "--json")
    assert missing.document["code"] == "subscription_not_found"


async def test_a_card_link_is_a_url_by_itself(teiki_in_lab, opened):
    link = await teiki_in_lab("subscription", "card-link", opened["id"])
    assert link.out.startswith("http://127.0.0.1:")
    assert link.out.count("\n") == 1


async def test_every_filter_finds_it_and_pages_go_on(teiki_in_lab, references, opened):
    customer, product, _ = references
    card = opened["payment_method"]
    created = dt.datetime.fromisoformat(opened["created_at"])
    found = await teiki_in_lab(
        *("subscription", "list", "--status", "current,unpaid", "--customer", customer, "--product", product),
        *("--email", "A@example.com", "--card-brand", card["brand"], "--card-last-four", card["last_four"]),
        *("--created-from", (created - dt.timedelta(hours=1)).isoformat()),
        *("--created-to", (created + dt.timedelta(hours=1)).isoformat()),
        *("--next-from", opened["next_at"], "--no-cancel-scheduled", "--no-unknown", "--no-failed"),
        *("--metadata", "color=red", "--text", "a@exam", "--json"),
    )
    assert [item["id"] for item in found.document["items"]] == [opened["id"]]
    none = await teiki_in_lab("subscription", "list", "--customer", customer, "--failed", "--json")
    assert none.document == {"items": [], "next_cursor": None}
    table = await teiki_in_lab("subscription", "list", "--customer", customer)
    assert opened["id"] in table.out
    bad = await teiki_in_lab("subscription", "list", "--cursor", "nonsense", "--json")
    assert bad.document["code"] == "invalid_cursor"
    wrong = await teiki_in_lab("subscription", "list", "--status", "asleep", "--json")
    assert wrong.document["code"] == "invalid_input"
    assert wrong.document["field"].startswith("status")

    first = await teiki_in_lab("product", "list", "--limit", "1", "--json")
    if first.document["next_cursor"]:
        cursor = first.document["next_cursor"]
        second = await teiki_in_lab("product", "list", "--limit", "1", "--cursor", cursor, "--json")
        assert second.document["items"][0]["id"] != first.document["items"][0]["id"]


async def test_a_customer_is_shown_with_cards_and_subscriptions(teiki_in_lab, references, opened):
    customer, _, card = references
    known = (await teiki_in_lab("customer", "show", customer, "--json")).document
    assert [detail["id"] for detail in known["info"]["details"]][:2] == [customer, card]
    assert [(one["way"], one["purchases"]) for one in known["products"]] == [("subscription", 1)]
    assert {item["object_id"] for item in known["transactions"]["items"]} == {opened["id"]}
    assert customer in (await teiki_in_lab("customer", "show", customer)).out
    assert customer in (await teiki_in_lab("customer", "list", "--text", customer)).out
    assert (await teiki_in_lab("customer", "show", "cus_0", "--json")).document[
        "code"
    ] == "customer_not_found"


async def test_the_doctor_finds_everything_well_and_the_books_agree(teiki_in_lab, opened):
    looked = await teiki_in_lab("doctor", "--ledger", "--json")
    states = {check["name"]: check["state"] for check in looked.document["checks"]}
    assert looked.status == 0, json.dumps(looked.document, indent=1)
    assert "failed" not in states.values()
    assert {states[name] for name in ("Temporal", "Postgres", "migrations", "gateway", "ledger")} == {"ok"}


async def test_the_books_are_compared_on_demand_and_what_differs_is_named(teiki_in_lab, lab, opened):
    compared = await teiki_in_lab("reconcile", "--since", "2026-01-01T00:00:00Z", "--json")
    assert compared.status == 0, compared.out + compared.err
    assert compared.document["agrees"] is True
    assert compared.document["totals"]["USD"]["ledger"] == compared.document["totals"]["USD"]["gateway"] > 0
    assert compared.document["workflows"] is None, "this server cannot list workflows"
    # An attempt that was written down long ago and never heard of again.
    forgotten = (
        "INSERT INTO attempts (key, object_id, number, attempt, purpose, reference, state, payment_method_id,"
        " amount_minor, currency, sent_at, recorded_at) SELECT 'k-' || object_id, object_id, 2, 9,"
        " 'charge', object_id || '/9', 'unknown', payment_method_id, amount_minor, currency, sent_at,"
        " now() - interval '1 day' FROM attempts WHERE object_id = %s"
    )
    url = lab.settings.database.replace("postgresql+psycopg://", "postgresql://", 1)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(forgotten, (opened["id"],))
        page = await teiki_in_lab("reconcile")
        assert page.status == 1
        assert f"! attempt_stuck of {opened['id']}, payment 2" in page.out
        looked = await teiki_in_lab("doctor", "--ledger", "--json")
        checks = {check["name"]: check for check in looked.document["checks"]}
        assert checks["ledger"]["state"] == "failed"
        assert "1 difference waits for a person (0 new)" in checks["ledger"]["found"]
        assert checks["ledger"]["found"].endswith("; open incidents: 1")
        assert checks["workflows"]["state"] == "skipped"
        await connection.execute("DELETE FROM attempts WHERE attempt = 9")
        await connection.execute("UPDATE incidents SET closed_at = now(), closed_by = 'test'")


async def test_migrations_are_at_head_and_the_models_agree(teiki_in_lab):
    at = (await teiki_in_lab("migrate", "current", "--json")).document
    assert at["revision"] == at["head"]
    assert (await teiki_in_lab("migrate", "--json")).document == at
    assert (await teiki_in_lab("migrate", "check", "--json")).document["matches"] is True
    assert (await teiki_in_lab("migrate", "upgrade", "nowhere", "--json")).document["code"] == "invalid_input"
