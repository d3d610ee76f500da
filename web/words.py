"""What customers read, in Japanese and English; a page shows one of them, as the browser prefers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["ja", "en"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A page that only says something."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All sentences of one language."""

    title: str
    explained: str
    product: str
    current_card: str
    ending_in: str
    payment_open: str
    never_seen: str
    go: str
    thanks: Notice
    thanks_trying: Notice
    unknown: Notice
    used: Notice
    expired: Notice
    not_changeable: Notice
    try_again: Notice


ENGLISH: Final = Words(
    title="Change your card",
    explained="The button takes you to the payment company, where you enter your new card. "
    "Until the new card is stored, the current one stays in use.",
    product="Subscription",
    current_card="Current card",
    ending_in="ending in",
    payment_open="A payment is open. With the new card it is tried again at once.",
    never_seen="We never see your card number.",
    go="Go to the payment company",
    thanks=Notice(
        title="Your card has been changed",
        text="Thank you. Coming payments are charged to your new card. You may close this page.",
    ),
    thanks_trying=Notice(
        title="Your card has been changed",
        text="Thank you. The open payment is being tried with your new card now. You may close this page.",
    ),
    unknown=Notice(
        title="This page does not exist",
        text="Please check that the address is complete: some mail programs cut long links.",
    ),
    used=Notice(
        title="This link has been used",
        text="A link changes a card once. If you want to change it again, please ask us for a new link.",
    ),
    expired=Notice(
        title="This link is no longer valid",
        text="It has expired, or a newer link has replaced it. Please use the newest one, or ask us for another.",
    ),
    not_changeable=Notice(
        title="The card cannot be changed",
        text="We could not change the card of this subscription. Please contact us.",
    ),
    try_again=Notice(
        title="Please try again in a moment",
        text="We cannot finish this just now. Please reload this page in a minute: nothing is done twice.",
    ),
)

JAPANESE: Final = Words(
    title="カードの変更",
    explained="ボタンを押すと決済会社のページに移動し、そこで新しいカードを登録していただきます。"
    "新しいカードの登録が完了するまでは、現在のカードが引き続き使われます。",
    product="ご契約",
    current_card="現在のカード",
    ending_in="下4桁",
    payment_open="お支払いが完了していない料金があります。カードの変更後、新しいカードですぐに再度決済いたします。",
    never_seen="カード番号が当社に伝わることはありません。",
    go="決済会社のページへ進む",
    thanks=Notice(
        title="カードを変更しました",
        text="ありがとうございます。今後のお支払いには新しいカードが使われます。このページは閉じてかまいません。",
    ),
    thanks_trying=Notice(
        title="カードを変更しました",
        text="ありがとうございます。未払いの料金を新しいカードで決済しています。このページは閉じてかまいません。",
    ),
    unknown=Notice(
        title="ページが見つかりません",
        text="URLが途中で切れていないかご確認ください。メールソフトによっては長いリンクが途切れることがあります。",
    ),
    used=Notice(
        title="このリンクは使用済みです",
        text="1つのリンクでカードを変更できるのは1回だけです。再度変更される場合は、新しいリンクをご請求ください。",
    ),
    expired=Notice(
        title="このリンクは無効です",
        text="有効期限が切れたか、新しいリンクが発行されています。最新のリンクをお使いになるか、新しいリンクをご請求ください。",
    ),
    not_changeable=Notice(
        title="カードを変更できません",
        text="このご契約のカードを変更できませんでした。お手数ですが、お問い合わせください。",
    ),
    try_again=Notice(
        title="しばらくしてからもう一度お試しください",
        text="ただいま処理を完了できません。1分ほど待ってこのページを再読み込みしてください。二重に処理されることはありません。",
    ),
)

WORDS: Final[dict[Language, Words]] = {"ja": JAPANESE, "en": ENGLISH}


def language_of(accept_language: str) -> Language:
    """The language that an `Accept-Language` header prefers of ours; English when it names neither."""
    best: Language = "en"
    best_weight = 0.0
    for choice in accept_language[:1_000].split(","):
        tag, _, parameter = choice.partition(";")
        name, weight = tag.strip().lower().partition("-")[0], _weight(parameter)
        if name in ("ja", "en") and weight > best_weight:
            best, best_weight = ("ja" if name == "ja" else "en"), weight
    return best


def _weight(parameter: str) -> float:
    """`q=0.8` → 0.8, at most 1; without it 1; what cannot be read counts for nothing."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip().lower() == "q" and 0 <= weight <= 1 else 0.0
