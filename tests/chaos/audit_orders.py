"""What the auditor asks about orders and credits: I1 sold once and not for nothing, I3 sums that agree, I4 nothing
stuck, I6 every end explained and announced (quality.md).
"""

from __future__ import annotations

from typing import Final

from tests.chaos.audit_money import Check

I1: Final = (
    Check(
        "I1",
        "SELECT count(*) FROM permissions",
        """
        SELECT format('product %s has %s members under the numbers %s to %s', product_id, count(*),
                      min(membership_number), max(membership_number))
        FROM permissions WHERE membership_number IS NOT NULL GROUP BY product_id
        HAVING count(DISTINCT membership_number) <> count(*) OR min(membership_number) <> 1
            OR max(membership_number) <> count(*)
        UNION ALL
        SELECT format('order %s brought permission %s, and nothing was ever paid', o.id, p.id)
        FROM permissions p JOIN orders o ON o.id = p.order_id
        WHERE o.pay = 'card' AND o.amount_minor > 0 AND NOT EXISTS (
            SELECT FROM attempts a WHERE a.object_id = o.id AND a.purpose = 'charge' AND a.state = 'settled')
        """,
    ),
)

I3: Final = (
    Check(
        "I3",
        "SELECT count(*) FROM orders WHERE pay = 'card'",
        # A credit is counted by its order a moment after it went back.
        """
        WITH moved AS (
            SELECT object_id, COALESCE(sum(amount_minor) FILTER (WHERE purpose = 'charge'), 0) AS paid,
                   COALESCE(sum(amount_minor) FILTER (WHERE purpose = 'refund'), 0) AS returned
            FROM attempts WHERE state = 'settled' GROUP BY object_id
        )
        SELECT format('order %s says that %s was paid and %s returned; its attempts say %s and %s', o.id, o.paid_minor,
                      o.refunded_minor, COALESCE(m.paid, 0), COALESCE(m.returned, 0))
        FROM orders o LEFT JOIN moved m ON m.object_id = o.id
        WHERE o.pay = 'card'
          AND (o.paid_minor, o.refunded_minor) IS DISTINCT FROM
              (COALESCE(m.paid, 0), LEAST(COALESCE(m.paid, 0), COALESCE(m.returned, 0)))
          AND NOT EXISTS (SELECT FROM attempts a, terms t WHERE a.object_id = o.id
                          AND a.recorded_at > t.at - t.open_for)
        """,
    ),
)

I4: Final = (
    Check(
        "I4",
        "SELECT count(*) FROM credits",
        """
        SELECT format('credit %s of %s is open and was never sent', k.id, k.object_id) FROM credits k, terms t
        WHERE k.status = 'open' AND k.created_at <= t.at - t.open_for
          AND NOT EXISTS (SELECT FROM attempts a WHERE a.credit_id = k.id)
        UNION ALL
        SELECT format('credit %s went back, and order %s does not count it', k.id, k.order_id)
        FROM credits k, terms t
        WHERE k.status = 'returned' AND k.order_id IS NOT NULL AND k.counted_at IS NULL
          AND k.created_at <= t.at - t.open_for - t.step_grace
        """,
    ),
)

I6: Final = (
    Check(
        "I6",
        "SELECT count(*) FROM orders",
        """
        WITH latest AS (
            SELECT DISTINCT ON (subject_id) subject_id, data->>'to' AS status, data->>'reason' AS reason
            FROM history WHERE kind = 'status' AND data->>'object' = 'order' AND actor <> ''
            ORDER BY subject_id, seq DESC
        ), announced AS (
            SELECT subject_id, payload->>'to' AS status, count(*) AS n FROM outbox
            WHERE topic = 'order.status' GROUP BY 1, 2
        )
        SELECT format('order %s is %s (%s); its history says %s (%s), and there are %s notices', o.id, o.status,
                      o.reason, COALESCE(l.status, 'nothing'), COALESCE(l.reason, 'nothing'), COALESCE(a.n, 0))
        FROM orders o LEFT JOIN latest l ON l.subject_id = o.id
        LEFT JOIN announced a ON (a.subject_id, a.status) = (o.id, o.status)
        WHERE o.status IS DISTINCT FROM l.status OR COALESCE(l.reason, '') = '' OR o.reason = ''
           OR COALESCE(a.n, 0) <> 1
        """,
    ),
    Check(
        "I6",
        "SELECT count(*) FROM credits WHERE status <> 'open'",
        """
        SELECT format('credit %s is %s (%s): %s settled attempts, %s events', k.id, k.status, k.reason, a.n, h.n)
        FROM credits k
        CROSS JOIN LATERAL (SELECT count(*) AS n, COALESCE(sum(amount_minor), 0) AS minor FROM attempts
                            WHERE credit_id = k.id AND state = 'settled') a
        CROSS JOIN LATERAL (SELECT count(*) AS n FROM history
                            WHERE subject_id = k.object_id AND kind = 'refund' AND actor <> ''
                              AND data->>'outcome' = 'succeeded' AND data->>'credit_id' = k.id) h
        WHERE k.status <> 'open' AND k.reason <> 'double_refund' AND (  -- that one is the gateway's, and an incident
            k.reason = '' OR k.ended_at IS NULL
            OR k.status = 'returned' AND (a.n <> 1 OR a.minor <> k.amount_minor OR h.n <> 1)
            OR k.status = 'failed' AND a.n > 0)
        """,
    ),
)
