"""Which adapter a name in the settings means: the worker and the customers' pages reach the same payment company."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from gateways.port import PaymentGateway
from gateways.sandbox_client import SandboxGateway

GatewayName = Literal["sandbox"]


def gateway_of(
    name: GatewayName,
    url: str,
    *,
    horizon_seconds: float | None = None,
    webhook_secrets: Sequence[str] = (),
) -> PaymentGateway:
    """The adapter, not yet connected; `close()` it in the end.

    Args:
        name: what the setting `gateway` says; a name that is not known here is no `GatewayName`.
        url: where its API answers.
        horizon_seconds: how long an unanswered request may still take effect, instead of the adapter's own
            answer (spec: charging.md §2).
        webhook_secrets: any of them may have signed a webhook; none: nothing that comes is believed.

    Raises:
        TeikiError: `settings_invalid` when a secret is none.
    """
    match name:
        case "sandbox":
            if horizon_seconds is None:
                return SandboxGateway(url, webhook_secrets=webhook_secrets)
            horizon = timedelta(seconds=horizon_seconds)
            return SandboxGateway(url, inflight_horizon=horizon, webhook_secrets=webhook_secrets)


def hosted_form_origin(name: GatewayName, url: str) -> str:
    """`scheme://host[:port]` of the pages on which customers give their card: for our content security policy."""
    match name:
        case "sandbox":
            parts = urlsplit(url)
            return f"{parts.scheme}://{parts.netloc}"
