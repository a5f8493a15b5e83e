use fastrand::Rng;
use shop::events::CancelReason;
use shop::inventory::CATALOGUE;

use super::{Body, Ending, Expected, Line, Order, Request, malformed};

/// The goods that orders compete for.
const LIMITED: &str = "limited";

/// Flow ids that something on the way might choke on.
const ODD_IDS: [&str; 16] = [
    "a.b.c",
    "with several words",
    "*",
    ">",
    "order.*.>",
    "🦀 Köln 東京",
    "$JS.API.STREAM.DELETE.ORDER",
    "..",
    "%2E%2e",
    "\"quoted\" and 'quoted'",
    "../../etc/passwd",
    "line\r\nbreak: yes",
    "tab\tand\0nul",
    "'; DROP TABLE orders; --",
    "\u{202e}backwards",
    "_handled",
];

/// Orders to be placed, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The orders, in the order of placing.
    pub orders: Vec<Order>,
    /// How many of the contended ones there are goods for.
    pub contended_completed: usize,
}

impl Plan {
    /// Plans `flows` orders that become flows, and some that are refused at the door.
    pub fn new(flows: usize, seed: u64) -> Self {
        Self::of(flows, seed, 0)
    }

    /// The same, with some whose bank never answers: for a shop that does not wait for long.
    pub fn with_silent_banks(flows: usize, seed: u64) -> Self {
        Self::of(flows, seed, 2)
    }

    fn of(flows: usize, seed: u64, silent: usize) -> Self {
        let mut maker = Maker { rng: Rng::with_seed(seed), seed, made: 0 };
        let share = |percent: usize| flows * percent / 100;
        let contended = share(6).max(10).min(flows / 3);
        let mut orders = Vec::new();
        orders.extend((0..share(10)).map(|_| maker.declined()));
        orders.extend((0..share(2)).map(|_| maker.over_limit()));
        orders.extend((0..share(8)).map(|_| maker.out_of_stock("sold-out")));
        orders.extend((0..share(2)).map(|_| maker.out_of_stock("unheard-of")));
        orders.extend((0..share(4)).map(|_| maker.both()));
        orders.extend((0..share(silent)).map(|_| maker.silent()));
        orders.extend((0..share(5)).map(|_| maker.repeated()));
        orders.extend((0..contended).map(|_| maker.contended()));
        orders.extend(ODD_IDS.iter().take(share(8)).map(|id| maker.odd(id)));
        orders.truncate(flows);
        while orders.len() < flows {
            orders.push(maker.plain());
        }
        let contended = orders.iter().filter(|order| order.ending == Some(Ending::Contended)).count();
        orders.extend(malformed::all().into_iter().cycle().take(share(8)));
        maker.rng.shuffle(&mut orders);
        let stock = CATALOGUE.iter().find(|(sku, _)| *sku == LIMITED).map_or(0, |(_, stock)| *stock);
        Self { orders, contended_completed: contended.min(usize::try_from(stock).unwrap_or(usize::MAX)) }
    }

    /// Plans orders that nothing is wrong with.
    pub fn plain(flows: usize, seed: u64) -> Self {
        let mut maker = Maker { rng: Rng::with_seed(seed), seed, made: 0 };
        Self { orders: (0..flows).map(|_| maker.plain()).collect(), contended_completed: 0 }
    }

    /// Plans orders whose bank never answers.
    pub fn silent(flows: usize, seed: u64) -> Self {
        let mut maker = Maker { rng: Rng::with_seed(seed), seed, made: 0 };
        Self { orders: (0..flows).map(|_| maker.silent()).collect(), contended_completed: 0 }
    }

    /// One of each kind of order that is refused at the door.
    pub fn malformed() -> Self {
        Self { orders: malformed::all(), contended_completed: 0 }
    }

    /// These orders and others, in one plan.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let orders = self.orders.iter().chain(&others.orders).cloned().collect();
        Self { orders, contended_completed: self.contended_completed + others.contended_completed }
    }

    /// How many flows there should be.
    pub fn flows(&self) -> usize {
        self.orders.iter().filter(|order| order.ending.is_some()).count()
    }

    /// How many flows should end with `order.completed`.
    pub fn completed(&self) -> usize {
        let completed = self.orders.iter().filter(|order| order.ending == Some(Ending::Completed)).count();
        completed + self.contended_completed
    }

    /// How many requests should be refused.
    pub fn refused(&self) -> usize {
        let requests = self.orders.iter().flat_map(|order| &order.requests);
        requests.filter(|request| request.expected != Expected::Taken).count()
    }
}

struct Maker {
    rng: Rng,
    seed: u64,
    made: usize,
}

impl Maker {
    fn plain(&mut self) -> Order {
        let body = self.body();
        self.order("plain", body, Ending::Completed)
    }

    fn odd(&mut self, id: &str) -> Order {
        let body = Body { order_id: Some(id.to_owned()), ..self.body() };
        self.order(&format!("plain, with the id {id:?}"), body, Ending::Completed)
    }

