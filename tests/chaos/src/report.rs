//! What a run did, what it saw, and what is wrong: for people, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use laban_tests::Outcome;
use serde::Serialize;

use crate::audit::{Accounts, Audit, Kind, Violation};
use crate::faults::{Done, Fault};
use crate::ledger::Ledger;
use crate::settings::{Fence, Profile, Settings};
use crate::world::Counters;

/// How many violations the text shows; the JSON has all.
const MOST_SHOWN: usize = 20;

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of this layout.
    pub schema: u32,
    seed: u64,
    profile: Profile,
    fence: Fence,
    minutes: f64,
    nats_server: String,
    /// The orders.
    pub orders: Orders,
    /// What happened.
    pub counts: Counts,
    faults: BTreeMap<Fault, u64>,
    accounts: Accounts,
    /// Instances that ended by themselves, with the last words of each.
    ended_by_themselves: Vec<String>,
    notes: Vec<String>,
    violations: Vec<Violation>,
    /// Why the run proves nothing: what it should have met and did not.
    pub void: Vec<String>,
}

/// The orders.
#[derive(Debug, Default, Serialize)]
pub struct Orders {
    /// Orders that are flows or may be.
    pub flows: usize,
    /// Those that were acknowledged.
    pub accepted: usize,
    /// Those that never were: each may have been taken, or not.
    pub unknown: usize,
    /// Those of them that were taken.
    pub unknown_taken: usize,
    /// Requests that were refused, as they should be.
    pub refused: usize,
    /// Requests that the client sent twice at once.
    pub sent_twice: u64,
    /// Requests that the client sent again for want of an answer.
    pub sent_again: u64,
    /// Flows that ended with `order.completed`.
    pub completed: usize,
    /// Flows that ended with `order.cancelled`.
    pub cancelled: usize,
    /// Flows whose payment was not answered in time.
    pub overdue: usize,
}

/// What happened.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    /// Events in the streams.
    pub events: usize,
    /// Records in the streams, events among them.
    pub records: usize,
    /// Deliveries of the brokers; at least.
    pub deliveries: u64,
    /// Deliveries beyond one for each input; at least.
    pub redeliveries: u64,
    /// Deliveries whose work was found done; at least.
    pub duplicates_absorbed: u64,
    /// Commits that found that something was written meanwhile; at least.
    pub fences_lost: u64,
    /// Attempts that failed or vanished; at least.
    pub retries: u64,
    /// Frozen instances that came back too late.
    pub zombies: Zombies,
    /// New leaders of streams and consumers; at least.
    pub leader_changes: u64,
    /// Dead letters, those that were handed back included.
    pub dead_letters: usize,
    /// Effects that were found twice.
    pub duplicates_found: usize,
    /// Those of them that are a handler's outcomes of one event.
    pub reacted_twice: usize,
    /// What was accepted and is not there.
    pub lost: usize,
    /// How long after the last fault the last flow ended.
    pub ended_after_s: Option<f64>,
}

/// Instances that were frozen for longer than the broker waits for them.
#[derive(Debug, Default, Serialize)]
pub struct Zombies {
    /// Those that went on.
    pub woken: u64,
    /// Those of them that lost a fence, or found their work done, within three seconds.
    pub refused: u64,
}

/// How a run is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong; without the fence: it was caught.
    Good,
    /// Something is wrong; without the fence: nothing was found.
    Bad,
    /// Too little was met to tell.
    Void,
}

/// What was seen besides the streams.
pub(crate) struct Seen {
    pub(crate) counters: Counters,
    pub(crate) deliveries: u64,
    pub(crate) leader_changes: u64,
    pub(crate) ended_by_themselves: Vec<String>,
    pub(crate) ended_after: Option<Duration>,
    pub(crate) nats_server: String,
}

impl Report {
    pub(crate) fn of(settings: &Settings, ledger: &Ledger, audit: &Audit, done: &Done, seen: Seen) -> Self {
        let zombies = done.zombies();
        let counts = Counts {
            events: audit.events,
            records: audit.records,
            deliveries: seen.deliveries,
            redeliveries: seen.deliveries.saturating_sub(audit.accounts.inputs),
            duplicates_absorbed: seen.counters.duplicates,
            fences_lost: seen.counters.fences_lost,
            retries: seen.counters.retries,
            zombies: Zombies { woken: zombies.woken, refused: zombies.refused },
            leader_changes: seen.leader_changes,
            dead_letters: audit.dead_letters,
            duplicates_found: audit.count(Kind::Duplicate),
            reacted_twice: audit.reacted_twice,
            lost: audit.count(Kind::Lost),
            ended_after_s: seen.ended_after.map(|after| after.as_secs_f64()),
        };
        Self {
            schema: 1,
            seed: settings.seed,
            profile: settings.profile,
            fence: settings.fence,
            minutes: settings.duration.as_secs_f64() / 60.0,
            nats_server: seen.nats_server,
            orders: Orders {
                flows: ledger.begun().count(),
                accepted: ledger.accepted().count(),
                unknown: ledger.unknown().count(),
                unknown_taken: audit.unknown_taken,
                refused: ledger.entries.iter().map(|entry| entry.refused).sum(),
                sent_twice: ledger.sent_twice,
                sent_again: ledger.sent_again,
                completed: audit.completed.len(),
                cancelled: audit.cancelled,
                overdue: audit.overdue,
            },
            void: void(settings, &counts),
            counts,
            faults: done.counts(),
            accounts: audit.accounts.clone(),
            ended_by_themselves: seen.ended_by_themselves,
            notes: done.notes(),
            violations: audit.violations.clone(),
        }
    }

