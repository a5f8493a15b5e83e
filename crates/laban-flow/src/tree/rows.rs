//! A flow's steps in the order and with the branches of the tree.

use std::collections::HashMap;

use laban_wire::{DEAD, EventId, EventType, RETRYING};

use super::TreeStyle;
use super::paint::Kind;
use crate::order::by_id;
use crate::words::{duration, offset, plain, shortened, stamp};
use crate::{Awaited, Flow, Inside, Overdue, Step, Unreadable};

/// Longer errors are cut: the tree is for the eye, JSON has all of it.
const LONGEST_NOTE: usize = 300;
/// Longer names of spans are cut.
const LONGEST_SPAN: usize = 48;
/// Deeper branches are cut at the left.
const WIDEST_BRANCH: usize = 96;

/// One line.
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) branch: String,
    pub(super) label: String,
    /// Handler, attempt, queue time, handling time, time since the start.
    pub(super) cells: [String; 5],
    pub(super) note: String,
}

impl Row {
    pub(super) fn label_width(&self) -> usize {
        self.branch.chars().count() + self.label.chars().count()
    }
}

#[derive(Clone, Copy)]
enum Node<'f> {
    Step(usize),
    Inside(&'f Inside),
    Awaited(&'f Awaited),
    Unreadable(&'f Unreadable),
}

/// The characters that branches are made of: for one that others follow, for the last one, and below each.
fn branches(ascii: bool) -> [&'static str; 4] {
    if ascii { ["|-- ", "`-- ", "|   ", "    "] } else { ["├─ ", "└─ ", "│  ", "   "] }
}

/// All lines of the tree. With no recursion: a flow may be a chain of any length.
pub(super) fn rows(flow: &Flow, style: TreeStyle) -> Vec<Row> {
    let (roots, mut below) = arrange(flow);
    let [middle, last, pass, blank] = branches(style.ascii);
    let mut rows = Vec::new();
    // What is still to be drawn, the next one last: its branch, and what its children's branches begin with.
    let mut left: Vec<(Node<'_>, String, String)> = Vec::new();
    left.extend(roots.into_iter().rev().map(|node| (node, String::new(), String::new())));
    while let Some((node, branch, stem)) = left.pop() {
        rows.push(row(flow, node, branch, style));
        let children = match node {
            Node::Step(index) => below.remove(&Parent::Step(index)),
            Node::Unreadable(message) => below.remove(&Parent::Unreadable(message.id)),
            Node::Inside(_) | Node::Awaited(_) => None,
        };
        let children = children.unwrap_or_default();
        let stem = cut(stem, style);
        for (place, child) in children.into_iter().rev().enumerate() {
            let (own, under) = if place == 0 { (last, blank) } else { (middle, pass) };
            left.push((child, format!("{stem}{own}"), format!("{stem}{under}")));
        }
    }
    rows
}

#[derive(PartialEq, Eq, Hash)]
enum Parent {
    Step(usize),
    Unreadable(EventId),
}

/// What stands at the root, and what below what: steps in their order, then what is awaited.
fn arrange(flow: &Flow) -> (Vec<Node<'_>>, HashMap<Parent, Vec<Node<'_>>>) {
    let mut roots = Vec::new();
    let mut below = HashMap::<Parent, Vec<Node<'_>>>::new();
    let unreadable = |id: EventId| flow.unreadable.iter().any(|message| message.id == id);
    for (index, cause) in flow.causes().into_iter().enumerate() {
        let parent = match (cause, flow.steps[index].cause) {
            (Some(cause), _) => Parent::Step(cause),
            (None, Some(id)) if unreadable(id) => Parent::Unreadable(id),
            _ => {
                roots.push(Node::Step(index));
                continue;
            }
        };
        below.entry(parent).or_default().push(Node::Step(index));
    }
    for (index, step) in flow.steps.iter().enumerate().filter(|(_, step)| !step.inside.is_empty()) {
        let spans = step.inside.iter().map(Node::Inside);
        below.entry(Parent::Step(index)).or_default().splice(0..0, spans);
    }
    roots.extend(flow.unreadable.iter().map(Node::Unreadable));
    let steps = by_id(&flow.steps);
    for awaited in &flow.awaited {
        if let Some(index) = steps.get(&awaited.cause) {
            below.entry(Parent::Step(*index)).or_default().push(Node::Awaited(awaited));
        }
    }
    (roots, below)
}

fn cut(stem: String, style: TreeStyle) -> String {
    let width = stem.chars().count();
    if width <= WIDEST_BRANCH {
        return stem;
    }
    let sign = if style.ascii { "..." } else { "⋯" };
    let kept = stem.chars().skip(width - WIDEST_BRANCH / 2);
    sign.chars().chain(kept).collect()
}

fn row(flow: &Flow, node: Node<'_>, branch: String, style: TreeStyle) -> Row {
    let since = |at: time::OffsetDateTime| offset((at - flow.started_at).as_seconds_f64() * 1e3);
    let plain = |text: &str| plain(text, style.ascii);
    match node {
        Node::Step(index) => {
            let step = &flow.steps[index];
            let known = !branch.is_empty();
            Row {
                kind: kind(step),
                branch,
                label: step.full_name(),
                cells: [
                    step.handler.as_deref().map(plain).unwrap_or_default(),
                    step.attempt.filter(|n| *n > 1).map(|n| n.to_string()).unwrap_or_default(),
                    step.queue_ms.map(|ms| duration(ms.as_f64())).unwrap_or_default(),
                    step.handle_ms.map(|ms| duration(ms.as_f64())).unwrap_or_default(),
                    since(step.at),
                ],
                note: shortened(plain(&note(step, known)), LONGEST_NOTE, style.ascii),
            }
        }
        Node::Inside(span) => Row {
            kind: if span.failed { Kind::Dead } else { Kind::System },
            branch,
            label: shortened(
                format!("{}{}", "  ".repeat(span.depth), plain(&span.name)),
                LONGEST_SPAN,
                style.ascii,
            ),
            cells: [String::new(), String::new(), String::new(), duration(span.took_ms), String::new()],
            note: String::new(),
        },
        Node::Awaited(awaited) => Row {
            kind: if awaited.overdue.is_some() { Kind::Overdue } else { Kind::Awaited },
            branch,
            label: format!("{} {}", plain(&awaited.service), if style.ascii { "..." } else { "…" }),
            cells: [plain(&awaited.handler), String::new(), String::new(), String::new(), String::new()],
            note: waiting(awaited),
        },
        Node::Unreadable(message) => Row {
            kind: Kind::Unreadable,
            branch,
            label: plain(&message.subject),
            cells: [String::new(), String::new(), String::new(), String::new(), since(message.at)],
            note: {
                let note = format!("unreadable, {} {}: {}", message.stream, message.seq, message.reason);
                shortened(plain(&note), LONGEST_NOTE, style.ascii)
            },
        },
    }
}

/// Until when a reaction may take, and for what it waits.
fn waiting(awaited: &Awaited) -> String {
    if let Some(Overdue { since, why }) = awaited.overdue {
        return format!("overdue since {}: {}", stamp(since), why.as_str());
    }
    let unless: Vec<_> = awaited.unless.iter().map(EventType::as_str).collect();
    match (awaited.next_at, awaited.due_at) {
        (Some(at), _) => format!("awaited; next attempt due {}", stamp(at)),
        (None, Some(at)) => format!("awaited, unless {} comes; due {}", unless.join(" or "), stamp(at)),
        (None, None) => "awaited".to_owned(),
    }
}

fn kind(step: &Step) -> Kind {
    match step.event.as_str() {
        DEAD => Kind::Dead,
        RETRYING => Kind::Retrying,
        _ if step.is_system() => Kind::System,
        _ => Kind::Event,
    }
}

/// What else there is to say about a step; `known` when it stands below its cause.
fn note(step: &Step, known: bool) -> String {
    let mut notes = Vec::new();
    if let (Some(cause), false) = (step.cause, known) {
        let on = step.on.as_ref().map_or("an event", |on| on.as_str());
        notes.push(format!("cause not found: {on} {cause}"));
    }
    if step.duplicate {
        notes.push(format!("stored again as {} {}", step.stream, step.seq));
    }
    notes.extend(step.decision());
    match (&step.error, step.reason) {
        (Some(error), Some(reason)) => notes.push(format!("dead letter, {}: {error}", reason.as_str())),
        (Some(error), None) => notes.push(error.clone()),
        (None, _) => {}
    }
    notes.join("; ")
}
