"""`teiki product`: entering a product of each type, showing its changes, listing by type."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest

from starter import (
    CustomField,
    ErrorCode,
    FixedPeriod,
    Money,
    Option,
    ProductTerms,
    ProductType,
    SalesMethod,
    Teiki,
    TeikiError,
)
from starter.cli.product_page import price_in_words, use_in_words


def test_terms_that_contradict_are_refused_before_anything_is_asked(teiki):
    ticket = teiki(
        "product", "put", "--name", "Gate", "--type", "ticket", "--sales-method", "recurring", "--json"
    )
    assert (ticket.status, ticket.document["code"]) == (1, "invalid_product")
    unknown = teiki("product", "put", "--name", "Gate", "--type", "book", "--json")
    assert (unknown.status, unknown.document["code"], unknown.document["field"]) == (
        1,
        "invalid_input",
        "type",
    )
    rate = teiki("product", "put", "--name", "Gate", "--point-rate", "2")
    assert rate.err.startswith("✗ invalid_point_rate: ")
    field = teiki("product", "put", "--name", "Gate", "--custom-field", "size:choice", "--json")
    assert (field.document["code"], field.document["field"]) == ("invalid_product", "size")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--usage-from", "2026-04-01T00:00:00+09:00"),
        (
            *("--usage-from", "2026-04-01T00:00:00+09:00", "--usage-to", "2026-05-01T00:00:00+09:00"),
            *("--usage-period", "P1D"),
        ),
        ("--option", "Large=4000"),
        ("--terms", "nowhere.yaml"),
    ],
    ids=" ".join,
)
def test_options_that_do_not_belong_together_are_wrong_usage(teiki, arguments):
    ran = teiki("product", "put", "--name", "Live", *arguments, "--json")
    assert (ran.status, ran.document["code"]) == (2, "usage")


def test_a_file_of_terms_holds_fields(teiki, tmp_path):
    (tmp_path / "terms.yaml").write_text("- ticket\n")
    ran = teiki("product", "put", "--name", "Live", "--terms", "terms.yaml")
    assert ran.status == 2
    (tmp_path / "terms.yaml").write_text("type: ticket\ncolour: red\n")
    ran = teiki("product", "put", "--name", "Live", "--terms", "terms.yaml", "--json")
    assert (ran.status, ran.document["field"]) == (1, "colour")


OF_GOLD = (("Gold", 9000), ("Silver", 3000))
EACH_TYPE = {
    "digital": ("--price", "3500", "--currency", "JPY", "--usage-period", "P30D", "--point-rate", "0.01"),
    "membership": (
        *("--sales-method", "recurring", "--price", "10", "--currency", "USD", "--membership-numbers"),
        *("--identification-field", "name", "--identification-field", "nickname"),
    ),
    "sponsorship": (
        *("--option", "Gold=9,000", "--option", "Silver=3000", "--option", "Plain", "--currency", "JPY"),
        *("--custom-field", "message"),
    ),
    "subscription_voucher": ("--sales-method", "recurring", "--price", "500", "--currency", "JPY"),
    "ticket": (
        *("--sales-method", "token_auth", "--custom-field", "size:choice:required:S,M, L"),
        *("--custom-field", "born:date", "--custom-field", "meal:choice:fish,rice"),
        *("--usage-from", "2026-04-01T18:00:00+09:00", "--usage-to", "2026-04-01T22:00:00+09:00"),
    ),
}


@pytest.mark.parametrize("kind", EACH_TYPE)
async def test_a_product_of_each_type_is_entered_shown_and_listed(teiki_in_lab, kind):
    entered = await teiki_in_lab(
        "product", "put", "--name", "Live", "--type", kind, *EACH_TYPE[kind], "--json"
    )
    assert entered.status == 0, entered.out + entered.err
    product = entered.document["id"]
    shown = (await teiki_in_lab("product", "show", product, "--json")).document
    assert (shown["name"], shown["terms"]["type"], shown["price"]) == ("Live", kind, shown["terms"]["price"])
    page = await teiki_in_lab("product", "show", product)
    assert page.status == 0
    assert kind in page.out
    listed = (await teiki_in_lab("product", "list", "--type", kind, "--json")).document["items"]
    assert product in [item["id"] for item in listed]
    assert {item["terms"]["type"] for item in listed} == {kind}
    table = await teiki_in_lab("product", "list", "--type", kind)
    assert f"{product}  {kind}" in table.out


async def test_what_was_typed_is_what_is_kept(teiki_in_lab):
    async def terms_of(kind):
        arguments = ("product", "put", "--name", "Live", "--type", kind, *EACH_TYPE[kind], "--json")
        product = (await teiki_in_lab(*arguments)).document["id"]
        return (await teiki_in_lab("product", "show", product, "--json")).document["terms"]

    digital = await terms_of("digital")
    assert (digital["usage_period"], digital["point_rate"]) == ("P30D", "0.01")
    membership = await terms_of("membership")
    assert membership["price"] == {"minor": 1000, "currency": "USD"}
    assert (membership["membership_numbers"], membership["identification_fields"]) == (
        True,
        ["name", "nickname"],
    )
    options = (await terms_of("sponsorship"))["options"]
    assert [(one["name"], one["price"] and one["price"]["minor"]) for one in options] == [
        ("Gold", 9000),
        ("Silver", 3000),
        ("Plain", None),
    ]
    ticket = await terms_of("ticket")
    assert ticket["usage_period"] == {"starts_at": "2026-04-01T09:00:00Z", "ends_at": "2026-04-01T13:00:00Z"}
    fields = [(one["name"], one["type"], one["required"], one["choices"]) for one in ticket["custom_fields"]]
    assert fields == [
        ("size", "choice", True, ["S", "M", "L"]),
        ("born", "date", False, []),
        ("meal", "choice", False, ["fish", "rice"]),
    ]


async def test_a_file_of_terms_an_option_that_wins_over_it_and_the_change_in_history(teiki_in_lab, tmp_path):
    file = tmp_path / "terms.yaml"
    file.write_text(
        "type: ticket\nprice: {minor: 3500, currency: JPY}\nusage_period: P1D\n"
        'point_rate: "0.01"\ncustom_fields: [{name: meal, type: choice, choices: [fish, no]}]\n'
    )
    put = ("product", "put", "--name", "Gate", "--terms", str(file), "--json")
    product = (await teiki_in_lab(*put)).document["id"]
    dearer = ("--id", product, "--price", "4000", "--currency", "JPY", "--request-id", f"dearer-{product}")
    first, again = [(await teiki_in_lab(*put, *dearer)).document for _ in range(2)]
    assert first == again == {"id": product}
    shown = (await teiki_in_lab("product", "show", product, "--json")).document
    assert shown["terms"]["custom_fields"][0]["choices"] == ["fish", "no"]
    assert [change["before"] for change in shown["history"]] == [
        None,
        {"price": {"minor": 3500, "currency": "JPY"}},
    ]
    page = await teiki_in_lab("product", "show", product)
    assert "price: 3,500 JPY → 4,000 JPY" in page.out
    asked = ("--id", product, "--custom-field", "meal:choice:fish,rice", "--option", "Balcony=9000")
    assert (await teiki_in_lab(*put, *asked, "--currency", "JPY")).status == 0
    page = await teiki_in_lab("product", "show", product)
    changed = " ".join(page.out.split())  # the table may break its lines
    assert "custom_fields: meal: choice, fish | no → meal: choice, fish | rice" in changed
    assert "options: - → Balcony (9,000 JPY)" in changed
    assert "price: 4,000 JPY → 3,500 JPY" in changed
    # What `show` gives can be entered again as it is.
    file = tmp_path / "copy.json"
    file.write_text(json.dumps(shown["terms"]))
    copy = (await teiki_in_lab("product", "put", "--name", "Copy", "--terms", str(file), "--json")).document[
        "id"
    ]
    assert (await teiki_in_lab("product", "show", copy, "--json")).document["terms"] == shown["terms"]


@pytest.mark.parametrize(
    ("said", "price", "use"),
    [
        ({}, "-", "without end"),
        (
            {"price": {"minor": 1050, "currency": "USD"}, "usage_period": "P1M"},
            "10.50 USD",
            "P1M from acquisition",
        ),
        ({"sales_method": "recurring"}, "-", "while paid"),
        (
            {
                "options": [
                    {"name": name, "price": {"minor": minor, "currency": "JPY"}} for name, minor in OF_GOLD
                ]
            },
            "from 3,000 JPY",
            "without end",
        ),
        (
            {
                "usage_period": {
                    "starts_at": "2026-04-01T18:00:00+09:00",
                    "ends_at": "2026-04-01T22:00:00+09:00",
                }
            },
            "-",
            "2026-04-01 09:00+00:00 to 2026-04-01 13:00+00:00",
        ),
    ],
)
def test_price_and_use_are_told_in_words(said, price, use):
    terms = ProductTerms.model_validate(said)
    assert (price_in_words(terms), use_in_words(terms)) == (price, use)


async def test_what_is_not_there_and_what_is_no_type_is_refused(teiki_in_lab):
    missing = await teiki_in_lab("product", "show", "prd_none", "--json")
    assert (missing.status, missing.document["code"]) == (1, "product_not_found")
    unknown = await teiki_in_lab("product", "list", "--type", "book", "--json")
    assert (unknown.status, unknown.document["code"]) == (1, "invalid_input")
    assert "ticket" in unknown.document["types"]


async def test_the_sdk_takes_models_and_words_and_answers_a_repetition_with_the_first_id(lab):
    price = Money(minor=3500, currency="JPY")
    async with Teiki(lab.client, lab.settings) as teiki:
        put = partial(
            teiki.products.put,
            name="Gate",
            type="ticket",
            sales_method=SalesMethod.ONE_TIME,
            price=price,
            options=[Option(name="Balcony", price=Money(minor=9000, currency="JPY"))],
            usage_period=FixedPeriod(
                starts_at=datetime(2026, 4, 1, 9, tzinfo=UTC), ends_at=datetime(2026, 4, 1, 13, tzinfo=UTC)
            ),
            point_rate="0.01",
            identification_fields=["name"],
            custom_fields=[CustomField(name="meal", type="choice", choices=("fish", "rice"))],
            request_id="gate-1",
        )
        product = await put()
        assert await put() == product
        shown = await teiki.products.show(product)
        assert (shown.price, shown.terms.type, shown.terms.point_rate) == (
            price,
            ProductType.TICKET,
            Decimal("0.01"),
        )
        assert len(shown.history) == 1
        with pytest.raises(TeikiError) as caught:
            await put(point_rate="0.02")
        assert caught.value.code is ErrorCode.REQUEST_ID_CONFLICT
        plain = await teiki.products.put(name="Plain", price=price)
        assert (await teiki.products.show(plain)).terms == ProductTerms(price=price)
        page = await teiki.products.list(type=ProductType.TICKET)
        assert product in {item.id for item in page.items}
        assert plain not in {item.id for item in page.items}
