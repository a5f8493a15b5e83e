INSERT INTO sales (customer, orders, ordered_cents, captured_cents, refunded_cents, completed, cancelled)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (customer) DO UPDATE SET
    orders         = orders + excluded.orders,
    ordered_cents  = ordered_cents + excluded.ordered_cents,
    captured_cents = captured_cents + excluded.captured_cents,
    refunded_cents = refunded_cents + excluded.refunded_cents,
    completed      = completed + excluded.completed,
    cancelled      = cancelled + excluded.cancelled
