"""What customers read on the page of a repayment link, in Japanese and English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from web.words import Language, Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaymentWords:
    """All sentences of one language."""

    title: str
    explained: str
    product: str
    amount: str
    until: str
    declined: str
    never_seen: str
    go: str
    thanks: Notice
    being_paid: Notice
    nothing_owed: Notice
    unknown: Notice
    used: Notice
    expired: Notice
    not_payable: Notice


ENGLISH: Final = RepaymentWords(
    title="Payment due",
    explained="Your payment for this purchase was taken back by your bank. "
    "The button takes you to the payment company, where you choose a card to pay it now.",
    product="For",
    amount="Amount due",
    until="Please pay by",
    declined="The last card was declined and nothing was charged. Please try another one.",
    never_seen="We never see your card number.",
    go="Go to the payment company",
    thanks=Notice(title="Thank you for your payment", text="It has arrived. You may close this page."),
    being_paid=Notice(
        title="Your payment is being processed",
        text="You need not do anything: it is charged once. Please reload this page in a minute to see the result.",
    ),
    nothing_owed=Notice(
        title="Nothing is due any more", text="This has been paid already. You may close this page."
    ),
    unknown=Notice(
        title="This page does not exist",
        text="Please check that the address is complete: some mail programs cut long links.",
    ),
    used=Notice(
        title="This has been paid", text="The link takes one payment, and it has arrived. Thank you."
    ),
    expired=Notice(
        title="This link is no longer valid",
        text="It has expired, or a newer link has replaced it. Please use the newest one, or ask us for another.",
    ),
    not_payable=Notice(
        title="This cannot be paid here", text="We could not take your payment. Please contact us."
    ),
)

JAPANESE: Final = RepaymentWords(
    title="お支払いのお願い",
    explained="このご購入のお支払いは、カード会社により取り消されました。"
    "ボタンを押すと決済会社のページに移動し、カードを選んでお支払いいただけます。",
    product="ご購入内容",
    amount="お支払い金額",
    until="お支払い期限",
    declined="前回のカードは承認されず、請求は行われていません。別のカードをお試しください。",
    never_seen="カード番号が当社に伝わることはありません。",
    go="決済会社のページへ進む",
    thanks=Notice(
        title="お支払いありがとうございます",
        text="お支払いを確認いたしました。このページは閉じてかまいません。",
    ),
    being_paid=Notice(
        title="お支払いを処理しています",
        text="操作は必要ありません。請求は1回だけです。1分ほど待ってこのページを再読み込みしてください。",
    ),
    nothing_owed=Notice(
        title="お支払いは完了しています",
        text="お支払いいただく金額はありません。このページは閉じてかまいません。",
    ),
    unknown=Notice(
        title="ページが見つかりません",
        text="URLが途中で切れていないかご確認ください。メールソフトによっては長いリンクが途切れることがあります。",
    ),
    used=Notice(
        title="お支払い済みです",
        text="このリンクでのお支払いは1回だけで、すでに完了しています。ありがとうございました。",
    ),
    expired=Notice(
        title="このリンクは無効です",
        text="有効期限が切れたか、新しいリンクが発行されています。最新のリンクをお使いになるか、新しいリンクをご請求ください。",
    ),
    not_payable=Notice(
        title="お支払いいただけません",
        text="お支払いを受け付けることができませんでした。お手数ですが、お問い合わせください。",
    ),
)

REPAYMENT_WORDS: Final[dict[Language, RepaymentWords]] = {"ja": JAPANESE, "en": ENGLISH}
