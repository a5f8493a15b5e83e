//! The report as text.

use std::fmt::{self, Write as _};

use super::{Change, Judged, Quantiles, Report, Verdict};
use crate::words::{plain, quoted, shortened};

/// So many reactions are shown in full.
const SHOWN: usize = 20;
/// So much of a value is shown.
const WIDE: usize = 60;
/// So many places of one reaction are shown.
const PLACES: usize = 12;

impl Report {
    /// The report for a reader, in colour by ANSI escape sequences or not.
    pub fn to_text(&self, colour: bool, ascii: bool) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = Text { report: self, colour, ascii }.write(&mut text);
        text
    }

    /// How many reactions were not compared.
    fn not_compared(&self) -> (u64, u64) {
        let sum = |of: fn(&super::HandlerReport) -> u64| self.handlers.iter().map(of).sum();
        (sum(|handler| handler.untold), sum(|handler| handler.open))
    }

    /// What it comes to, in a line.
    pub fn summary(&self) -> String {
        let (untold, open) = self.not_compared();
        let mut line = if self.identical {
            format!("identical: all {} in {}", count(self.reactions, "reaction"), count(self.flows, "flow"))
        } else {
            format!(
                "different: {} of {} in {} of {}",
                self.changed_count,
                count(self.reactions, "reaction"),
                self.changed_flow_count,
                count(self.flows, "flow")
            )
        };
        if untold > 0 {
            let _ = write!(line, "; {untold} could not be run");
        }
        if open > 0 {
            let _ = write!(line, "; {open} without an outcome yet");
        }
        line
    }
}

pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `1.2 / 8.4`, the two quantiles.
pub(super) fn times(quantiles: Option<Quantiles>) -> String {
    quantiles.map_or_else(|| "-".to_owned(), |q| format!("{:.1} / {:.1}", q.p50_ms, q.p99_ms))
}

/// What it says of the times.
pub(super) const TIMES: &str = "Handling times (p50 / p99, ms) are of different circumstances: then with the real outside \
                                world and the load of the day, now with what stands for it.";

struct Text<'r> {
    report: &'r Report,
    colour: bool,
    ascii: bool,
}

impl Text<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        self.table(text)?;
        let Report { changed, changed_count, .. } = self.report;
        for judged in changed.iter().take(SHOWN) {
            self.judged(text, judged)?;
        }
        let more = changed_count.saturating_sub(changed.len().min(SHOWN) as u64);
        if more > 0 {
            writeln!(text, "\nand {more} more; --format json has them all, --format html more of them")?;
        }
        self.untold(text)?;
        let code = if self.report.identical { "32" } else { "31" };
        writeln!(text, "\n{}", self.paint(code, &self.report.summary()))
    }

    fn table(&self, text: &mut String) -> fmt::Result {
        const HEAD: [&str; 10] = [
            "handler",
            "identical",
            "different",
            "missing",
            "new",
            "failed",
            "not run",
            "open",
            "then",
            "now",
        ];
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.report.handlers.iter().map(|one| {
            let numbers =
                [one.identical, one.different, one.missing, one.new, one.failed, one.untold, one.open];
            let [a, b, c, d, e, f, g] = numbers.map(|number| number.to_string());
            [plain(&one.handler, self.ascii), a, b, c, d, e, f, g, times(one.then), times(one.now)]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        for (index, row) in rows.iter().enumerate() {
            let mut line = format!("{:<1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                let _ = write!(line, "  {cell:>width$}");
            }
            writeln!(text, "{}", if index == 0 { self.paint("1", line.trim_end()) } else { line })?;
        }
        writeln!(text, "{}", self.paint("2", TIMES))
    }

    fn judged(&self, text: &mut String, judged: &Judged) -> fmt::Result {
        let Judged { about, verdict, changes, why, .. } = judged;
        let place = match (&about.stream, about.seq) {
            (Some(stream), Some(seq)) => format!(" ({stream} {seq})"),
            _ => String::new(),
        };
        let code = if *verdict == Verdict::New { "33" } else { "31" };
        writeln!(
            text,
            "\n{} {}  {}, on {}{place}",
            self.paint(code, verdict.as_str()),
            self.paint("1", &quoted(&about.flow, self.ascii)),
            plain(&about.handler, self.ascii),
            about.on,
        )?;
        if let Some(why) = why {
            writeln!(text, "  {}", plain(why, self.ascii))?;
        }
        for change in changes.iter().take(PLACES) {
            self.change(text, change)?;
        }
        match changes.len().saturating_sub(PLACES) {
            0 => Ok(()),
            more => writeln!(text, "  and {more} more places"),
        }
    }

    fn change(&self, text: &mut String, change: &Change) -> fmt::Result {
        let side = |value: &Option<serde_json::Value>| match value {
            None => "(nothing)".to_owned(),
            Some(value) => shortened(plain(&value.to_string(), self.ascii), WIDE, self.ascii),
        };
        let arrow = if self.ascii { "->" } else { "→" };
        let at = plain(&change.at, self.ascii);
        writeln!(text, "  {at}  {} {arrow} {}", side(&change.was), side(&change.now))
    }

    /// Reasons why reactions were not run, each once for its handler.
    fn untold(&self, text: &mut String) -> fmt::Result {
        let mut said: Vec<(&str, &str)> = Vec::new();
        for one in &self.report.untold {
            let what = (one.about.handler.as_str(), one.why.as_str());
            if said.contains(&what) || said.len() == SHOWN {
                continue;
            }
            said.push(what);
            writeln!(
                text,
                "\nnot run  {}, as in flow {}: {}",
                plain(what.0, self.ascii),
                quoted(&one.about.flow, self.ascii),
                plain(what.1, self.ascii)
            )?;
        }
        Ok(())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
