//! A way through the states, told as a list of steps.

use std::fmt::Write as _;

use crate::actions::{Action, Fate};
use crate::broker::Draft;
use crate::choreography::{FLOWS, INSTANCES, REACTIONS};
use crate::protocol::Protocol;
use crate::search::System as _;
use crate::state::{Known, Stage, State, Work};
use crate::variants::Variant;

/// One line per step: who, what, and where in the code.
pub(crate) fn tell(protocol: &Protocol, way: &[Action]) -> String {
    let mut text = String::new();
    let mut state = protocol.start();
    // The search lets the instances change places; here each keeps its name.
    let mut names = INSTANCES;
    for (number, action) in (1..).zip(way) {
        let after = protocol.step(&state, *action);
        let (who, what) = Step { protocol, before: &state, after: &after, names }.told(*action);
        let code = action.code().first().map_or("", |(_, function)| function);
        let line = format!("{number:>4}. {who:<8} {what:<88} {code}");
        let _ = writeln!(text, "{}", line.trim_end());
        let (canonical, swapped) = protocol.canonical(after);
        state = canonical;
        if swapped {
            names.swap(0, 1);
        }
    }
    text
}

struct Step<'a> {
    protocol: &'a Protocol,
    before: &'a State,
    after: &'a State,
    names: [&'static str; INSTANCES.len()],
}

