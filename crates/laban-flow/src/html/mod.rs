//! A flow as one page that needs nothing else: no scripts, no fonts, no network. To be attached to a bug report.

mod bars;

use std::fmt::{self, Write as _};

use crate::timeline::Scale;
use crate::words::{duration, plain, stamp};
use crate::{Flow, State, Step};

const STYLE: &str = include_str!("style.css");

impl Flow {
    /// The flow as a page of HTML: how it stands, when each step was, every step in full, and the JSON.
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = self.write_html(&mut page);
        page
    }

    fn write_html(&self, page: &mut String) -> fmt::Result {
        let key = safe(&self.flow);
        begin(page, &format!("Flow {key}: {}", self.state))?;
        self.html_head(page, &key)?;
        self.troubles(page)?;
        writeln!(page, "<h2>In time</h2>")?;
        let timeline = self.timeline();
        bars::write(self, &timeline, &Scale::of(&timeline), page)?;
        self.table(page)?;
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        writeln!(page, "<details><summary>JSON</summary>\n<pre>{}</pre></details>", safe(&unturned(&json)))?;
        writeln!(page, "<footer>Rebuilt from the streams by laban {}.</footer>", env!("CARGO_PKG_VERSION"))
    }

    fn html_head(&self, page: &mut String, key: &str) -> fmt::Result {
        let last = self.steps.iter().map(|step| step.at).max().unwrap_or(self.started_at);
        let took = duration((last - self.started_at).as_seconds_f64() * 1e3);
        let so_far = if self.ended_at.is_some() { "" } else { " so far" };
        write!(
            page,
            "<header><h1>Flow {key} <span class=\"state {0}\">{0}</span></h1>\n<p>{took}{so_far}, started {1}, {2} \
             records",
            self.state,
            stamp(self.started_at),
            self.steps.len() + self.unreadable.len(),
        )?;
        for trace in self.traces() {
            write!(page, ", trace <code>{}</code>", safe(trace))?;
        }
        writeln!(page, "</p></header>")
    }

    /// What is missing or went wrong, before anything else.
    fn troubles(&self, page: &mut String) -> fmt::Result {
        let mut lines: Vec<(&str, String)> = Vec::new();
        for letter in self.dead_letters() {
            let who = format!("{} {}", letter.service, letter.handler.as_deref().unwrap_or_default());
            let error = letter.error.as_deref().unwrap_or_default();
            lines.push(("bad", format!("{who} gave up: {error}")));
        }
        for (one, overdue) in self.overdue() {
            let who = format!("{} {}, on {}", one.service, one.handler, one.event);
            lines.push((
                "bad",
                format!("{who}: overdue since {}, {}", stamp(overdue.since), overdue.why.as_str()),
            ));
        }
        for one in self.awaited.iter().filter(|one| one.overdue.is_none()) {
            let until =
                one.next_at.or(one.due_at).map(|at| format!(", due {}", stamp(at))).unwrap_or_default();
            lines
                .push(("wait", format!("{} {}, on {}: awaited{until}", one.service, one.handler, one.event)));
        }
        for message in &self.unreadable {
            lines
                .push(("bad", format!("{} {}: unreadable: {}", message.stream, message.seq, message.reason)));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let title = if self.state == State::Running { "Awaited" } else { "What is missing" };
        writeln!(page, "<h2>{title}</h2>\n<ul class=\"troubles\">")?;
        for (class, line) in lines {
            writeln!(page, "<li class=\"{class}\">{}</li>", safe(&line))?;
        }
        writeln!(page, "</ul>")
    }

    fn table(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "<h2>Step by step</h2>\n<div class=\"wide\"><table>\n<tr><th>event<th>handler<th>try<th>queued<th>handled\
             <th>at<th>stored<th>id</tr>"
        )?;
        let mut depths: Vec<usize> = Vec::with_capacity(self.steps.len());
        for (step, cause) in self.steps.iter().zip(self.causes()) {
            let depth = cause.map_or(0, |cause| depths[cause] + 1);
            depths.push(depth);
            self.line(page, step, depth)?;
        }
        writeln!(page, "</table></div>")
    }

    fn line(&self, page: &mut String, step: &Step, depth: usize) -> fmt::Result {
        let ms = |ms: Option<laban_wire::Millis>| ms.map(|ms| duration(ms.as_f64())).unwrap_or_default();
        let class = match () {
            () if step.error.is_some() => "bad",
            () if step.is_system() => "system",
            () => "event",
        };
        write!(
            page,
            "<tr class=\"{class}\"><td style=\"padding-left:{:.1}em\">{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td \
             class=\"n\">{}<td class=\"n\">+{}<td>{} {}<td><code>{}</code></tr>",
            0.5 + depth.min(30) as f64 * 1.2,
            safe(&step.full_name()),
            safe(step.handler.as_deref().unwrap_or_default()),
            step.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
            ms(step.queue_ms),
            ms(step.handle_ms),
            duration(self.since_start(step).max(0.0)),
            safe(&step.stream),
            step.seq,
            step.id,
        )?;
        if let Some(error) = &step.error {
            write!(page, "<tr class=\"bad\"><td colspan=\"8\" class=\"error\">{}</tr>", safe(error))?;
        }
        writeln!(page)
    }
}

/// JSON whose text cannot turn lines around: what [`safe`] would escape in a way of its own, escaped in JSON's.
fn unturned(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => text.push(c),
            _ if plain(c.encode_utf8(&mut [0; 4]), false).chars().ne([c]) => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text
}

/// Begins a page that needs nothing else, and may load nothing else. The title is safe already.
pub(crate) fn begin(page: &mut String, title: &str) -> fmt::Result {
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n"
    )
}

/// Text from elsewhere, as text.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        for c in plain(line, false).chars() {
            match c {
                '&' => safe.push_str("&amp;"),
                '<' => safe.push_str("&lt;"),
                '>' => safe.push_str("&gt;"),
                '"' => safe.push_str("&quot;"),
                '\'' => safe.push_str("&#39;"),
                _ => safe.push(c),
            }
        }
        safe.push_str(end);
    }
    safe
}
