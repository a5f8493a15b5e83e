use std::collections::BTreeMap;

use laban_wire::Millis;
use laban_wire::shadow::Ran;
use serde::{Deserialize, Serialize};

use super::case::{About, Reaction};
use super::{Change, Compared, Quantiles, Verdict, compare};

/// What came of running a build against history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The service.
    pub service: String,
    /// What was run.
    pub command: Vec<String>,
    /// Whether no outcome is another.
    pub identical: bool,
    /// Flows in which there was something to compare.
    pub flows: u64,
    /// Reactions that were compared.
    pub reactions: u64,
    /// Handler by handler, those of the build first.
    pub handlers: Vec<HandlerReport>,
    /// The keys of the flows in which an outcome is another, in the order in which they were met.
    pub changed_flows: Vec<String>,
    /// How many these are; more than are named when the report was kept short.
    pub changed_flow_count: u64,
    /// The reactions whose outcome is another, flow by flow.
    pub changed: Vec<Judged>,
    /// How many these are; more than are told when the report was kept short.
    pub changed_count: u64,
    /// Reactions that could not be run, with the reason; some of them.
    pub untold: Vec<Untold>,
    #[serde(skip)]
    kept: usize,
}

/// What came of one handler's reactions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HandlerReport {
    /// The handler.
    pub handler: String,
    /// Reactions with the same outcome.
    pub identical: u64,
    /// With another one.
    pub different: u64,
    /// Recorded, and not made by the build.
    pub missing: u64,
    /// Made by the build where nobody reacted.
    pub new: u64,
    /// With an error where there was an outcome.
    pub failed: u64,
    /// Not compared: they could not be run.
    pub untold: u64,
    /// Not compared: nothing is recorded of them yet.
    pub open: u64,
    /// How long the handler ran then, of the reactions that were run again.
    pub then: Option<Quantiles>,
    /// How long it ran now.
    pub now: Option<Quantiles>,
    #[serde(skip)]
    times: (Vec<f32>, Vec<f32>),
}

impl HandlerReport {
    fn count(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Identical => &mut self.identical,
            Verdict::Different => &mut self.different,
            Verdict::Missing => &mut self.missing,
            Verdict::New => &mut self.new,
            Verdict::Failed => &mut self.failed,
        }
    }
}

/// A reaction whose outcome is another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Whose, and to what.
    #[serde(flatten)]
    pub about: About,
    /// How it compares.
    pub verdict: Verdict,
    /// Where the outcomes differ.
    pub changes: Vec<Change>,
    /// Why it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long the handler ran then, in milliseconds.
    pub then_ms: Option<Millis>,
    /// How long it ran now, in milliseconds.
    pub now_ms: Option<Millis>,
}

/// A reaction that could not be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Untold {
    /// Whose, and to what.
    #[serde(flatten)]
    pub about: About,
    /// Why.
    pub why: String,
}

/// Reasons are told so often.
const MOST_UNTOLD: usize = 100;

impl Report {
    /// A report that tells at most so many reactions in full, and counts the others.
    pub fn new<'h>(
        service: &str,
        command: &[String],
        handlers: impl IntoIterator<Item = &'h str>,
        kept: usize,
    ) -> Self {
        let named = |name: &str| HandlerReport { handler: name.to_owned(), ..HandlerReport::default() };
        Self {
            service: service.to_owned(),
            command: command.to_vec(),
            identical: true,
            flows: 0,
            reactions: 0,
            handlers: handlers.into_iter().map(named).collect(),
            changed_flows: Vec::new(),
            changed_flow_count: 0,
            changed: Vec::new(),
            changed_count: 0,
            untold: Vec::new(),
            kept,
        }
    }

    /// Adds what came of one flow; says whether an outcome is another.
    pub fn add(&mut self, flow: FlowResult) -> bool {
        let (reactions, changed) = (self.reactions, self.changed_count);
        for (handler, count) in flow.open {
            self.handler(&handler).open += count;
        }
        for untold in flow.untold {
            self.handler(&untold.about.handler).untold += 1;
            if self.untold.len() < MOST_UNTOLD {
                self.untold.push(untold);
            }
        }
        let mut key = None;
        for judged in flow.judged {
            self.reactions += 1;
            let handler = self.handler(&judged.about.handler);
            *handler.count(judged.verdict) += 1;
            if let Some(now) = judged.now_ms {
                handler.times.1.push(now.as_f64() as f32);
                handler.times.0.extend(judged.then_ms.map(|then| then.as_f64() as f32));
            }
            if judged.verdict == Verdict::Identical {
                continue;
            }
            self.changed_count += 1;
            key.get_or_insert_with(|| judged.about.flow.clone());
            if self.changed.len() < self.kept {
                self.changed.push(judged);
            }
        }
        self.flows += u64::from(self.reactions > reactions);
        if let Some(key) = key {
            self.identical = false;
            self.changed_flow_count += 1;
            if self.changed_flows.len() < self.kept {
                self.changed_flows.push(key);
            }
        }
        self.changed_count > changed
    }

    /// Works out the times, when all flows are in.
    pub fn finish(&mut self) {
        for handler in &mut self.handlers {
            (handler.then, handler.now) = (Quantiles::of(&handler.times.0), Quantiles::of(&handler.times.1));
            handler.times = Default::default();
        }
    }

    fn handler(&mut self, name: &str) -> &mut HandlerReport {
        let index = self.handlers.iter().position(|handler| handler.handler == name).unwrap_or_else(|| {
            self.handlers.push(HandlerReport { handler: name.to_owned(), ..HandlerReport::default() });
            self.handlers.len() - 1
        });
        &mut self.handlers[index]
    }
}

/// What came of one flow.
#[derive(Clone, Debug, Default)]
pub struct FlowResult {
    judged: Vec<Judged>,
    untold: Vec<Untold>,
    open: BTreeMap<String, u64>,
}

impl FlowResult {
    /// Adds a reaction that was run, or was to be.
    pub fn ran(&mut self, reaction: &Reaction, ran: &Ran) {
        let about = reaction.about.clone();
        let (outcome, handle_ms) = match ran {
            Ran::To { outcome, handle_ms } => (outcome, *handle_ms),
            Ran::Not(why) => return self.untold(about, why.clone()),
        };
        let nothing = laban_wire::shadow::Outcome::Emitted(Vec::new());
        let then = match &reaction.then {
            Some(then) => Some(&then.outcome),
            None => reaction.unrecorded.then_some(&nothing),
        };
        let Compared { verdict, changes } = compare(&reaction.flow, then, outcome);
        if reaction.unrecorded && verdict != Verdict::Identical {
            let why = "its handler takes effect at least once, and no record of it is in the flow";
            return self.untold(about, why.to_owned());
        }
        let then_ms = reaction.then.as_ref().map(|then| then.handle_ms);
        self.judged.push(Judged { about, verdict, changes, why: None, then_ms, now_ms: Some(handle_ms) });
    }

    /// Adds a reaction that the build would not make.
    pub fn missing(&mut self, about: About, why: String) {
        let (verdict, changes) = (Verdict::Missing, Vec::new());
        self.judged.push(Judged { about, verdict, changes, why: Some(why), then_ms: None, now_ms: None });
    }

    /// Adds a reaction that cannot be run.
    pub fn untold(&mut self, about: About, why: String) {
        self.untold.push(Untold { about, why });
    }

    /// Adds a reaction of which nothing is recorded yet.
    pub fn open(&mut self, about: &About) {
        *self.open.entry(about.handler.clone()).or_default() += 1;
    }
}
