use crate::State;

/// What a line is about: it decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    System,
    Retrying,
    Dead,
    Awaited,
    Overdue,
    Unreadable,
}

/// ANSI colours, or none.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    pub(crate) on: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with(BOLD, text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with(DIM, text)
    }

    pub(crate) fn waiting(self, text: &str) -> String {
        self.with(CYAN, text)
    }

    pub(crate) fn overdue(self, text: &str) -> String {
        self.with(RED, text)
    }

    pub(crate) fn state(self, state: State, text: &str) -> String {
        let code = match state {
            State::Running => CYAN,
            State::Completed => GREEN,
            State::Compensated => YELLOW,
            State::Dead | State::Stuck => RED,
        };
        self.with(code, text)
    }

    pub(crate) fn row(self, kind: Kind, text: &str) -> String {
        match kind {
            Kind::Event => text.to_owned(),
            Kind::System => self.with(DIM, text),
            Kind::Retrying => self.with(YELLOW, text),
            Kind::Dead | Kind::Overdue | Kind::Unreadable => self.with(RED, text),
            Kind::Awaited => self.with(CYAN, text),
        }
    }
}
