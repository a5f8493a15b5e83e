-- Sums of what `entries` tells of, one row for each customer.
CREATE TABLE sales (
    customer       TEXT PRIMARY KEY,
    orders         INTEGER NOT NULL CHECK (orders >= 0),
    ordered_cents  INTEGER NOT NULL CHECK (ordered_cents >= 0),
    captured_cents INTEGER NOT NULL CHECK (captured_cents >= 0),
    refunded_cents INTEGER NOT NULL CHECK (refunded_cents >= 0),
    completed      INTEGER NOT NULL CHECK (completed >= 0),
    cancelled      INTEGER NOT NULL CHECK (cancelled >= 0)
) STRICT;
