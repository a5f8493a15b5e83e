use laban_wire::{FlowId, Message};
use shop::events::{CancelReason, OrderCancelled};

use crate::History;
use crate::orders::Ending;

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With `order.completed`.
    Completed,
    /// With `order.cancelled`; without a reason when its body cannot be read.
    Cancelled(Option<CancelReason>),
}

impl End {
    /// Whether it is what was expected.
    pub fn fits(self, expected: Ending) -> bool {
        match (self, expected) {
            (Self::Completed, Ending::Completed | Ending::Contended) => true,
            (Self::Cancelled(is), Ending::Cancelled(Some(should))) => is == Some(should),
            (Self::Cancelled(is), Ending::Cancelled(None)) => is.is_some(),
            (Self::Cancelled(is), Ending::Contended) => is == Some(CancelReason::OutOfStock),
            (Self::Completed, Ending::Cancelled(_)) | (Self::Cancelled(_), Ending::Completed) => false,
        }
    }
}

/// All ends of a flow. There should be one.
pub fn ends(history: &History, id: &FlowId) -> Vec<End> {
    let messages = history.messages(id).iter().filter_map(|stored| Message::try_from(stored.clone()).ok());
    messages
        .filter_map(|message| match message.subject.event_type.as_str() {
            "order.completed" => Some(End::Completed),
            "order.cancelled" => {
                let cancelled = serde_json::from_slice::<OrderCancelled>(&message.payload).ok();
                Some(End::Cancelled(cancelled.map(|cancelled| cancelled.reason)))
            }
            _ => None,
        })
        .collect()
}