impl Step<'_> {
    fn told(&self, action: Action) -> (&'static str, String) {
        match action {
            Action::Deliver { reaction, to } => ("broker", self.deliver(reaction, to)),
            Action::Begin { at, reaction, forgotten, .. } => {
                (self.names[at], self.begin(at, reaction, forgotten))
            }
            Action::Append { at, flow, fate } => (self.names[at], self.append(at, flow, fate)),
            Action::Read { at, flow, .. } => {
                let found = self.work(self.after, at, flow);
                (self.names[at], found.map_or_else(String::new, |work| self.read(work)))
            }
            Action::Ack { at, flow, arrives } => {
                let work = self.work(self.before, at, flow);
                let cause = work.map_or("", |work| REACTIONS[work.reaction()].cause);
                let lost = if arrives { "" } else { "; that is lost" };
                (self.names[at], format!("acknowledges {cause}{lost}"))
            }
            Action::Crash { at } => (self.names[at], "crashes and starts again, knowing nothing".to_owned()),
            Action::Renew { reaction } => {
                let subject = &REACTIONS[reaction];
                ("broker", format!("has a new consumer for {subject}, which delivers from the beginning"))
            }
            Action::Arrive => ("network", self.arrive()),
            Action::WindowPasses => {
                ("broker", "forgets the message ids: the dedup window has passed".to_owned())
            }
            Action::Evict { flow } => {
                ("broker", format!("evicts the oldest record of {} from the home stream", FLOWS[flow]))
            }
        }
    }

    fn deliver(&self, reaction: usize, to: usize) -> String {
        let Self { before, after, names, .. } = self;
        let number = after.inputs[reaction].deliveries;
        let mut text = format!("delivers {} to {}", REACTIONS[reaction].cause, names[to]);
        let _ = write!(text, " for {}", REACTIONS[reaction].handler);
        if number > 1 {
            let _ = write!(text, ", delivery {number}");
        }
        if !before.is_due(reaction) {
            text.push_str(": nothing was heard from the one before");
        }
        text
    }

    fn begin(&self, at: usize, reaction: usize, forgotten: bool) -> String {
        let subject = &REACTIONS[reaction];
        let flow = FLOWS[subject.flow];
        let Some(work) = self.work(self.after, at, subject.flow) else { return String::new() };
        let remembered = self.before.instances[at].memory[subject.flow].as_ref().filter(|_| !forgotten);
        let read = work.delivery > 1 || (remembered.is_none() && work.known.last > 0);
        let how = match (read, remembered) {
            (true, _) => "reads",
            (false, Some(_)) => "remembers",
            (false, None) => "knows",
        };
        // A delivery that comes when its turn does has no step of its own.
        let comes = self.before.instances[at].line[reaction] == 0;
        let takes = if comes { format!("takes {} and ", subject.cause) } else { String::new() };
        format!("{takes}begins {subject}: {how} {}; {}", known(&work.known, flow), self.next(work))
    }

    fn append(&self, at: usize, flow: usize, fate: Fate) -> String {
        let Some(work) = self.work(self.before, at, flow) else { return String::new() };
        let Stage::Append(draft) = work.stage else { return String::new() };
        let what = drafted(draft, work.reaction());
        let fence = work.known.last;
        let broker = match fate {
            Fate::Lost => "it is lost".to_owned(),
            Fate::Late => "it is held up".to_owned(),
            Fate::InFlight => "refused, a write is in flight".to_owned(),
            Fate::InFlightForLong => {
                "refused again and again, a write is in flight; what was known is given up".to_owned()
            }
            Fate::Answered | Fate::AnswerLost => self.decided(flow),
        };
        let answer = if fate == Fate::AnswerLost { ", and the answer is lost" } else { "" };
        format!("appends {what}, fence {fence}: {broker}{answer}")
    }

    /// What the broker made of an append.
    fn decided(&self, flow: usize) -> String {
        let (before, after) = (&self.before.home.flows, &self.after.home.flows);
        let wrote: Vec<_> = (0..FLOWS.len())
            .filter(|flow| after[*flow].newest() > before[*flow].newest())
            .map(|flow| format!("{} is at {}", FLOWS[flow], after[flow].newest()))
            .collect();
        if !wrote.is_empty() {
            return format!("written, {}", wrote.join(", "));
        }
        match self.protocol.variant {
            Variant::DedupWindow => "taken for a duplicate".to_owned(),
            _ => format!("refused, {} is at {}", FLOWS[flow], before[flow].last()),
        }
    }

    fn read(&self, work: &Work) -> String {
        format!("reads {}; {}", known(&work.known, FLOWS[work.flow()]), self.next(work))
    }

    fn arrive(&self) -> String {
        let Some(late) = self.before.late else { return String::new() };
        let what = drafted(late.draft, late.of.into());
        format!("the append of {what}, fence {}, arrives late: {}", late.fence, self.decided(late.flow()))
    }

    /// What an instance makes of what it knows.
    fn next(&self, work: &Work) -> String {
        match work.stage {
            Stage::Settled { .. } => "it is done".to_owned(),
            Stage::Append(Draft::Vanished { .. }) => "an attempt has vanished".to_owned(),
            Stage::Append(Draft::Outcome { gift, .. }) => {
                let joins = self.protocol.scene.joins && REACTIONS[work.reaction()].joins.is_some();
                let made = match (joins, gift) {
                    (false, _) => "an outcome",
                    (true, true) => "a gift",
                    (true, false) => "no gift",
                };
                format!("to be done: {made}")
            }
            Stage::Lost(_) | Stage::Unknown(_) | Stage::Forgotten(_) => String::new(),
        }
    }

    fn work<'a>(&self, state: &'a State, at: usize, flow: usize) -> Option<&'a Work> {
        state.instances[at].works[flow].as_ref()
    }
}

fn known(known: &Known, flow: &str) -> String {
    match known.last {
        0 => format!("nothing of {flow}"),
        last => format!("{flow} up to {last}"),
    }
}

fn drafted(draft: Draft, reaction: usize) -> String {
    let subject = &REACTIONS[reaction];
    match draft {
        Draft::Outcome { from: 0, .. } => format!("the outcome of {subject}"),
        Draft::Outcome { from, .. } => format!("message {} of {subject}", from + 1),
        Draft::Vanished { attempt } => format!("that attempt {attempt} of {subject} vanished"),
    }
}
