//! What is told before a service leaves.

use std::fmt::Write as _;

use laban_flow::retire::{Home, Plan, Position, Purpose, Reader, Target, Timers};
use laban_flow::words;

use crate::terminal;

/// What is deleted, what stays, and what waits.
pub(super) fn plan(plan: &Plan, delete_history: bool) -> String {
    let target = &plan.target;
    let mut text = format!("to be deleted of {target}:\n");
    // Writing to a String does not fail.
    for one in &plan.consumers {
        let Position { stream, consumer, .. } = one;
        let _ = writeln!(text, "  consumer {} of {stream}: {}", plain(consumer), position(one));
    }
    if let Some(Timers { stream, timers, subjects }) = &plan.timers {
        let timers = counted(*timers, "timer");
        let _ = match subjects.is_empty() {
            true => writeln!(text, "  timer stream {stream}: {timers}"),
            false => writeln!(text, "  {timers} of timer stream {stream}"),
        };
    }
    if plan.has_contract() {
        text.push_str("  its registered contract\n");
    }
    if let Some(Home { stream, records, bytes }) = &plan.home {
        let home = format!("home stream {stream}: {}, {bytes} bytes", counted(*records, "record"));
        if delete_history {
            let _ = writeln!(text, "  {home}");
        } else if plan.is_done() {
            text.push_str("  nothing: only its history is left\n");
        }
        if !delete_history {
            let _ = writeln!(text, "stays: {home}; flows go on to show what it did");
        }
    } else if plan.is_done() {
        text.push_str("  nothing\n");
    }
    let waiting = plan.waiting();
    if waiting > 0 {
        let waits = if waiting == 1 { "waits" } else { "wait" };
        let _ = writeln!(text, "{} {waits} for it, and will have no reaction", counted(waiting, "event"));
    }
    if plan.open_dead_letters > 0 {
        let letters = counted(plan.open_dead_letters, "dead letter");
        let (are, them) = if plan.open_dead_letters == 1 { ("is", "it") } else { ("are", "them") };
        let _ = match delete_history {
            true => writeln!(text, "{letters} {are} open, and go with the history"),
            false => writeln!(
                text,
                "{letters} {are} open, and nobody will take {them} back: `laban dead discard --service {}` settles {them}",
                target.service
            ),
        };
    }
    if delete_history && plan.home.is_some() {
        text.push_str(
            "without the history flows lose its steps, and its fence forgets: should it start again, all takes effect anew\n",
        );
        for one in &plan.read_by {
            let _ = writeln!(text, "the history is read by {}", reader(one));
        }
    }
    text
}

fn position(one: &Position) -> String {
    let what = match &one.purpose {
        Purpose::Reaction { handler, event } => format!("{} on {}", plain(handler), plain(event)),
        Purpose::Awaited { handler, filter } => format!("{} waits for {}", plain(handler), plain(filter)),
        _ => "dead letters handed back".to_owned(),
    };
    match (one.pending, one.unacknowledged) {
        (0, 0) => what,
        (pending, 0) => format!("{what}; {pending} wait"),
        (pending, in_hand) => format!("{what}; {pending} wait, {in_hand} in hand"),
    }
}

/// Said when there is nothing to do.
pub(super) fn nothing_left(plan: &Plan) -> String {
    match &plan.home {
        Some(Home { stream, records, .. }) => {
            let records = counted(*records, "record");
            format!("nothing is left of {} but its history: {stream}, {records}", plan.target)
        }
        None => format!("nothing is left of {}", plan.target),
    }
}

/// Who reads a home stream.
pub(super) fn reader(reader: &Reader) -> String {
    let consumer = plain(&reader.consumer);
    match &reader.service {
        Some(service) => format!("{} (consumer {consumer})", plain(service)),
        None => format!("consumer {consumer}"),
    }
}

/// Without the service.
pub(super) fn short(target: &Target) -> String {
    let handler = target.handler.as_deref().unwrap_or_default();
    match &target.event {
        None => format!("`{handler}`"),
        Some(event) => format!("`{handler}` on {event}"),
    }
}

pub(super) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn plain(text: &str) -> String {
    words::plain(text, !terminal::is_utf8())
}
