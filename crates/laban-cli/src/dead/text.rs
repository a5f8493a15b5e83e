//! Dead letters on a terminal.

use std::fmt::Write as _;

use laban_flow::dead::{Group, Letter, Standing};
use laban_flow::words;

/// Longer errors are cut where there are many.
const LONGEST_ERROR: usize = 160;

/// How text is written.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) ascii: bool,
}

impl Text {
    pub(super) fn for_terminal() -> Self {
        Self { ascii: !crate::terminal::is_utf8() }
    }

    pub(super) fn plain(self, text: &str) -> String {
        words::plain(text, self.ascii)
    }

    fn short(self, error: &str) -> String {
        let error = self.plain(error);
        match error.char_indices().nth(LONGEST_ERROR) {
            None => error,
            Some((end, _)) => format!("{}{}", &error[..end], if self.ascii { "..." } else { "…" }),
        }
    }

    /// A group, in a few lines.
    pub(super) fn group(self, group: &Group) -> String {
        let mut text = String::new();
        let states: Vec<String> = group
            .states
            .iter()
            .filter(|(state, _)| **state != Standing::Open)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let states = if states.is_empty() { String::new() } else { format!("  ({})", states.join(", ")) };
        let Group { service, handler, fingerprint, count, reason, .. } = group;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{count:>7}  {service} {}  {}  {}{states}",
            self.plain(handler),
            reason.as_str(),
            self.plain(fingerprint)
        );
        let _ = writeln!(text, "         {}", self.short(&group.error));
        let _ = writeln!(
            text,
            "         first {}, last {}, {}",
            words::stamp(group.first_at),
            words::stamp(group.last_at),
            group.letter
        );
        let flows: Vec<String> = group.flows.iter().map(|flow| words::quoted(flow, self.ascii)).collect();
        let more = if group.count > flows.len() as u64 { ", ..." } else { "" };
        let _ = writeln!(text, "         flows {}{more}", flows.join(", "));
        text
    }

    /// A letter, in a line.
    pub(super) fn line(self, letter: &Letter) -> String {
        let state = match letter.state {
            Standing::FailedAgain => format!("given up {} times", letter.times),
            state => state.to_string(),
        };
        format!(
            "{:<16}  {state:<16}  {}  {} {}  {}  {}  {}\n",
            letter.place.to_string(),
            words::stamp(letter.last_at),
            letter.service,
            self.plain(&letter.handler),
            words::quoted(&letter.flow.key(), self.ascii),
            self.plain(&letter.fingerprint),
            self.short(&letter.error),
        )
    }

    /// A letter, as part of a sentence.
    pub(super) fn name(self, letter: &Letter) -> String {
        let Letter { place, service, .. } = letter;
        let handler = self.plain(&letter.handler);
        format!("{place} ({service} {handler}, flow {})", words::quoted(&letter.flow.key(), self.ascii))
    }
}

/// `1 dead letter`, `500 dead letters`.
pub(super) fn counted(count: u64) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}