    fn declined(&mut self) -> Order {
        let body = Body { card: self.pick(["declined", "declined-visa"]).into(), ..self.body() };
        self.order("a blocked card", body, Ending::Cancelled(Some(CancelReason::PaymentDeclined)))
    }

    fn over_limit(&mut self) -> Order {
        let lines = vec![Line { sku: "espresso-machine", quantity: 100, unit_price_cents: 64_900 }];
        let body = Body { lines, ..self.body() };
        self.order("over the card's limit", body, Ending::Cancelled(Some(CancelReason::PaymentDeclined)))
    }

    fn out_of_stock(&mut self, sku: &'static str) -> Order {
        let body = self.with_missing(sku);
        self.order("goods that are missing", body, Ending::Cancelled(Some(CancelReason::OutOfStock)))
    }

    fn both(&mut self) -> Order {
        let body = Body { card: "declined".into(), ..self.with_missing("sold-out") };
        self.order("a blocked card, goods that are missing", body, Ending::Cancelled(None))
    }

    fn silent(&mut self) -> Order {
        let body = Body { card: self.pick(["silent", "silent-visa"]).into(), ..self.body() };
        let ending = Ending::Cancelled(Some(CancelReason::PaymentOverdue));
        self.order("a bank that never answers", body, ending)
    }

    fn contended(&mut self) -> Order {
        let lines = vec![Line { sku: LIMITED, quantity: 1, unit_price_cents: 9_900 }];
        let body = Body { lines, ..self.body() };
        self.order("the last of the goods", body, Ending::Contended)
    }

    /// Sent three times with one key, and then something else with that key.
    fn repeated(&mut self) -> Order {
        let body = self.body();
        let key = self.key();
        let other = Body { customer: "someone.else@example.com".into(), ..body.clone() };
        let refused = Expected::Refused { status: 409, code: "another_order" };
        let mut requests = vec![body.request(Some(&key)); 3];
        requests.push(Request { expected: refused, ..other.request(Some(&key)) });
        let total_cents = body.total_cents();
        Order { what: "sent several times".into(), requests, ending: Some(Ending::Completed), total_cents }
    }

    /// Every order has an id or a key, so that it can be sent again when no answer came.
    fn order(&mut self, what: &str, mut body: Body, ending: Ending) -> Order {
        let mut key = None;
        if body.order_id.is_none() {
            let id = self.key();
            if self.rng.bool() { key = Some(id) } else { body.order_id = Some(id) }
        }
        let total_cents = body.total_cents();
        let requests = vec![body.request(key.as_deref())];
        Order { what: what.to_owned(), requests, ending: Some(ending), total_cents }
    }

    fn key(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.seed, self.made)
    }

    fn body(&mut self) -> Body {
        const GOODS: [(&str, u64); 4] =
            [("espresso-machine", 64_900), ("grinder", 12_900), ("mug", 900), ("beans-1kg", 2_450)];
        let customer = self.pick(["ada@example.com", "grace@example.com", "Zoë Müller, Köln", "東京 太郎"]);
        let mut goods = GOODS;
        self.rng.shuffle(&mut goods);
        let lines = goods.into_iter().take(self.rng.usize(1..=3)).map(|(sku, unit_price_cents)| Line {
            sku,
            quantity: self.rng.u32(1..=5),
            unit_price_cents,
        });
        let lines = lines.collect();
        Body { order_id: None, customer: customer.into(), card: self.pick(["visa", "amex"]).into(), lines }
    }

    fn with_missing(&mut self, sku: &'static str) -> Body {
        let mut body = self.body();
        body.lines.push(Line { sku, quantity: 1, unit_price_cents: 4_900 });
        body
    }

    fn pick<const N: usize>(&mut self, of: [&'static str; N]) -> &'static str {
        of[self.rng.usize(..N)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        let bodies = |seed| {
            let orders = Plan::new(200, seed).orders;
            orders
                .into_iter()
                .flat_map(|order| order.requests)
                .map(|request| request.body)
                .collect::<Vec<_>>()
        };
        assert_eq!(bodies(1), bodies(1));
        assert_ne!(bodies(1), bodies(2));
    }

    #[test]
    fn there_are_as_many_flows_as_asked_for_and_some_of_each_kind() {
        for flows in [0, 1, 20, 60, 200, 1000] {
            let plan = Plan::new(flows, 7);
            assert_eq!(plan.flows(), flows);
            assert!(plan.completed() <= flows);
        }
        let silent =
            |plan: &Plan| plan.orders.iter().filter(|order| order.what.contains("never answers")).count();
        assert_eq!([Plan::new(200, 7), Plan::with_silent_banks(200, 7)].map(|plan| silent(&plan)), [0, 4]);
        let plan = Plan::new(200, 7);
        assert!(plan.refused() >= 16, "{}", plan.refused());
        assert_eq!(plan.contended_completed, 7);
        let odd = |order: &&Order| order.what.contains("with the id");
        assert_eq!(plan.orders.iter().filter(odd).count(), ODD_IDS.len());
        let cancelled = |order: &&Order| matches!(order.ending, Some(Ending::Cancelled(_)));
        assert!(plan.orders.iter().filter(cancelled).count() > 40);
    }
}
