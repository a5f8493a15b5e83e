-- What is in the warehouse. Reserved goods are still on hand; shipped ones are not.
CREATE TABLE stock (
    sku      TEXT PRIMARY KEY,
    seeded   INTEGER NOT NULL CHECK (seeded >= 0),
    on_hand  INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand),
    shipped  INTEGER NOT NULL DEFAULT 0 CHECK (shipped >= 0)
) STRICT;

-- What became of each order's goods.
-- 'voided': the payment was known to be declined before the shelves were reached, so that nothing must be reserved any more.
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    state    TEXT NOT NULL CHECK (state IN ('reserved', 'rejected', 'voided', 'released', 'shipped'))
) STRICT;

-- The goods of each order that were ever reserved; the order's state says where they are now.
CREATE TABLE reservations (
    order_id TEXT NOT NULL REFERENCES orders,
    sku      TEXT NOT NULL REFERENCES stock,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
) STRICT;
