"""What the auditor asks about money: I1 charged once, I2 equal books, I3 nothing without its counterpart, I4 nothing
stuck (quality.md). Each check is one query; every row it returns is one violation, told in one sentence.
"""

from __future__ import annotations

from typing import Final, LiteralString, NamedTuple


class Check(NamedTuple):
    """`counted` says how many were looked at; `broken` returns a sentence for each that is wrong."""

    invariant: str
    counted: LiteralString
    broken: LiteralString


_PAYMENTS_AT_GATEWAY: Final = (
    "SELECT count(*) FROM (SELECT DISTINCT subject, number FROM gw WHERE kind = 'charge') p"
)

I1: Final = (
    Check(
        "I1",
        _PAYMENTS_AT_GATEWAY,
        # A twin that was given back in full is no second charge. A repayment is charged once too, each by itself.
        """
        WITH live AS (
            SELECT c.subject, c.number, c.id,
                   CASE split_part(c.reference, '/', 3) WHEN 'repayment' THEN split_part(c.reference, '/', 4) END AS of
            FROM gw c
            WHERE c.kind = 'charge' AND c.state = 'settled' AND c.minor > COALESCE(
                (SELECT sum(r.minor) FROM gw r
                 WHERE r.charge_id = c.id AND r.state = 'settled' AND r.kind = 'refund'), 0)
        )
        SELECT format('payment %s/%s was charged %s times: %s', subject, number, count(*), string_agg(id, ', '))
        FROM live GROUP BY subject, number, of HAVING count(*) > 1
        """,
    ),
    Check(
        "I1",
        "SELECT count(*) FROM attempts WHERE purpose = 'charge' AND state = 'settled'",
        """
        SELECT format('payment %s/%s has %s settled attempts', object_id, number, count(*))
        FROM attempts WHERE purpose IN ('charge', 'repayment', 'chargeback') AND state = 'settled'
        GROUP BY object_id, number, purpose, CASE purpose WHEN 'repayment' THEN returns END HAVING count(*) > 1
        """,
    ),
    Check(
        "I1",
        "SELECT count(*) FROM history WHERE kind = 'operation' AND data->>'do' IN ('create', 'place')",
        """
        SELECT format('request %s made %s subscriptions or orders: %s', data->>'request_id', count(*),
                      string_agg(subject_id, ', '))
        FROM history WHERE kind = 'operation' AND data->>'do' IN ('create', 'place')
        GROUP BY data->>'do', data->>'request_id' HAVING count(*) > 1
        """,
    ),
)

