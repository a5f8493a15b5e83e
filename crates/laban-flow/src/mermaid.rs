//! A flow as a sequence diagram for Mermaid, <https://mermaid.js.org>: rendered by GitHub and GitLab in Markdown.

use std::collections::HashMap;
use std::fmt::Write as _;

use laban_wire::{DEAD, DISCARDED, HANDLED, REDRIVE, RETRYING};

use crate::words::{duration, plain, shortened, stamp};
use crate::{Flow, Step};

/// Longer errors are cut.
const LONGEST_NOTE: usize = 120;

impl Flow {
    /// Draws who reacted to what as a sequence diagram: a column a service, an arrow a reaction, in the order of the steps.
    pub fn to_mermaid(&self) -> String {
        let mut text = format!("sequenceDiagram\n    accTitle: flow {}, {}\n", safe(&self.flow), self.state);
        let columns = self.columns();
        let mut names: Vec<_> = columns.iter().collect();
        names.sort_by_key(|(_, column)| **column);
        for (service, column) in names {
            line(&mut text, &format!("participant s{column} as {}", safe(service)));
        }
        let column = |service: &str| columns.get(service).copied().unwrap_or_default();
        for (step, cause) in self.steps.iter().zip(self.causes()) {
            let here = column(&step.service);
            match (cause.map(|cause| &self.steps[cause]), &step.on) {
                (Some(cause), _) => {
                    let what = safe(&cause.full_name());
                    line(&mut text, &format!("s{}{}s{here}: {what}", column(&cause.service), arrow(step)));
                }
                (None, Some(on)) => {
                    line(&mut text, &format!("Note over s{here}: on {}, not found", safe(on.as_str())));
                }
                (None, None) => {}
            }
            line(&mut text, &format!("Note over s{here}: {}", safe(&note(step))));
        }
        for awaited in &self.awaited {
            let from = column(awaited.event.service());
            let here = column(&awaited.service);
            line(&mut text, &format!("s{from}--)s{here}: {}", safe(awaited.event.as_str())));
            let state = match awaited.overdue {
                Some(overdue) => format!("overdue since {}", stamp(overdue.since)),
                None => "awaited".to_owned(),
            };
            line(&mut text, &format!("Note over s{here}: {} {state}", safe(&awaited.handler)));
        }
        for message in &self.unreadable {
            let here = column(message.subject.split('.').next().unwrap_or_default());
            line(&mut text, &format!("Note over s{here}: unreadable: {}", safe(&message.subject)));
        }
        text
    }

    /// The services, in the order in which they come into it.
    fn columns(&self) -> HashMap<&str, usize> {
        let mut columns = HashMap::new();
        let wrote = self.steps.iter().map(|step| step.service.as_str());
        let awaited = self.awaited.iter().flat_map(|one| [one.event.service(), one.service.as_str()]);
        let unreadable = self.unreadable.iter().filter_map(|message| message.subject.split('.').next());
        for service in wrote.chain(awaited).chain(unreadable) {
            let next = columns.len();
            columns.entry(service).or_insert(next);
        }
        columns
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "    {line}");
}

fn arrow(step: &Step) -> &'static str {
    match step.event.as_str() {
        DEAD | RETRYING => "-x",
        REDRIVE | DISCARDED => "--)",
        _ => "->>",
    }
}

fn note(step: &Step) -> String {
    let Some(handler) = &step.handler else { return format!("{} begins", step.full_name()) };
    let attempt = match step.attempt {
        Some(attempt) if attempt > 1 => format!(", attempt {attempt}"),
        _ => String::new(),
    };
    let took = step.handle_ms.map(|ms| format!(", {}", duration(ms.as_f64()))).unwrap_or_default();
    let error = step.error.as_deref().unwrap_or_default();
    let made = match step.event.as_str() {
        HANDLED => "nothing to emit".to_owned(),
        RETRYING => format!("failed: {error}"),
        DEAD => format!("gave up: {error}"),
        REDRIVE | DISCARDED => step.decision().unwrap_or_default(),
        _ => step.full_name(),
    };
    shortened(format!("{handler}{attempt}{took}: {made}"), LONGEST_NOTE, false)
}

/// Text that cannot end a line, begin a comment or become markup.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text, false).chars() {
        match c {
            '#' | ';' | '<' | '>' | '&' | '"' | '%' | '\\' | '`' => {
                let _ = write!(safe, "#{};", u32::from(c));
            }
            _ => safe.push(c),
        }
    }
    safe
}
