//! One at a time per flow: deliveries of one flow are worked on in the order in which they came, whatever handler they
//! are for, so that an instance never fights itself for the fence.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use laban_wire::FlowId;
use tokio::sync::oneshot;

/// The flows that are being worked on, each with those who wait for it. A flow that nobody waits for costs no allocation
/// but its place in the map.
#[derive(Default)]
pub(crate) struct Turns {
    lines: Mutex<HashMap<FlowId, VecDeque<oneshot::Sender<()>>>>,
}

/// A place in the line of one flow. Dropping it lets the next one go.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    flow: FlowId,
    /// Nothing when it has come.
    call: Option<oneshot::Receiver<()>>,
}

impl Turns {
    /// Takes the last place in the flow's line. Taking it is what fixes the order, so call this as deliveries arrive.
    pub(crate) fn line_up(self: &Arc<Self>, flow: &FlowId) -> Turn {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let call = match lines.entry(flow.clone()) {
            Entry::Occupied(mut line) => {
                let (call, called) = oneshot::channel();
                line.get_mut().push_back(call);
                Some(called)
            }
            Entry::Vacant(place) => {
                place.insert(VecDeque::new());
                None
            }
        };
        Turn { turns: Arc::clone(self), flow: flow.clone(), call }
    }

    /// Calls the next one that still waits; forgets the flow when there is none.
    fn next(&self, flow: &FlowId) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut line) = lines.entry(flow.clone()) else { return };
        while let Some(call) = line.get_mut().pop_front() {
            if call.send(()).is_ok() {
                return;
            }
        }
        line.remove();
    }
}

impl Turn {
    /// Waits until everyone before has gone.
    pub(crate) async fn come(&mut self) {
        if let Some(call) = &mut self.call {
            // Whoever calls does not go away without calling.
            let _ = call.await;
            self.call = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        match &mut self.call {
            // It was not its turn; it leaves the line, which whoever calls it will find.
            Some(call) => {
                call.close();
                // Called in the meantime: it was its turn after all.
                if call.try_recv().is_ok() {
                    self.turns.next(&self.flow);
                }
            }
            None => self.turns.next(&self.flow),
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
        assert!(turns.lines.lock().unwrap().is_empty(), "nothing is kept for flows that nobody waits for");
    }

    #[tokio::test]
    async fn whoever_leaves_the_line_does_not_hold_it_up() {
        let turns = Arc::new(Turns::default());
        let flow = FlowId::new("a").unwrap();
        let (first, second, mut third) = (turns.line_up(&flow), turns.line_up(&flow), turns.line_up(&flow));
        drop(second);
        let mut fourth = turns.line_up(&flow);
        drop(first);
        third.come().await;
        // Leaves after it was called, and before it heard of it.
        let fifth = turns.line_up(&flow);
        drop(third);
        fourth.come().await;
        drop(fourth);
        drop(fifth);
        assert!(turns.lines.lock().unwrap().is_empty());
    }
}
