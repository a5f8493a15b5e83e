//! What is said when a payment does not answer.

use laban::Event;

use crate::events::{OrderPlaced, PaymentCaptured, PaymentDeclined, PaymentOverdue};

/// A payment's answer, one or the other.
#[derive(Clone, Debug, Event)]
pub enum PaymentAnswered {
    /// The card was charged.
    Captured(PaymentCaptured),
    /// It was not.
    Declined(PaymentDeclined),
}

/// The payment has not answered in time: say so. What comes of it is for the payment to decide, which may answer at this
/// very moment.
pub async fn give_up(placed: OrderPlaced) -> PaymentOverdue {
    let OrderPlaced { order_id, customer, .. } = placed;
    PaymentOverdue { order_id, customer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{overdue, placed};

    #[tokio::test]
    async fn what_is_overdue_is_the_order() {
        assert_eq!(give_up(placed()).await, overdue());
    }

    #[test]
    fn the_deadline_is_in_the_contract() {
        let contract = crate::order::service(std::time::Duration::from_secs(30)).contract().unwrap();
        let handler = serde_json::to_value(&contract.handlers[1]).unwrap();
        assert_eq!(handler["name"], "give_up");
        assert_eq!(handler["emits"], serde_json::json!(["order.payment-overdue"]));
        assert_eq!(
            handler["deadline"],
            serde_json::json!({ "unless": ["payment.captured", "payment.declined"], "within_ms": 30_000 })
        );
    }
}
