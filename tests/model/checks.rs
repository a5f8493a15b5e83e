//! What is asserted of a variant in a scene: that everything holds, that every way ends, that something breaks.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::actions::Action;
use crate::choreography::{Fault, Scene};
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

/// Panics unless the property breaks, with no fault at all when no kind is given, otherwise by faults of each of these
/// kinds alone, and of no other. Tells the shortest stories of it.
pub(crate) fn breaks(variant: Variant, scene: Scene, property: Property, by: &[Fault]) {
    let broken = |scene| first(variant, scene, |protocol, state| !property.holds(protocol, state));
    if let Some(story) = broken(Scene { faults: 0, ..scene }) {
        println!("{variant:?}, no fault: {}\n{story}", property.broken());
        assert!(by.is_empty(), "{variant:?}: {property:?} breaks without any fault");
        return;
    }
    // Chunks of one, for a scene has a slice of them.
    let alone = Fault::ALL.chunks(1).filter(|kind| {
        let story = broken(Scene { kinds: kind, ..scene });
        story.iter().for_each(|story| println!("{variant:?}, {kind:?}: {}\n{story}", property.broken()));
        story.is_some()
    });
    let found = alone.flatten().copied().collect::<Vec<_>>();
    assert!(!found.is_empty(), "{variant:?}: {scene}: {property:?} holds in all states");
    assert_eq!(found, by, "{variant:?}: {property:?} breaks by other kinds of faults");
}

/// Panics unless it is seen. Tells the shortest story of it.
pub(crate) fn sees(scene: Scene, sight: Sight) {
    let seen = |faults| first(Variant::Shipped, Scene { faults, ..scene }, |_, state| sight.is_seen(state));
    let Some(story) = (0..=scene.faults).find_map(seen) else { panic!("{scene}: {sight:?} is never seen") };
    println!("{sight:?}\n{story}");
}

/// The shortest story of a state that is such.
fn first(variant: Variant, scene: Scene, such: impl Fn(&Protocol, &State) -> bool) -> Option<String> {
    let protocol = Protocol { variant, scene, reduced: true };
    let (graph, found) = explore(&protocol, |state| match such(&protocol, state) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    Some(story::tell(&protocol, &graph.way_to(found?)))
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
