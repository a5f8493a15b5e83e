//! What this instance knows of its service's own records, flow by flow, for as many flows as there is room for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use laban_wire::FlowId;

use super::known::Known;

/// What is known of the flows worked on lately. Bounded: of two generations the older is forgotten as a whole.
pub(crate) struct Memory {
    generations: Mutex<Generations>,
    /// Flows per generation.
    limit: usize,
}

#[derive(Default)]
struct Generations {
    young: HashMap<FlowId, Known>,
    old: HashMap<FlowId, Known>,
}

impl Memory {
    pub(crate) fn of(flows: usize) -> Self {
        Self { generations: Mutex::default(), limit: flows.div_ceil(2) }
    }

    /// Takes what is known of a flow out, to be put back by whoever has the flow's turn.
    pub(crate) fn take(&self, flow: &FlowId) -> Option<Known> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.remove(flow).or_else(|| generations.old.remove(flow))
    }

    pub(crate) fn put(&self, flow: FlowId, known: Known) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= self.limit {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(flow, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let memory = Memory::of(4);
        let flow = |n: usize| FlowId::new(n.to_string()).unwrap();
        for n in 0..7 {
            memory.put(flow(n), Known::nothing(false));
        }
        assert!(memory.take(&flow(0)).is_none());
        assert!(memory.take(&flow(6)).is_some());
        let generations = memory.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 4);
    }
}
