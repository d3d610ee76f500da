"""What the auditor asks about the records: I5 no secret past its use, I6 every end explained and announced, I7 nobody
charged after a block, I8 every accepted command in history (quality.md).
"""

from __future__ import annotations

from typing import Final

from tests.chaos.audit_money import Check

I5: Final = (
    Check(
        "I5",
        "SELECT count(*) FROM card_links",
        """
        SELECT format('card link of %s was used at %s: it expired at %s, was revoked at %s', subscription_id, used_at,
                      expires_at, COALESCE(revoked_at::text, 'no time'))
        FROM card_links WHERE used_at >= expires_at
        UNION ALL
        SELECT format('subscription %s has %s usable card links', subscription_id, count(*))
        FROM card_links WHERE used_at IS NULL AND revoked_at IS NULL
        GROUP BY subscription_id HAVING count(*) > 1
        UNION ALL
        SELECT format('a card link of %s was used after its end', used.subject_id)
        FROM history used
        WHERE used.kind = 'link' AND used.data->>'outcome' = 'used'
          AND EXISTS (SELECT FROM history ended WHERE ended.subject_id = used.subject_id AND ended.kind = 'status'
                      AND ended.data->>'to' IN ('canceled', 'completed') AND ended.seq < used.seq)
        """,
    ),
    Check(
        "I5",
        "SELECT count(*) FROM payment_methods",
        """
        SELECT format('%s %s carries a gateway token', place, id) FROM (
            SELECT 'history' AS place, seq::text AS id, data::text || comment AS words FROM history
            UNION ALL SELECT 'outbox', id::text, payload::text FROM outbox
            UNION ALL SELECT 'request', request_id, response::text FROM requests
            UNION ALL SELECT 'attempt', key, hint || COALESCE(gateway_code, '') FROM attempts
        ) written WHERE words ~ '\\mtok_[0-9A-Za-z]'
        """,
    ),
    Check(
        "I5",
        "SELECT (SELECT count(*) FROM exports) + (SELECT count(*) FROM sealed_secrets)",
        """
        SELECT format('export %s could be downloaded until %s and is still %s', id, expires_at, status)
        FROM exports WHERE status = 'ready' AND expires_at < clock_timestamp() - interval '10 minutes'
        UNION ALL
        SELECT format('the password of export %s (%s) is kept, of no use since %s', x.export_id,
                      COALESCE(e.status, 'never entered'), COALESCE(e.ready_at, e.ended_at, x.expires_at))
        FROM sealed_secrets x LEFT JOIN exports e ON e.id = x.export_id
        WHERE x.expires_at < clock_timestamp() - interval '10 minutes' OR e.status IN ('ready', 'expired', 'failed')
        """,
    ),
)

