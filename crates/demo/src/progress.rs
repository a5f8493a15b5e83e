//! What is going on, on standard error: bars on a terminal, lines elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a stage speaks up where there is no terminal.
const LINES: Duration = Duration::from_secs(5);

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On a terminal, as bars.
    Bars,
    /// As plain lines.
    Lines,
    /// Nowhere.
    Silent,
}

/// Something that takes a while.
pub struct Stage {
    progress: Progress,
    bar: ProgressBar,
    what: String,
    of: u64,
    begun: Instant,
    told: Cell<Instant>,
}

impl Progress {
    /// Bars if standard error is a terminal, lines otherwise.
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }

    /// Says something.
    pub fn say(self, line: &str) {
        if self != Self::Silent {
            // Nobody is left to tell when standard error is closed too.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Begins something that takes `of` steps; 0 when that is not known.
    pub fn stage(self, what: impl Into<String>, of: u64) -> Stage {
        let what = what.into();
        let bar = match self {
            Self::Bars if of == 0 => ProgressBar::new_spinner(),
            Self::Bars => ProgressBar::new(of).with_style(style()),
            Self::Lines | Self::Silent => ProgressBar::hidden(),
        };
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        if self == Self::Lines {
            self.say(&format!("{what} ..."));
        }
        let now = Instant::now();
        Stage { progress: self, bar, what, of, begun: now, told: Cell::new(now) }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Stage {
    /// So many steps are done.
    pub fn at(&self, done: u64) {
        self.bar.set_position(done);
        if self.progress == Progress::Lines && self.told.get().elapsed() > LINES {
            self.told.set(Instant::now());
            self.progress.say(&format!("{}: {done} of {}", self.what, self.of));
        }
    }

    /// Shows other words while it goes on.
    pub fn note(&self, words: &str) {
        self.bar.set_message(format!("{}: {words}", self.what));
        if self.progress == Progress::Lines {
            self.progress.say(&format!("{}: {words}", self.what));
        }
    }

    /// It is done: leaves one line.
    pub fn done(self, said: &str) {
        self.bar.finish_and_clear();
        let took = self.begun.elapsed().as_secs_f64();
        self.progress.say(&format!("{said} ({took:.1} s)"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
