//! An explicit-state search: every state that can be reached, breadth first, so that the first way to one is a
//! shortest.
//!
//! States are compared as they are, not by a hash of them. What is found is kept as a graph, so that liveness is a
//! question about the graph: is there an end without being done, a way without an end, a state without a way out?

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::ControlFlow;
use std::rc::Rc;

/// What can be searched.
pub(crate) trait System {
    type State: Eq + Hash;
    type Action: Copy;

    fn start(&self) -> Self::State;
    /// Adds everything that can happen next.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    fn next(&self, state: &Self::State, action: Self::Action) -> Self::State;
}

/// Hashes small numbers quickly, also in a build without optimisation. Equal hashes cost time and nothing else.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        // An odd number with its bits well mixed.
        self.0 = (self.0.rotate_left(7) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The upper bits are the better ones.
        self.0.rotate_left(26)
    }
}

/// A state with its hash, which is worked out once.
#[derive(PartialEq, Eq)]
struct Hashed<T>(u64, Rc<T>);

impl<T: Hash> Hashed<T> {
    fn of(state: T) -> Self {
        let mut hasher = Quick::default();
        state.hash(&mut hasher);
        Self(hasher.finish(), Rc::new(state))
    }
}

impl<T> Hash for Hashed<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.0);
    }
}

/// A state that was found, in the order of finding.
pub(crate) type Index = u32;

/// Step after step.
pub(crate) type Way<S> = Vec<<S as System>::Action>;

/// What was found.
pub(crate) struct Graph<S: System> {
    states: Vec<Rc<S::State>>,
    /// How each state was first reached; nothing for the start.
    reached: Vec<Option<(Index, S::Action)>>,
    /// Where each step leads. Those of one state are together, in the order of its actions.
    steps: Vec<Index>,
    /// Where the steps of each state begin; one more at the end.
    begins: Vec<usize>,
}

/// Looks at every state once, until told to stop. Returns what was found, and where it was stopped.
pub(crate) fn explore<S: System>(
    system: &S,
    mut look: impl FnMut(&S::State) -> ControlFlow<()>,
) -> (Graph<S>, Option<Index>) {
    let start = Hashed::of(system.start());
    let mut known: HashMap<_, Index, BuildHasherDefault<Quick>> = HashMap::default();
    let mut graph =
        Graph { states: vec![Rc::clone(&start.1)], reached: vec![None], steps: Vec::new(), begins: vec![0] };
    known.insert(start, 0);
    let mut actions = Vec::new();
    let mut at = 0;
    while let Some(state) = graph.states.get(at).map(Rc::clone) {
        if look(&state).is_break() {
            return (graph, Some(at as Index));
        }
        system.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let to = match known.entry(Hashed::of(system.next(&state, action))) {
                Entry::Occupied(found) => *found.get(),
                Entry::Vacant(new) => {
                    graph.states.push(Rc::clone(&new.key().1));
                    graph.reached.push(Some((at as Index, action)));
                    *new.insert(graph.states.len() as Index - 1)
                }
            };
            graph.steps.push(to);
        }
        at += 1;
        graph.begins.push(graph.steps.len());
    }
    (graph, None)
}