I6: Final = (
    Check(
        "I6",
        "SELECT count(*) FROM attempts WHERE purpose = 'charge' AND state IN ('settled', 'declined', 'abandoned')",
        """
        WITH told AS (
            SELECT subject_id, number, (data->>'attempt')::integer AS attempt, data->>'outcome' AS outcome,
                   count(*) AS n
            FROM history WHERE kind = 'payment' AND actor <> '' AND data ? 'attempt' GROUP BY 1, 2, 3, 4
        ), announced AS (
            SELECT subject_id, (payload->>'number')::integer AS number, (payload->>'attempt')::integer AS attempt,
                   topic, count(*) AS n
            FROM outbox WHERE topic IN ('payment.settled', 'payment.failed') GROUP BY 1, 2, 3, 4
        ), judged AS (
            SELECT a.*,
                   CASE a.state WHEN 'settled' THEN 'succeeded' WHEN 'declined' THEN 'failed'
                                ELSE 'abandoned' END AS outcome,
                   CASE a.state WHEN 'settled' THEN 'payment.settled' WHEN 'declined' THEN 'payment.failed' END AS topic
            FROM attempts a WHERE purpose = 'charge' AND state IN ('settled', 'declined', 'abandoned')
        )
        SELECT format('attempt %s is %s (reason %s): %s events, %s notices', j.reference, j.state,
                      COALESCE(j.decline, 'none'), COALESCE(t.n, 0), COALESCE(o.n, 0))
        FROM judged j
        LEFT JOIN told t ON (t.subject_id, t.number, t.attempt, t.outcome)
                          = (j.object_id, j.number, j.attempt, j.outcome)
        LEFT JOIN announced o ON (o.subject_id, o.number, o.attempt, o.topic)
                               = (j.object_id, j.number, j.attempt, j.topic)
        WHERE COALESCE(t.n, 0) <> 1 OR j.topic IS NOT NULL AND COALESCE(o.n, 0) <> 1
           OR j.state = 'declined' AND COALESCE(j.decline, '') = '' OR j.resolved_at IS NULL
        UNION ALL
        SELECT format('notice %s for %s/%s, attempt %s, is about nothing that happened', o.topic, o.subject_id,
                      o.number, o.attempt)
        FROM announced o
        WHERE NOT EXISTS (
            SELECT FROM judged j
            WHERE (j.object_id, j.number, j.attempt, j.topic) = (o.subject_id, o.number, o.attempt, o.topic))
        """,
    ),
    Check(
        "I6",
        "SELECT count(*) FROM attempts WHERE purpose <> 'charge' AND state = 'settled'",
        """
        SELECT format('refund of payment %s/%s has no event or no notice', a.object_id, a.number)
        FROM attempts a
        WHERE a.purpose = 'refund' AND a.state = 'settled' AND NOT (
            EXISTS (SELECT FROM history h WHERE h.subject_id = a.object_id AND h.number = a.number
                    AND h.kind = 'refund' AND h.data->>'outcome' = 'succeeded' AND h.actor <> '')
            AND EXISTS (SELECT FROM outbox o WHERE o.subject_id = a.object_id AND o.topic = 'payment.refunded'
                        AND (o.payload->>'number')::integer = a.number))
        UNION ALL
        SELECT format('twin %s of payment %s/%s was given back without an incident', a.returns, a.object_id,
                      a.number)
        FROM attempts a
        WHERE a.purpose = 'twin' AND a.state = 'settled'
          AND NOT EXISTS (SELECT FROM incidents i WHERE i.kind = 'double_charge' AND i.subject_id = a.object_id)
        UNION ALL
        SELECT format('chargeback of payment %s/%s has no event or no notice', a.object_id, a.number)
        FROM attempts a
        WHERE a.purpose = 'chargeback' AND NOT (
            EXISTS (SELECT FROM history h WHERE h.subject_id = a.object_id AND h.number = a.number
                    AND h.kind = 'chargeback' AND h.actor <> '')
            AND EXISTS (SELECT FROM outbox o WHERE o.subject_id = a.object_id AND o.topic = 'payment.chargeback'
                        AND (o.payload->>'number')::integer = a.number))
        UNION ALL
        SELECT format('repayment %s of payment %s/%s has no event or no notice', a.returns, a.object_id, a.number)
        FROM attempts a
        WHERE a.purpose IN ('repayment', 'receipt') AND a.state = 'settled' AND NOT (
            EXISTS (SELECT FROM history h WHERE h.subject_id = a.object_id AND h.data->>'repayment_id' = a.returns
                    AND h.kind = 'repayment' AND h.data->>'outcome' = 'succeeded' AND h.actor <> '')
            AND EXISTS (SELECT FROM outbox o WHERE o.subject_id = a.object_id AND o.topic = 'payment.repaid'
                        AND o.payload->>'repayment_id' = a.returns))
        """,
    ),
    Check(
        "I6",
        "SELECT count(*) FROM subscriptions",
        """
        WITH latest AS (
            SELECT DISTINCT ON (subject_id) subject_id, data->>'to' AS status, data->>'reason' AS reason
            FROM history WHERE kind = 'status' AND actor <> '' ORDER BY subject_id, seq DESC
        )
        SELECT format('subscription %s is %s (%s); its history says %s (%s)', s.id, s.status, s.reason,
                      COALESCE(l.status, 'nothing'), COALESCE(l.reason, 'nothing'))
        FROM subscriptions s LEFT JOIN latest l ON l.subject_id = s.id
        WHERE s.status IS DISTINCT FROM l.status OR COALESCE(l.reason, '') = '' OR s.reason = ''
        """,
    ),
    Check(
        "I6",
        "SELECT count(*) FROM history WHERE kind = 'status'",
        """
        WITH told AS (
            SELECT subject_id, COALESCE(data->>'object', 'subscription') AS object, COALESCE(data->>'from', '') AS old,
                   data->>'to' AS new, count(*) AS n
            FROM history WHERE kind = 'status' GROUP BY 1, 2, 3, 4
        ), announced AS (
            SELECT subject_id, split_part(topic, '.', 1) AS object, COALESCE(payload->>'from', '') AS old,
                   payload->>'to' AS new, count(*) AS n
            FROM outbox WHERE topic LIKE '%.status' GROUP BY 1, 2, 3, 4
        )
        SELECT format('the %s of %s went from %s to %s: %s events, %s notices', object, subject_id,
                      COALESCE(NULLIF(old, ''), 'nothing'), new, COALESCE(t.n, 0), COALESCE(o.n, 0))
        FROM told t FULL JOIN announced o USING (subject_id, object, old, new)
        WHERE t.n IS DISTINCT FROM o.n
        """,
    ),
    Check(
        "I6",
        "SELECT count(*) FROM payments WHERE settled_at IS NOT NULL OR state IN ('skipped', 'failed')",
        """
        SELECT format('payment %s/%s is %s, and nothing in the books says why', p.object_id, p.number, p.state)
        FROM payments p
        WHERE p.settled_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM attempts a WHERE a.object_id = p.object_id AND a.number = p.number
                AND a.purpose = 'charge' AND a.state = 'settled')
           OR p.state IN ('refunded', 'partially_refunded') AND NOT EXISTS (
                SELECT FROM attempts a WHERE a.object_id = p.object_id AND a.number = p.number
                AND a.purpose = 'refund' AND a.state = 'settled')
           OR p.state IN ('chargeback', 'partially_repaid', 'repaid') AND NOT EXISTS (
                SELECT FROM attempts a WHERE a.object_id = p.object_id AND a.number = p.number
                AND a.purpose = 'chargeback' AND a.state IN ('settled', 'pending'))
           OR p.state = 'skipped' AND (p.skip_reason IS NULL OR NOT EXISTS (
                SELECT FROM history h WHERE h.subject_id = p.object_id AND h.number = p.number
                AND h.kind = 'skip' AND h.actor <> ''))
           OR p.state = 'failed' AND NOT EXISTS (
                SELECT FROM history h WHERE h.subject_id = p.object_id AND h.number = p.number
                AND h.kind = 'payment' AND h.data->>'outcome' <> 'succeeded')
        """,
    ),
)

