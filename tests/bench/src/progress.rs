//! What is going on, on standard error: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    terminal: bool,
}

/// Something that takes a while.
pub(crate) struct Stage {
    bar: ProgressBar,
    what: &'static str,
    terminal: bool,
    begun: Instant,
}

impl Progress {
    /// A bar if standard error is a terminal, lines otherwise.
    pub(crate) fn detect() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    /// Says a line.
    pub(crate) fn say(self, line: &str) {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Begins something that takes `of` steps.
    pub(crate) fn stage(self, what: &'static str, of: usize) -> Stage {
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = match self.terminal {
            true => ProgressBar::new(of as u64).with_style(style),
            false => ProgressBar::hidden(),
        };
        bar.set_message(what);
        Stage { bar, what, terminal: self.terminal, begun: Instant::now() }
    }
}

impl Stage {
    /// What runs now.
    pub(crate) fn at(&self, round: usize, rounds: usize, what: &dyn std::fmt::Display) {
        self.bar.set_message(format!("{}: round {} of {rounds}: {what}", self.what, round + 1));
    }

    /// One step is done.
    pub(crate) fn step(&self, said: &str) {
        self.bar.inc(1);
        if !self.terminal {
            let _ = writeln!(std::io::stderr(), "{}: {said}", self.what);
        }
    }

    /// All are.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
        let seconds = self.begun.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "{} done ({seconds:.0} s)", self.what);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
