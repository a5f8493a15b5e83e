use std::path::{Path, PathBuf};

use laban_flow::replay::shadow::Report;

use crate::{Failure, terminal};

/// How the report is written.
#[derive(clap::Args)]
pub(super) struct Output {
    /// What the report is written as
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write the report into this file, and one line about it to standard error
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a reader; the first differences in full
    Text,
    /// All of it, for programs
    Json,
    /// One page that needs nothing else
    Html,
}

/// How many reactions with another outcome a report for readers keeps.
const KEPT: usize = 1_000;

impl Output {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// How many reactions are told in full.
    pub(super) fn kept(&self) -> usize {
        if self.format() == Format::Json { usize::MAX } else { KEPT }
    }

    /// Whether it can be written: found out before anything is run.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(file) = &self.output else { return Ok(()) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() || file.is_dir() {
            return Err(Failure::Usage(format!(
                "{} cannot be written: no such folder, or a folder itself",
                file.display()
            )));
        }
        Ok(())
    }

    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        let colour = self.output.is_none() && terminal::has_colours();
        let text = match self.format() {
            Format::Text => report.to_text(colour, !terminal::is_utf8()),
            Format::Html => report.to_html(),
            Format::Json => {
                serde_json::to_string_pretty(report)
                    .map_err(|error| Failure::NotDone(format!("cannot write the report as JSON: {error}")))?
                    + "\n"
            }
        };
        let Some(file) = &self.output else { return terminal::print(&text) };
        std::fs::write(file, text)
            .map_err(|error| Failure::NotDone(format!("cannot write {}: {error}", file.display())))?;
        terminal::say(&format!("laban: {}; see {}", report.summary(), file.display()));
        Ok(())
    }
}