I7: Final = (
    Check(
        "I7",
        "SELECT count(*) FROM blocks",
        """
        SELECT format('%s was charged by attempt %s at %s, blocked since %s', b.id, c.reference, c.recorded_at, b.since)
        FROM blocks b JOIN charged c ON b.id IN (c.customer_id, c.payment_method_id)
        WHERE c.recorded_at > b.since AND (b.until IS NULL OR c.recorded_at < b.until)
        """,
    ),
    Check(
        "I7",
        "SELECT count(*) FROM gw_requests WHERE route = 'charge'",
        # A request whose intent was committed before the block may still be asked about and sent again.
        """
        SELECT format('a charge of %s reached the gateway at %s; %s is blocked since %s', r.reference, r.at, b.id,
                      b.since)
        FROM gw_requests r
        JOIN objects s ON s.id = split_part(r.reference, '/', 1)
        JOIN blocks b ON b.id IN (s.customer_id, s.payment_method_id)
        LEFT JOIN attempts a ON a.reference = r.reference
        WHERE r.route = 'charge' AND r.at > b.since AND (b.until IS NULL OR r.at < b.until)
          AND a.recorded_at IS NULL
        """,
    ),
)

_COMMANDS: Final = (
    "scope IN ('subscription.create', 'order.place') OR scope LIKE 'subscription:%' OR scope LIKE 'order:%'"
)
I8: Final = (
    Check(
        "I8",
        f"SELECT count(*) FROM requests WHERE {_COMMANDS}",
        f"""
        SELECT format('request %s (%s) has %s events in the history of %s', r.request_id, r.scope,
                      count(h.seq), r.subject_id)
        FROM requests r LEFT JOIN history h
            ON h.subject_id = r.subject_id AND h.kind = 'operation' AND h.data->>'request_id' = r.request_id
            AND (h.data->>'do' IN ('create', 'place')) = (r.scope IN ('subscription.create', 'order.place'))
            AND h.actor <> ''
        WHERE {_COMMANDS} GROUP BY r.scope, r.request_id, r.subject_id HAVING count(h.seq) <> 1
        """,
    ),
    Check(
        "I8",
        "SELECT count(*) FROM history WHERE kind = 'operation' AND data ? 'request_id'",
        """
        SELECT format('%s of %s under request %s is in history, the request is not', h.data->>'do', h.subject_id,
                      h.data->>'request_id')
        FROM history h
        WHERE h.kind = 'operation' AND h.data ? 'request_id'
          AND EXISTS (SELECT FROM objects s WHERE s.id = h.subject_id)
          AND NOT EXISTS (
            SELECT FROM requests r
            WHERE r.request_id = h.data->>'request_id'
              -- A credit is asked for under its own id, though the payment's object tells of it.
              AND r.subject_id = COALESCE(h.data->'arguments'->>'credit_id', h.subject_id)
              AND r.scope = CASE WHEN h.data->>'do' = 'create' THEN 'subscription.create'
                            WHEN h.data->>'do' = 'place' THEN 'order.place'
                            WHEN h.data->>'do' = 'credit' THEN 'credit'
                            WHEN h.data->'arguments' ? 'credit_id' THEN 'credit:' || r.subject_id
                            WHEN h.subject_id LIKE 'ord\\_%' THEN 'order:' || h.subject_id
                            ELSE 'subscription:' || h.subject_id END)
        """,
    ),
    Check(
        "I8",
        "SELECT (SELECT count(*) FROM credits) + (SELECT count(*) FROM subscriptions)",
        """
        SELECT format('request %s of credit %s has %s events in history', r.request_id, r.subject_id, count(h.seq))
        FROM requests r LEFT JOIN history h
            ON h.kind = 'operation' AND h.data->>'request_id' = r.request_id AND h.actor <> ''
            AND h.data->'arguments'->>'credit_id' = r.subject_id
            AND h.data->>'do' = CASE r.scope WHEN 'credit' THEN 'credit' ELSE 'settle_attention' END
        WHERE r.scope = 'credit' OR r.scope LIKE 'credit:%'
        GROUP BY r.scope, r.request_id, r.subject_id HAVING count(h.seq) <> 1
        UNION ALL
        SELECT format('credit %s was asked for by nobody', k.id) FROM credits k
        WHERE k.reason <> 'double_refund'
          AND NOT EXISTS (SELECT FROM requests r WHERE r.scope = 'credit' AND r.subject_id = k.id)
        """,
    ),
)