I2: Final = (
    Check(
        "I2",
        _PAYMENTS_AT_GATEWAY,
        """
        WITH theirs AS (
            SELECT subject, number, currency, sum(CASE kind WHEN 'charge' THEN minor ELSE -minor END) AS net
            FROM gw WHERE state = 'settled' GROUP BY 1, 2, 3
        ), ours AS (
            SELECT a.object_id AS subject, a.number, l.currency,
                   sum(CASE WHEN l.debit_account = 'gateway_receivable' THEN l.amount_minor ELSE 0 END
                       - CASE WHEN l.credit_account = 'gateway_receivable' THEN l.amount_minor ELSE 0 END) AS net
            FROM ledger l JOIN attempts a ON a.key = l.attempt_key GROUP BY 1, 2, 3
        )
        SELECT format('payment %s/%s: the gateway holds %s %s for us, our ledger %s', subject, number,
                      COALESCE(theirs.net, 0), currency, COALESCE(ours.net, 0))
        FROM theirs FULL JOIN ours USING (subject, number, currency)
        WHERE COALESCE(theirs.net, 0) <> COALESCE(ours.net, 0)
          AND NOT EXISTS (SELECT FROM in_flight f WHERE f.object_id = subject AND f.number = number)
        """,
    ),
    Check(
        "I2",
        "SELECT count(*) FROM ledger",
        # Equal sums in wrong accounts are not equal books.
        """
        SELECT format('ledger entry %s (%s) debits %s and credits %s', id, kind, debit_account, credit_account)
        FROM ledger WHERE NOT CASE kind
            WHEN 'charge' THEN (debit_account, credit_account) = ('gateway_receivable', 'revenue')
            WHEN 'refund' THEN debit_account IN ('refunds', 'customer') AND credit_account = 'gateway_receivable'
            WHEN 'chargeback' THEN (debit_account, credit_account) = ('chargebacks', 'gateway_receivable')
            WHEN 'repayment' THEN debit_account IN ('gateway_receivable', 'cash') AND credit_account = 'repayments'
            WHEN 'correction' THEN (debit_account, credit_account) IN
                (('gateway_receivable', 'customer'), ('customer', 'gateway_receivable'))
            ELSE true END OR amount_minor <= 0
        """,
    ),
    Check(
        "I2",
        "SELECT count(DISTINCT currency) FROM gw_accounts",
        """
        SELECT format('the gateway''s own book does not balance in %s', a.currency)
        FROM (SELECT currency, sum(minor) AS total,
                     sum(minor) FILTER (WHERE account = 'merchant_receivable') AS receivable,
                     COALESCE(sum(minor) FILTER (WHERE account = 'fees'), 0) AS fees
              FROM gw_accounts GROUP BY currency) a
        LEFT JOIN (SELECT currency, sum(CASE kind WHEN 'charge' THEN minor ELSE -minor END) AS net
                   FROM gw WHERE state = 'settled' GROUP BY currency) m USING (currency)
        WHERE a.total <> 0 OR a.receivable + a.fees <> COALESCE(m.net, 0)
        """,
    ),
    Check(
        "I2",
        "SELECT count(*) FROM gw WHERE kind <> 'charge'",
        """
        SELECT format('charge %s of %s gave back %s of %s', r.charge_id, min(r.reference), sum(r.minor), min(c.minor))
        FROM gw r LEFT JOIN gw c ON c.id = r.charge_id AND c.kind = 'charge' AND c.state = 'settled'
        WHERE r.kind <> 'charge' AND r.state = 'settled'
        GROUP BY r.charge_id HAVING min(c.minor) IS NULL OR sum(r.minor) > min(c.minor)
        UNION ALL
        SELECT format('payment %s/%s: %s returned of %s charged', object_id, number, returned, charged)
        FROM (SELECT object_id, number,
                     COALESCE(sum(amount_minor) FILTER (WHERE purpose = 'charge'), 0) AS charged,
                     COALESCE(sum(amount_minor) FILTER (WHERE purpose IN ('refund', 'chargeback')), 0) AS returned
              FROM attempts WHERE state = 'settled' GROUP BY 1, 2) sums
        WHERE returned > charged
          AND NOT EXISTS (SELECT FROM incidents i WHERE i.kind = 'returned_twice' AND i.subject_id = object_id)
        UNION ALL
        SELECT format('payment %s/%s: %s repaid of %s charged back', object_id, number, repaid, charged_back)
        FROM (SELECT object_id, number,
                     COALESCE(sum(amount_minor) FILTER (WHERE purpose = 'chargeback'), 0) AS charged_back,
                     COALESCE(sum(amount_minor) FILTER (WHERE purpose IN ('repayment', 'receipt')), 0) AS repaid
              FROM attempts WHERE state = 'settled' OR purpose = 'chargeback' GROUP BY 1, 2) sums
        WHERE repaid > charged_back
        """,
    ),
)

