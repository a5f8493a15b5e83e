//! `LABAN_FAULTS`, read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Point;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    pub(super) fence_off: bool,
    pub(super) acks_before_commit: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Fault {
    point: Point,
    action: Action,
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Abort,
    Freeze,
    /// For so long, or for ever.
    Pause(Option<Duration>),
    LoseRequest,
    LateRequest,
    LoseAnswer,
}

#[derive(Debug, PartialEq, Eq)]
enum When {
    Nth(u64),
    Every(u64),
}

impl Plan {
    /// What happens at this point when it is reached for the `hit`th time, from 1.
    pub(super) fn at(&self, point: Point, hit: u64) -> Option<Action> {
        let due = |fault: &&Fault| {
            fault.point == point
                && match fault.when {
                    When::Nth(nth) => hit == nth,
                    When::Every(every) => hit.is_multiple_of(every),
                }
        };
        self.faults.iter().find(due).map(|fault| fault.action)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.split_once('=') {
                Some(("fence", "off")) => plan.fence_off = true,
                Some(("ack", "before-commit")) => plan.acks_before_commit = true,
                Some((point, action)) => plan.faults.push(Fault::parse(point, action)?),
                None => return Err(format!("`{entry}` is not `<point>=<action>`")),
            }
        }
        Ok(plan)
    }
}

impl Fault {
    fn parse(point: &str, action: &str) -> Result<Self, String> {
        let (action, when) = action.split_once('@').map_or((action, None), |(a, when)| (a, Some(when)));
        let fault = Self {
            point: Point::ALL.into_iter().find(|known| known.name() == point).ok_or_else(|| {
                let known = Point::ALL.map(Point::name).join(", ");
                format!(
                    "there is no point `{point}`; there are {known}, and `fence=off`, `ack=before-commit`"
                )
            })?,
            action: action.parse()?,
            when: when.map_or(Ok(When::Nth(1)), str::parse)?,
        };
        let only = match fault.action {
            Action::LoseRequest | Action::LateRequest => Some(Point::BeforeAppend),
            Action::LoseAnswer => Some(Point::AppendSent),
            Action::Abort | Action::Freeze | Action::Pause(_) => None,
        };
        match only {
            Some(only) if only != fault.point => Err(format!("`{action}` goes with `{}` only", only.name())),
            _ => Ok(fault),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "abort" => Self::Abort,
            "freeze" => Self::Freeze,
            "pause" => Self::Pause(None),
            "lose-request" => Self::LoseRequest,
            "late-request" => Self::LateRequest,
            "lose-answer" => Self::LoseAnswer,
            _ => {
                let millis = in_brackets(text, "pause").ok_or_else(|| {
                    format!(
                        "there is no action `{text}`; there are abort, freeze, pause, pause(<ms>), lose-request, \
                         late-request, lose-answer"
                    )
                })?;
                Self::Pause(Some(Duration::from_millis(millis)))
            }
        })
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nth = text.parse().ok().map(Self::Nth);
        let when = nth.or_else(|| in_brackets(text, "every").map(Self::Every));
        when.filter(|when| !matches!(when, Self::Nth(0) | Self::Every(0)))
            .ok_or_else(|| format!("`@{text}` is neither `@<n>` nor `@every(<n>)`, n from 1"))
    }
}

/// The number in `name(number)`.
fn in_brackets(text: &str, name: &str) -> Option<u64> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort => f.write_str("abort"),
            Self::Freeze => f.write_str("freeze"),
            Self::Pause(None) => f.write_str("pause"),
            Self::Pause(Some(time)) => write!(f, "pause({})", time.as_millis()),
            Self::LoseRequest => f.write_str("lose-request"),
            Self::LateRequest => f.write_str("late-request"),
            Self::LoseAnswer => f.write_str("lose-answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_happens_when() {
        let text = "after-append=abort@3, received=pause(2000)@every(2),before-append=freeze,fence=off";
        let plan: Plan = text.parse().unwrap();
        assert!(plan.fence_off && !plan.acks_before_commit);
        let at = |point, hits: [u64; 4]| hits.map(|hit| plan.at(point, hit));
        assert_eq!(at(Point::AfterAppend, [1, 2, 3, 4]), [None, None, Some(Action::Abort), None]);
        let pause = Some(Action::Pause(Some(Duration::from_secs(2))));
        assert_eq!(at(Point::Received, [1, 2, 3, 4]), [None, pause, None, pause]);
        assert_eq!(at(Point::BeforeAppend, [1, 2, 3, 4]), [Some(Action::Freeze), None, None, None]);
        assert_eq!(at(Point::Finished, [1, 2, 3, 4]), [None; 4]);
    }

    #[test]
    fn actions_and_points_are_written_as_they_are_read() {
        for text in ["abort", "freeze", "pause", "pause(20)", "lose-request", "late-request", "lose-answer"] {
            assert_eq!(text.parse::<Action>().unwrap().to_string(), text);
        }
        for point in Point::ALL {
            assert!(format!("{}=abort", point.name()).parse::<Plan>().is_ok(), "{point:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_with_what_would() {
        for (text, hint) in [
            ("abort", "`<point>=<action>`"),
            ("after-lunch=abort", "before-append, append-sent"),
            ("fence=of", "`fence=off`"),
            ("received=explode", "abort, freeze"),
            ("received=pause(2s)", "pause(<ms>)"),
            ("received=abort@0", "n from 1"),
            ("received=abort@every(0)", "n from 1"),
            ("received=abort@often", "`@every(<n>)`"),
            ("received=lose-answer", "goes with `append-sent`"),
            ("append-sent=lose-request", "goes with `before-append`"),
        ] {
            let error = text.parse::<Plan>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
