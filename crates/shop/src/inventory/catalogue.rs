/// What the warehouse holds when its books are new: goods, and how many.
pub const CATALOGUE: [(&str, u64); 6] = [
    ("espresso-machine", 100_000),
    ("grinder", 100_000),
    ("mug", 1_000_000),
    ("beans-1kg", 1_000_000),
    // There are never enough of these two: to see an order fail, and to see orders compete.
    ("sold-out", 0),
    ("limited", 7),
];
