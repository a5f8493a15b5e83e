-- What a card may be charged for one order: the longest prefix that fits the card decides. 0 blocks it; nothing is known of
-- a card whose bank never answers.
CREATE TABLE cards (
    prefix      TEXT PRIMARY KEY,
    limit_cents INTEGER CHECK (limit_cents >= 0)
) STRICT;
INSERT INTO cards VALUES ('', 5000000), ('declined', 0), ('silent', NULL);

-- What became of each order's payment.
-- 'voided': the goods were known to be missing before the card was reached, so that it must not be charged any more.
-- 'overdue': the bank had not answered in time; the payment was declined, and the card must not be charged any more.
CREATE TABLE payments (
    order_id       TEXT PRIMARY KEY,
    state          TEXT NOT NULL CHECK (state IN ('captured', 'declined', 'voided', 'overdue', 'refunded')),
    captured_cents INTEGER NOT NULL DEFAULT 0 CHECK (captured_cents >= 0),
    refunded_cents INTEGER NOT NULL DEFAULT 0 CHECK (refunded_cents BETWEEN 0 AND captured_cents)
) STRICT;
