//! One at a time per flow: deliveries of one flow are worked on in the order in which they came, whatever handler they
//! are for, so that an instance never fights itself for the fence.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use laban_wire::FlowId;
use tokio::sync::watch;

/// Who is last in line for each flow that has anyone in line.
#[derive(Default)]
pub(crate) struct Turns {
    tails: Mutex<HashMap<FlowId, Tail>>,
}

struct Tail {
    ticket: u64,
    done: watch::Receiver<()>,
}

/// A place in the line of one flow. Dropping it lets the next one go.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    flow: FlowId,
    ticket: u64,
    before: Option<watch::Receiver<()>>,
    /// Closed by the drop, which is what the next one waits for.
    _done: watch::Sender<()>,
}

impl Turns {
    /// Takes the last place in the flow's line. Taking it is what fixes the order, so call this as deliveries arrive.
    pub(crate) fn line_up(self: &Arc<Self>, flow: &FlowId) -> Turn {
        let (done, waits) = watch::channel(());
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tails.remove(flow);
        let ticket = before.as_ref().map_or(0, |tail| tail.ticket + 1);
        tails.insert(flow.clone(), Tail { ticket, done: waits });
        Turn {
            turns: Arc::clone(self),
            flow: flow.clone(),
            ticket,
            before: before.map(|tail| tail.done),
            _done: done,
        }
    }
}

impl Turn {
    /// Waits until everyone before has gone.
    pub(crate) async fn come(&mut self) {
        if let Some(mut before) = self.before.take() {
            // Nothing is ever sent; the channel closes when the one before is dropped.
            while before.changed().await.is_ok() {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut tails = self.turns.tails.lock().unwrap_or_else(PoisonError::into_inner);
        if tails.get(&self.flow).is_some_and(|tail| tail.ticket == self.ticket) {
            tails.remove(&self.flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flow_is_served_in_order_and_flows_do_not_wait_for_each_other() {
        let turns = Arc::new(Turns::default());
        let (a, b) = (FlowId::new("a").unwrap(), FlowId::new("b").unwrap());
        let mut first = turns.line_up(&a);
        let mut second = turns.line_up(&a);
        let mut third = turns.line_up(&a);
        let mut other = turns.line_up(&b);
        first.come().await;
        other.come().await;
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let (two, three) = (told.clone(), told);
        // The third asks first, and still goes last.
        let last = tokio::spawn(async move {
            third.come().await;
            three.send(3).unwrap();
        });
        let middle = tokio::spawn(async move {
            second.come().await;
            two.send(2).unwrap();
            second
        });
        tokio::task::yield_now().await;
        assert!(hears.try_recv().is_err(), "nobody goes before the first is done");
        drop(first);
        let second = middle.await.unwrap();
        assert_eq!(hears.recv().await, Some(2));
        drop(second);
        last.await.unwrap();
        assert_eq!(hears.recv().await, Some(3));
        drop(other);
        assert!(turns.tails.lock().unwrap().is_empty(), "nothing is kept for flows that nobody waits for");
    }
}