I3: Final = (
    Check(
        "I3",
        "SELECT count(*) FROM gw",
        """
        SELECT format('%s %s (%s) has no attempt under %s', gw.kind, gw.id, gw.state, gw.reference)
        FROM gw WHERE NOT EXISTS (SELECT FROM attempts a WHERE a.reference = gw.reference)
        UNION ALL
        SELECT format('%s %s was made before the attempt %s was written down', gw.kind, gw.id, gw.reference)
        FROM gw JOIN attempts a ON a.reference = gw.reference
        WHERE gw.created_at < a.recorded_at AND gw.kind <> 'chargeback'  -- which nobody of us asks for
        """,
    ),
    Check(
        "I3",
        "SELECT count(*) FROM gw WHERE state = 'settled'",
        """
        SELECT format('%s %s of %s settled; no attempt of ours did', gw.kind, gw.id, gw.reference)
        FROM gw
        WHERE gw.state = 'settled'
          AND NOT EXISTS (SELECT FROM attempts a WHERE a.gateway_id = gw.id AND a.state = 'settled')
          AND NOT EXISTS (SELECT FROM attempts a WHERE a.returns = gw.id AND a.purpose = 'twin')
          AND NOT EXISTS (SELECT FROM in_flight f WHERE f.object_id = gw.subject AND f.number = gw.number)
        UNION ALL
        SELECT format('attempt %s is %s while the gateway still works on %s', a.reference, a.state, gw.id)
        FROM gw JOIN attempts a ON a.reference = gw.reference
        WHERE gw.state = 'pending' AND a.state IN ('settled', 'declined', 'abandoned')
        """,
    ),
    Check(
        "I3",
        "SELECT count(*) FROM attempts WHERE state = 'settled'",
        """
        SELECT format('attempt %s settled %s %s as %s; the gateway has %s', a.reference, a.amount_minor, a.currency,
                      a.gateway_id, COALESCE(gw.kind || ' ' || gw.state || ' ' || gw.minor || ' ' || gw.currency
                                             || ' for ' || gw.reference, 'nothing'))
        FROM attempts a LEFT JOIN gw ON gw.id = a.gateway_id
        WHERE a.state = 'settled' AND a.purpose <> 'receipt'  -- its money came otherwise
          AND (gw.state, gw.kind, gw.minor, gw.currency, gw.reference) IS DISTINCT FROM
              ('settled', CASE WHEN a.purpose IN ('charge', 'repayment') THEN 'charge'
                               WHEN a.purpose = 'chargeback' THEN 'chargeback' ELSE 'refund' END,
               -- A credit that went back twice stands under the reference of the first time.
               a.amount_minor, a.currency, split_part(a.reference, '/second/', 1))
        """,
    ),
    Check(
        "I3",
        "SELECT count(*) FROM attempts",
        """
        WITH entries AS (
            SELECT attempt_key, count(*) AS n, count(*) FILTER (WHERE kind NOT IN ('fee', 'correction')) AS own,
                   min(kind) FILTER (WHERE kind NOT IN ('fee', 'correction')) AS kind,
                   min(amount_minor) AS least, max(amount_minor) AS most, min(currency) AS currency
            FROM ledger GROUP BY attempt_key
        )
        SELECT format('%s attempt %s (%s) of %s %s has %s ledger entries', a.purpose, a.reference, a.state,
                      a.amount_minor, a.currency, COALESCE(e.n, 0))
        FROM attempts a LEFT JOIN entries e ON e.attempt_key = a.key
        WHERE CASE WHEN a.state <> 'settled' THEN a.purpose <> 'twin' AND COALESCE(e.own, 0) > 0
                   WHEN a.purpose = 'twin' THEN COALESCE(e.n, 0) = 0
                   ELSE COALESCE(e.own, 0) <> 1
                        OR e.kind <> CASE a.purpose WHEN 'receipt' THEN 'repayment' ELSE a.purpose END END
           OR e.least <> a.amount_minor OR e.most <> a.amount_minor OR e.currency <> a.currency
        """,
    ),
    Check(
        "I3",
        "SELECT count(*) FROM gw_requests WHERE route IN ('charge', 'refund')",
        # The intent is committed before the request leaves, or a crash between them charges in secret.
        """
        SELECT format('a %s request for %s came at %s, the attempt was written at %s', r.route, r.reference, r.at,
                      COALESCE(a.recorded_at::text, 'no time'))
        FROM gw_requests r LEFT JOIN attempts a ON a.reference = r.reference
        WHERE r.route IN ('charge', 'refund') AND (a.key IS NULL OR r.at < a.recorded_at)
        """,
    ),
)

I4: Final = (
    Check(
        "I4",
        "SELECT count(*) FROM attempts",
        """
        SELECT format('attempt %s is %s since %s', a.reference, a.state, a.recorded_at)
        FROM attempts a, terms t
        WHERE a.state IN ('sent', 'unsent', 'unknown', 'pending') AND a.recorded_at <= t.at - t.open_for
          AND a.purpose <> 'chargeback'  -- an operator's word, which the gateway's book is to confirm
        """,
    ),
    Check(
        "I4",
        "SELECT count(*) FROM attempts WHERE purpose = 'charge' AND state IN ('settled', 'declined', 'abandoned')",
        # The second look is due one horizon after the outcome, of which history tells.
        """
        SELECT format('attempt %s is %s after a doubt, and nobody has looked again', a.reference, a.state)
        FROM attempts a, terms t
        WHERE a.needs_verification AND a.purpose = 'charge' AND a.state IN ('settled', 'declined', 'abandoned')
          AND a.recorded_at <= t.at - t.open_for
          AND NOT EXISTS (SELECT FROM history h WHERE h.subject_id = a.object_id AND h.number = a.number
                          AND h.recorded_at > t.at - t.open_for)
        """,
    ),
    Check(
        "I4",
        "SELECT count(*) FROM objects WHERE next_at IS NOT NULL",
        # An object may live in a time of its own: how far it is ahead shows in what it wrote (incidents are
        # written by others).
        """
        SELECT format('%s %s (%s): %s was due at %s', s.noun, s.id, s.status, s.next_kind, s.next_at)
        FROM objects s, terms t
        WHERE s.next_at - (SELECT max(h.at - h.recorded_at) FROM history h
                           WHERE h.subject_id = s.id AND h.kind <> 'incident') < t.at - t.step_grace
        """,
    ),
    Check(
        "I4",
        "SELECT count(*) FROM payments WHERE state = 'collecting'",
        """
        SELECT format('payment %s/%s is still collected for a subscription that is %s', p.object_id, p.number,
                      s.status)
        FROM payments p JOIN subscriptions s ON s.id = p.object_id
        WHERE p.state = 'collecting' AND s.status IN ('canceled', 'completed')
          AND NOT EXISTS (SELECT FROM attempts a WHERE a.object_id = p.object_id AND a.number = p.number
                          AND a.state NOT IN ('declined', 'abandoned'))
        """,
    ),
)