impl<S: System> Graph<S> {
    pub(crate) fn states(&self) -> usize {
        self.states.len()
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// A shortest way to a state.
    pub(crate) fn way_to(&self, mut at: Index) -> Way<S> {
        let mut way = Vec::new();
        while let Some((from, action)) = self.reached[at as usize] {
            way.push(action);
            at = from;
        }
        way.reverse();
        way
    }

    fn steps_of(&self, at: Index) -> &[Index] {
        &self.steps[self.begins[at as usize]..self.begins[at as usize + 1]]
    }

    fn all(&self) -> std::ops::Range<Index> {
        0..self.states.len() as Index
    }

    /// The first state where nothing can happen any more that is not `done`.
    pub(crate) fn dead_end(&self, done: impl Fn(&S::State) -> bool) -> Option<Index> {
        self.all().find(|at| self.steps_of(*at).is_empty() && !done(&self.states[*at as usize]))
    }

    /// The first state from which no `done` state can be reached.
    pub(crate) fn hopeless(&self, done: impl Fn(&S::State) -> bool) -> Option<Index> {
        let mut before = vec![Vec::new(); self.states.len()];
        for from in self.all() {
            for to in self.steps_of(from) {
                before[*to as usize].push(from);
            }
        }
        let mut hopeful: Vec<bool> = self.states.iter().map(|state| done(state)).collect();
        let mut left: Vec<Index> = self.all().filter(|at| hopeful[*at as usize]).collect();
        while let Some(at) = left.pop() {
            for from in &before[at as usize] {
                if !std::mem::replace(&mut hopeful[*from as usize], true) {
                    left.push(*from);
                }
            }
        }
        self.all().find(|at| !hopeful[*at as usize])
    }

    /// A way that has no end: to a state, and from there round in a circle.
    pub(crate) fn endless(&self, system: &S) -> Option<(Way<S>, Way<S>)> {
        // States are taken away that nobody left can come to. What remains is on a circle, or behind one.
        let mut into = vec![0_usize; self.states.len()];
        self.steps.iter().for_each(|to| into[*to as usize] += 1);
        let mut free: Vec<Index> = self.all().filter(|at| into[*at as usize] == 0).collect();
        while let Some(at) = free.pop() {
            for to in self.steps_of(at) {
                into[*to as usize] -= 1;
                if into[*to as usize] == 0 {
                    free.push(*to);
                }
            }
        }
        // The first from which there is a way back is on one.
        self.all().filter(|at| into[*at as usize] > 0).find_map(|at| {
            let round = self.way_back(system, at)?;
            Some((self.way_to(at), round))
        })
    }

    /// A shortest way from a state back to it.
    fn way_back(&self, system: &S, to: Index) -> Option<Way<S>> {
        let mut reached: HashMap<Index, (Index, S::Action)> = HashMap::new();
        let mut left = VecDeque::from([to]);
        let mut actions = Vec::new();
        while let Some(at) = left.pop_front() {
            actions.clear();
            system.actions(&self.states[at as usize], &mut actions);
            for (next, action) in self.steps_of(at).iter().zip(&actions) {
                if reached.contains_key(next) {
                    continue;
                }
                reached.insert(*next, (at, *action));
                if *next != to {
                    left.push_back(*next);
                    continue;
                }
                let (mut way, mut at) = (Vec::new(), to);
                loop {
                    let (from, action) = reached[&at];
                    way.push(action);
                    at = from;
                    if at == to {
                        way.reverse();
                        return Some(way);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A walk over numbered states.
    struct Walk(&'static [(u8, u8)]);

    impl System for Walk {
        type State = u8;
        type Action = u8;

        fn start(&self) -> u8 {
            0
        }

        fn actions(&self, state: &u8, actions: &mut Vec<u8>) {
            actions.extend(self.0.iter().filter(|(from, _)| from == state).map(|(_, to)| *to));
        }

        fn next(&self, _: &u8, action: u8) -> u8 {
            action
        }
    }

    fn all(walk: &Walk) -> Graph<Walk> {
        explore(walk, |_| ControlFlow::Continue(())).0
    }

    #[test]
    fn the_way_found_is_a_shortest_and_every_state_is_looked_at_once() {
        let walk = Walk(&[(0, 1), (1, 2), (2, 9), (0, 3), (3, 9), (9, 4)]);
        let stop = |state: &u8| if *state == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let (graph, found) = explore(&walk, stop);
        assert_eq!(graph.way_to(found.unwrap()), [3, 9]);
        let mut seen = Vec::new();
        let (graph, found) = explore(&walk, |state| {
            seen.push(*state);
            ControlFlow::Continue(())
        });
        seen.sort_unstable();
        assert_eq!((seen, found), (vec![0, 1, 2, 3, 4, 9], None));
        assert_eq!((graph.states(), graph.steps()), (6, 6));
    }

    #[test]
    fn a_dead_end_is_found_and_so_is_a_state_without_hope() {
        // From 3 on it goes round for ever: no dead end, and no hope.
        let graph = all(&Walk(&[(0, 1), (1, 2), (0, 3), (3, 4), (4, 3)]));
        assert_eq!(graph.dead_end(|state| *state == 2), None);
        let dead_end = graph.dead_end(|state| *state == 9).unwrap();
        assert_eq!(graph.way_to(dead_end), [1, 2]);
        let hopeless = graph.hopeless(|state| *state == 2).unwrap();
        assert_eq!(graph.way_to(hopeless), [3]);
        assert_eq!(graph.hopeless(|state| *state == 2 || *state == 3), None);
    }

    #[test]
    fn a_circle_is_found_with_the_way_to_it() {
        let endless = |walk| all(&walk).endless(&walk);
        assert_eq!(endless(Walk(&[(0, 1), (0, 2), (1, 3), (2, 3)])), None, "two ways meet");
        assert_eq!(
            endless(Walk(&[(0, 1), (1, 2), (2, 3), (3, 2), (2, 4), (4, 5)])),
            Some((vec![1, 2], vec![3, 2]))
        );
        assert_eq!(endless(Walk(&[(0, 0)])), Some((vec![], vec![0])), "a step on the spot");
    }
}