    /// What is wrong, in sentences.
    pub fn violations(&self) -> impl Iterator<Item = &str> {
        self.violations.iter().map(|violation| violation.what.as_str())
    }

    /// How it is to be judged.
    pub fn verdict(&self) -> Verdict {
        let clean = self.violations.is_empty();
        match self.fence {
            Fence::On if !clean => Verdict::Bad,
            // A run that was caught has met enough.
            Fence::Off if self.counts.reacted_twice > 0 => Verdict::Good,
            _ if !self.void.is_empty() => Verdict::Void,
            Fence::On => Verdict::Good,
            Fence::Off => Verdict::Bad,
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome {
        Ok(std::fs::write(path, self.json()? + "\n")?)
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// None that can be provoked: it is made of plain values.
    pub fn json(&self) -> Outcome<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let (Orders { flows, accepted, unknown, unknown_taken, .. }, counts) = (&self.orders, &self.counts);
        let mut text = String::new();
        let mut row = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<22}{value}");
        };
        let broker = match self.profile {
            Profile::Cluster => "three brokers, three copies",
            Profile::Single => "one broker",
        };
        row(
            "run",
            &format_args!(
                "seed {}, {:.1} minutes, {broker}, nats-server {}",
                self.seed, self.minutes, self.nats_server
            ),
        );
        row(
            "orders",
            &format_args!(
                "{flows}: {accepted} accepted, {unknown} unknown of which {unknown_taken} were taken"
            ),
        );
        row(
            "client",
            &format_args!(
                "{} sent twice at once, {} sent again, {} refused as they should be",
                self.orders.sent_twice, self.orders.sent_again, self.orders.refused
            ),
        );
        row(
            "flows",
            &format_args!(
                "{} completed, {} cancelled, {} with a payment overdue",
                self.orders.completed, self.orders.cancelled, self.orders.overdue
            ),
        );
        row("records", &format_args!("{}, of which {} events", counts.records, counts.events));
        row("deliveries", &format_args!("{}, of which {} again", counts.deliveries, counts.redeliveries));
        row("duplicates absorbed", &counts.duplicates_absorbed);
        row("fences lost", &counts.fences_lost);
        row("zombies", &format_args!("{} of {} refused", counts.zombies.refused, counts.zombies.woken));
        row("leader changes", &counts.leader_changes);
        row("dead letters", &counts.dead_letters);
        let Accounts { inputs, handled, dead, spared, pending } = &self.accounts;
        row(
            "accounts",
            &format_args!(
                "{inputs} inputs = {handled} handled + {dead} dead + {spared} in time; {pending} pending"
            ),
        );
        if let Some(after) = counts.ended_after_s {
            row("all ended", &format_args!("{after:.1} s after the last fault"));
        }
        for (fault, times) in &self.faults {
            let fault = serde_json::to_value(fault).ok();
            let name = fault.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            row(name, times);
        }
        let (duplicates, reactions) = (counts.duplicates_found, counts.reacted_twice);
        row(
            "duplicates found",
            &format_args!("{duplicates}, of which {reactions} second outcomes of a handler"),
        );
        row("lost", &counts.lost);
        row("violations", &self.violations.len());
        for violation in self.violations.iter().take(MOST_SHOWN) {
            let _ = writeln!(text, "  {}", violation.what);
        }
        if let Some(more) = self.violations.len().checked_sub(MOST_SHOWN + 1) {
            let _ = writeln!(text, "  and {} more, in the report", more + 1);
        }
        for line in self
            .ended_by_themselves
            .iter()
            .map(|line| format!("ended by itself: {line}"))
            .chain(self.notes.clone())
        {
            let _ = writeln!(text, "{line}");
        }
        for why in &self.void {
            let _ = writeln!(text, "void: {why}");
        }
        text
    }
}

/// A run that met nothing proves nothing: at least so much of each, for every minute.
fn void(settings: &Settings, counts: &Counts) -> Vec<String> {
    let minutes = settings.duration.as_secs_f64() / 60.0;
    let mut wanted = vec![
        ("redeliveries", counts.redeliveries, 50.0),
        ("fences lost", counts.fences_lost, 10.0),
        ("zombies refused", counts.zombies.refused, 0.5),
    ];
    if settings.profile == Profile::Cluster {
        wanted.push(("leader changes", counts.leader_changes, 5.0));
    }
    let too_few = wanted.into_iter().filter_map(|(what, is, a_minute)| {
        let least = (a_minute * minutes).floor() as u64;
        (is < least).then(|| format!("{is} {what}; at least {least} would have to be met"))
    });
    too_few.collect()
}
