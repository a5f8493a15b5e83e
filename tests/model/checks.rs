//! What is asserted of a variant in a scene: that everything holds, that every way ends, that something breaks.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::actions::Action;
use crate::choreography::Scene;
use crate::properties::{Property, Sight};
use crate::protocol::Protocol;
use crate::search::{Graph, explore};
use crate::state::State;
use crate::story;
use crate::variants::Variant;

/// A protocol and all its states.
pub(crate) struct Checked {
    protocol: Protocol,
    graph: Graph<Protocol>,
}

/// Looks at every state. Panics, with the story of it, when a property is broken, and when a sight is not seen.
pub(crate) fn holds(variant: Variant, scene: Scene, sights: &[Sight]) -> Checked {
    let protocol = Protocol { variant, scene, reduced: true };
    let started = Instant::now();
    let mut broken = None;
    let mut unseen = sights.to_vec();
    let (graph, stopped) = explore(&protocol, |state| {
        broken = Property::ALL.into_iter().find(|property| !property.holds(&protocol, state));
        unseen.retain(|sight| !sight.is_seen(state));
        if broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let (Some(property), Some(at)) = (broken, stopped) {
        let story = story::tell(&protocol, &graph.way_to(at));
        panic!("{variant:?}: {scene}: {}\n{story}", property.broken());
    }
    assert!(unseen.is_empty(), "{variant:?}: {scene}: never seen: {unseen:?}");
    let (states, steps, took) = (graph.states(), graph.steps(), started.elapsed());
    println!("{variant:?}: {scene}: holds in all {states} states, {steps} steps ({took:.1?})");
    Checked { protocol, graph }
}

impl Checked {
    /// Panics unless every way ends, and with everything done: whatever happened and in whatever order, once there are
    /// no more faults every event takes effect.
    pub(crate) fn ends(&self) {
        let Protocol { variant, scene, .. } = &self.protocol;
        if let Some(at) = self.graph.dead_end(|state| self.protocol.is_done(state)) {
            let story = story::tell(&self.protocol, &self.graph.way_to(at));
            panic!("{variant:?}: {scene}: stuck\n{story}");
        }
        if let Some((way, round)) = self.graph.endless(&self.protocol) {
            panic!("{variant:?}: {scene}: never ends\n{}", self.tell_endless(way, &round));
        }
    }

    /// Panics unless there is a way without an end, and from everywhere on it, and from every other state, a way out.
    pub(crate) fn may_go_round(&self) {
        let Protocol { variant, scene, .. } = &self.protocol;
        if let Some(at) = self.graph.hopeless(|state| self.protocol.is_done(state)) {
            let story = story::tell(&self.protocol, &self.graph.way_to(at));
            panic!("{variant:?}: {scene}: cannot end any more\n{story}");
        }
        let Some((way, round)) = self.graph.endless(&self.protocol) else {
            panic!("{variant:?}: {scene}: every way ends")
        };
        println!("{variant:?}: {scene}: need not end\n{}", self.tell_endless(way, &round));
    }

    fn tell_endless(&self, mut way: Vec<Action>, round: &[Action]) -> String {
        let first = way.len() + 1;
        way.extend(round);
        format!("{}      and so on from step {first}, for ever\n", story::tell(&self.protocol, &way))
    }
}

/// Panics unless the property breaks with as few faults as said, and no fewer. Tells the shortest story of it.
pub(crate) fn breaks(variant: Variant, scene: Scene, property: Property, fewest: u8) {
    let found = first(variant, scene, |protocol, state| !property.holds(protocol, state));
    let (faults, story) =
        found.unwrap_or_else(|| panic!("{variant:?}: {scene}: {property:?} holds in all states"));
    println!("{variant:?}: faults: {faults}: {}\n{story}", property.broken());
    assert_eq!(faults, fewest, "{variant:?}: {property:?} breaks with another number of faults");
}

/// Panics unless it is seen. Tells the shortest story of it.
pub(crate) fn sees(scene: Scene, sight: Sight) {
    let found = first(Variant::Shipped, scene, |_, state| sight.is_seen(state));
    let (faults, story) = found.unwrap_or_else(|| panic!("{scene}: {sight:?} is never seen"));
    println!("{sight:?}: faults: {faults}\n{story}");
}

/// The fewest faults with which there is such a state, and the shortest story of one.
fn first(variant: Variant, scene: Scene, such: impl Fn(&Protocol, &State) -> bool) -> Option<(u8, String)> {
    (0..=scene.faults).find_map(|faults| {
        let protocol = Protocol { variant, scene: Scene { faults, ..scene }, reduced: true };
        let (graph, found) = explore(&protocol, |state| match such(&protocol, state) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        Some((faults, story::tell(&protocol, &graph.way_to(found?))))
    })
}

/// Which properties are broken somewhere, what is seen somewhere, and whether a way does not end with everything done.
pub(crate) fn verdicts(protocol: &Protocol) -> (Vec<Property>, Vec<Sight>, bool) {
    let (mut broken, mut seen) = (Vec::new(), Vec::new());
    let (graph, _) = explore(protocol, |state| {
        let news = |property: &Property| !broken.contains(property) && !property.holds(protocol, state);
        let news: Vec<_> = Property::ALL.into_iter().filter(news).collect();
        broken.extend(news);
        let news = |sight: &Sight| !seen.contains(sight) && sight.is_seen(state);
        let news: Vec<_> = Sight::ALL.into_iter().filter(news).collect();
        seen.extend(news);
        ControlFlow::Continue(())
    });
    broken.sort_unstable();
    seen.sort_unstable();
    let ends = graph.dead_end(|state| protocol.is_done(state)).is_none() && graph.endless(protocol).is_none();
    (broken, seen, ends)
}
