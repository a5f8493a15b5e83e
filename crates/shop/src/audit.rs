//! An auditor's view of all the books: what they hold, and what does not add up in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::database::BooksError;
use crate::inventory::{self, Reservation, ReservationState, StockLevel};
use crate::notification::{self, Letter};
use crate::payment::{self, Account};

/// What the books hold.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Each order's payment.
    pub accounts: Vec<Account>,
    /// Each kind of goods.
    pub stock: Vec<StockLevel>,
    /// All goods that were ever set aside.
    pub reservations: Vec<Reservation>,
    /// All letters to customers.
    pub letters: Vec<Letter>,
}

impl Audit {
    /// Reads the books of payment, inventory and notification in this folder.
    ///
    /// # Errors
    /// When some are missing or cannot be read.
    pub fn read(books_dir: &Path) -> Result<Self, BooksError> {
        Ok(Self {
            accounts: payment::accounts(books_dir)?,
            stock: inventory::stock(books_dir)?,
            reservations: inventory::reservations(books_dir)?,
            letters: notification::letters(books_dir)?,
        })
    }

    /// Money taken and not given back.
    pub fn money_kept_cents(&self) -> u64 {
        self.accounts.iter().map(Account::kept_cents).sum()
    }

    /// Orders whose money was kept.
    pub fn paid_orders(&self) -> BTreeSet<&str> {
        let paid = self.accounts.iter().filter(|account| account.kept_cents() > 0);
        paid.map(|account| account.order_id.as_str()).collect()
    }

    /// Orders whose goods have left.
    pub fn shipped_orders(&self) -> BTreeSet<&str> {
        let shipped = self.reservations.iter().filter(|of| of.state == ReservationState::Shipped);
        shipped.map(|of| of.order_id.as_str()).collect()
    }

    /// What does not add up, in sentences; nothing when all is well. To be asked once every reaction to every order is done: an
    /// order in the middle of its flow may well hold money or goods.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = self.stock_findings();
        for Reservation { order_id, quantity, sku, state } in &self.reservations {
            if *state == ReservationState::Reserved {
                findings.push(format!("order {order_id}: {quantity} × {sku} reserved for ever"));
            }
        }
        let (paid, shipped) = (self.paid_orders(), self.shipped_orders());
        findings.extend(paid.difference(&shipped).map(|id| format!("order {id}: paid, but not shipped")));
        findings.extend(shipped.difference(&paid).map(|id| format!("order {id}: shipped, but not paid")));
        let mut letters = BTreeSet::new();
        for Letter { order_id, subject, .. } in &self.letters {
            if !letters.insert((order_id, subject)) {
                findings.push(format!("order {order_id}: told twice that it is {subject}"));
            }
        }
        findings
    }

    fn stock_findings(&self) -> Vec<String> {
        let mut reserved = BTreeMap::<&str, u64>::new();
        let mut shipped = BTreeMap::<&str, u64>::new();
        for Reservation { sku, quantity, state, .. } in &self.reservations {
            match state {
                ReservationState::Reserved => *reserved.entry(sku).or_default() += quantity,
                ReservationState::Shipped => *shipped.entry(sku).or_default() += quantity,
                _ => {}
            }
        }
        let mut findings = Vec::new();
        for level in &self.stock {
            let sku = level.sku.as_str();
            if level.seeded != level.on_hand + level.shipped {
                findings.push(format!(
                    "{sku}: {} at first, but {} on hand and {} shipped",
                    level.seeded, level.on_hand, level.shipped
                ));
            }
            for (what, of_level, of_orders) in
                [("reserved", level.reserved, &reserved), ("shipped", level.shipped, &shipped)]
            {
                let of_orders = of_orders.get(sku).copied().unwrap_or(0);
                if of_level != of_orders {
                    findings.push(format!("{sku}: {of_level} {what}, but {of_orders} by order"));
                }
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::PaymentState;

    fn account(order_id: &str, captured_cents: u64, refunded_cents: u64) -> Account {
        Account { order_id: order_id.into(), state: PaymentState::Captured, captured_cents, refunded_cents }
    }

    fn reservation(order_id: &str, quantity: u64, state: ReservationState) -> Reservation {
        Reservation { order_id: order_id.into(), sku: "mug".into(), quantity, state }
    }

    fn level(on_hand: u64, reserved: u64, shipped: u64) -> StockLevel {
        StockLevel { sku: "mug".into(), seeded: 10, on_hand, reserved, shipped }
    }

    #[test]
    fn good_books_have_no_findings() {
        let audit = Audit {
            accounts: vec![account("a", 500, 0), account("b", 700, 700), account("c", 0, 0)],
            stock: vec![level(7, 0, 3)],
            reservations: vec![
                reservation("a", 3, ReservationState::Shipped),
                reservation("c", 2, ReservationState::Released),
            ],
            letters: vec![],
        };
        assert_eq!(audit.findings(), Vec::<String>::new());
        assert_eq!(audit.money_kept_cents(), 500);
    }

    #[test]
    fn what_does_not_add_up_is_named() {
        let letter = Letter {
            order_id: "a".into(),
            customer: "ada".into(),
            subject: "placed".into(),
            text: String::new(),
        };
        let audit = Audit {
            accounts: vec![account("a", 500, 0)],
            stock: vec![level(7, 1, 2)],
            reservations: vec![
                reservation("b", 3, ReservationState::Shipped),
                reservation("c", 2, ReservationState::Reserved),
            ],
            letters: vec![letter.clone(), letter],
        };
        assert_eq!(
            audit.findings(),
            [
                "mug: 10 at first, but 7 on hand and 2 shipped",
                "mug: 1 reserved, but 2 by order",
                "mug: 2 shipped, but 3 by order",
                "order c: 2 × mug reserved for ever",
                "order a: paid, but not shipped",
                "order b: shipped, but not paid",
                "order a: told twice that it is placed",
            ]
        );
    }
}
