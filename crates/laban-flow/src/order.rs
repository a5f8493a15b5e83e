//! One order of a flow's steps, from causes and stream sequences alone.

use std::collections::HashMap;

use laban_wire::EventId;

use crate::Step;

/// The first step of each id. Events come before system records: a reaction's records may share one id.
pub(crate) fn by_id(steps: &[Step]) -> HashMap<EventId, usize> {
    let mut by_id = HashMap::<EventId, usize>::with_capacity(steps.len());
    for system in [false, true] {
        for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.is_system() == system) {
            by_id.entry(step.id).or_insert(index);
        }
    }
    by_id
}

/// For each step the index of its cause, where that is among the steps.
pub(crate) fn causes(steps: &[Step]) -> Vec<Option<usize>> {
    let by_id = by_id(steps);
    steps.iter().map(|step| by_id.get(&step.cause?).copied()).collect()
}

/// Sorts the steps so that each comes after its cause and after what its stream held before it.
///
/// Both were so in real time, so such an order exists. What neither decides is decided by depth (the number of causes
/// before a step), then by the service's name. Forged records may be their own cause; they come as their streams have them.
pub(crate) fn order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by(|a, b| (&a.service, &a.stream, a.seq).cmp(&(&b.service, &b.stream, b.seq)));
    let cause = causes(&steps);
    // The streams as ranges of indexes: what is left of each.
    let mut streams: Vec<std::ops::Range<usize>> = Vec::new();
    for index in 0..steps.len() {
        match streams.last_mut() {
            Some(range) if steps[range.start].stream == steps[index].stream => range.end = index + 1,
            _ => streams.push(index..index + 1),
        }
    }
    let mut depth: Vec<Option<usize>> = vec![None; steps.len()];
    let mut sorted = Vec::with_capacity(steps.len());
    let rank = |head: usize, depth: &[Option<usize>]| match cause[head].map(|cause| depth[cause]) {
        None => (false, 0),
        Some(Some(above)) => (false, above + 1),
        Some(None) => (true, 0),
    };
    while let Some((_, own_depth, stream)) = (0..streams.len())
        .filter(|stream| !streams[*stream].is_empty())
        .map(|stream| {
            let (blocked, own_depth) = rank(streams[stream].start, &depth);
            (blocked, own_depth, stream)
        })
        .min()
    {
        let head = streams[stream].start;
        streams[stream].start += 1;
        depth[head] = Some(own_depth);
        sorted.push(head);
    }
    let mut slots: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    sorted.into_iter().filter_map(|index| slots[index].take()).collect()
}
