//! The report as one page that needs nothing else: no scripts, no fonts, no network.

use std::fmt::{self, Write as _};

use super::text::{TIMES, count, times};
use super::{Judged, Report};
use crate::html::{self, safe};
use crate::words::shortened;

/// So many reactions are shown.
const SHOWN: usize = 1_000;
/// So much of a value is shown.
const WIDE: usize = 400;

impl Report {
    /// The report as a page of HTML.
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        // Writing to a String does not fail.
        let _ = self.write_html(&mut page);
        page
    }

    fn write_html(&self, page: &mut String) -> fmt::Result {
        let (service, summary) = (safe(&self.service), safe(&self.summary()));
        let (class, word) = if self.identical { ("completed", "identical") } else { ("dead", "different") };
        html::begin(page, &format!("Shadow of {service}: {word}"))?;
        write!(
            page,
            "<header><h1>Shadow of {service} <span class=\"state {class}\">{word}</span></h1>\n<p>{summary}</p>\n\
             <p><code>{}</code></p></header>\n",
            safe(&self.command.join(" ")),
        )?;
        self.html_handlers(page)?;
        self.html_changed(page)?;
        self.html_untold(page)?;
        writeln!(page, "<footer>Compared with the streams by laban {}.</footer>", env!("CARGO_PKG_VERSION"))
    }

    fn html_handlers(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "<h2>Handlers</h2>\n<div class=\"wide\"><table>\n<tr><th>handler<th>identical<th>different<th>missing<th>new\
             <th>failed<th>not run<th>open<th>then<th>now</tr>"
        )?;
        for one in &self.handlers {
            write!(page, "<tr><td>{}", safe(&one.handler))?;
            for (number, is_bad) in [
                (one.identical, false),
                (one.different, true),
                (one.missing, true),
                (one.new, true),
                (one.failed, true),
                (one.untold, false),
                (one.open, false),
            ] {
                let bad = if is_bad && number > 0 { " dead" } else { "" };
                write!(page, "<td class=\"n{bad}\">{number}")?;
            }
            writeln!(page, "<td class=\"n\">{}<td class=\"n\">{}</tr>", times(one.then), times(one.now))?;
        }
        writeln!(page, "</table></div>\n<p>{}</p>", safe(TIMES))
    }

    fn html_changed(&self, page: &mut String) -> fmt::Result {
        if self.changed_count == 0 {
            return Ok(());
        }
        writeln!(page, "<h2>{} with another outcome</h2>", count(self.changed_count, "reaction"))?;
        writeln!(
            page,
            "<div class=\"wide\"><table>\n<tr><th>flow<th>handler<th>on<th>verdict<th>where<th>then<th>now</tr>"
        )?;
        for judged in self.changed.iter().take(SHOWN) {
            html_judged(page, judged)?;
        }
        writeln!(page, "</table></div>")?;
        match self.changed_count.saturating_sub(self.changed.len().min(SHOWN) as u64) {
            0 => Ok(()),
            more => writeln!(page, "<p>And {more} more; the JSON form of the report has them all.</p>"),
        }
    }

    fn html_untold(&self, page: &mut String) -> fmt::Result {
        if self.untold.is_empty() {
            return Ok(());
        }
        writeln!(page, "<h2>Not run</h2>\n<ul class=\"troubles\">")?;
        for one in &self.untold {
            let (flow, handler) = (safe(&one.about.flow), safe(&one.about.handler));
            writeln!(page, "<li>{flow}: {handler}, on {}: {}</li>", one.about.on, safe(&one.why))?;
        }
        writeln!(page, "</ul>")
    }
}

fn html_judged(page: &mut String, judged: &Judged) -> fmt::Result {
    let Judged { about, verdict, changes, why, .. } = judged;
    let rows = changes.len().max(1);
    let place = match (&about.stream, about.seq) {
        (Some(stream), Some(seq)) => format!(" <code>{} {seq}</code>", safe(stream)),
        _ => String::new(),
    };
    write!(
        page,
        "<tr><td rowspan=\"{rows}\">{}<td rowspan=\"{rows}\">{}<td rowspan=\"{rows}\">{}{place}<td rowspan=\"{rows}\">{}",
        safe(&about.flow),
        safe(&about.handler),
        about.on,
        verdict.as_str(),
    )?;
    if changes.is_empty() {
        return writeln!(page, "<td colspan=\"3\">{}</tr>", safe(why.as_deref().unwrap_or_default()));
    }
    let side = |value: &Option<serde_json::Value>| match value {
        None => "<td>".to_owned(),
        Some(value) => format!("<td><code>{}</code>", safe(&shortened(value.to_string(), WIDE, false))),
    };
    for (index, change) in changes.iter().enumerate() {
        let row = if index == 0 { "" } else { "<tr>" };
        let (was, now) = (side(&change.was), side(&change.now));
        writeln!(page, "{row}<td><code>{}</code>{was}{now}</tr>", safe(&change.at))?;
    }
    Ok(())
}
