//! The cases: each situation, at each of its steps, with each trouble that makes sense there.

use std::fmt;
use std::ops::RangeInclusive;

use laban::FaultPoint as Point;

use crate::instance::ACK_WAIT;
use crate::situation::{Situation, Writes};

/// What goes wrong, and who is there to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The instance dies; another is started after it.
    Abort,
    /// The instance dies; another works beside it, before and after.
    AbortBeside,
    /// The instance stands still until another has done its work, and goes on then.
    Freeze,
    /// The delivery waits, with no sign of life, for longer than the broker does; another instance is there.
    Pause,
    /// The append never leaves, and nobody says so.
    LoseRequest,
    /// The append leaves after the next one was answered.
    LateRequest,
    /// The answer to the append never comes.
    LoseAnswer,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) situation: Situation,
    /// Which of its steps.
    step: usize,
    pub(crate) trouble: Trouble,
}

impl Case {
    /// All cases of a situation.
    pub(crate) fn all(situation: Situation) -> Vec<Self> {
        let mut cases = Vec::new();
        for step in 0..situation.steps().len() {
            let mut add = |trouble| cases.push(Self { situation, step, trouble });
            add(Trouble::Abort);
            add(Trouble::Freeze);
            match situation.steps()[step] {
                Point::BeforeAppend => {
                    add(Trouble::LoseRequest);
                    // Who finds the work done does not append again, and the request would be late for ever.
                    if situation != Situation::DoneElsewhere {
                        add(Trouble::LateRequest);
                    }
                }
                Point::AppendSent => add(Trouble::LoseAnswer),
                _ => {}
            }
            if situation == Situation::OneEvent {
                add(Trouble::Pause);
            }
        }
        cases
    }

    /// Those of an instance that dies beside another: at each point once.
    pub(crate) fn all_beside(situation: Situation) -> Vec<Self> {
        let cases =
            (0..situation.steps().len()).map(|step| Self { situation, step, trouble: Trouble::AbortBeside });
        cases.filter(|case| case.hit() == 1).collect()
    }

    /// The one at this point, which is reached for the `hit`th time.
    pub(crate) fn at(situation: Situation, point: Point, hit: usize, trouble: Trouble) -> Self {
        let steps = situation.steps();
        let mut same = (0..steps.len()).filter(|step| steps[*step] == point);
        let step = same.nth(hit - 1).unwrap_or_else(|| panic!("{situation:?} has no {point:?} number {hit}"));
        Self { situation, step, trouble }
    }

    /// Whether it is among those asked for: all, unless `LABAN_FAULTS_CASE` is a part of some names.
    pub(crate) fn is_wanted(&self) -> bool {
        let wanted = std::env::var("LABAN_FAULTS_CASE").unwrap_or_default();
        self.to_string().contains(&wanted)
    }

    pub(crate) fn point(&self) -> Point {
        self.situation.steps()[self.step]
    }

    /// How often the point is reached until then.
    pub(crate) fn hit(&self) -> usize {
        self.steps_so_far().filter(|point| *point == self.point()).count()
    }

    fn steps_so_far(&self) -> impl Iterator<Item = Point> {
        self.situation.steps().into_iter().take(self.step + 1)
    }

    /// What goes wrong there, as `LABAN_FAULTS` has it.
    pub(crate) fn action(&self) -> String {
        match self.trouble {
            Trouble::Abort | Trouble::AbortBeside => "abort".to_owned(),
            Trouble::Freeze => "freeze".to_owned(),
            Trouble::Pause => format!("pause({})", (ACK_WAIT * 2).as_millis()),
            Trouble::LoseRequest => "lose-request".to_owned(),
            Trouble::LateRequest => "late-request".to_owned(),
            Trouble::LoseAnswer => "lose-answer".to_owned(),
        }
    }

    pub(crate) fn faults(&self) -> String {
        format!("{}={}@{}", self.point().name(), self.action(), self.hit())
    }

    /// How many attempts must be noted as come to nothing when all is over.
    pub(crate) fn notes(&self) -> RangeInclusive<usize> {
        let writes = self.situation.writes();
        let notes = |writes: &[Writes]| writes.iter().filter(|one| **one == Writes::Note).count();
        match self.trouble {
            Trouble::LoseRequest | Trouble::LateRequest | Trouble::LoseAnswer => {
                notes(writes)..=notes(writes)
            }
            // Which of its deliveries it died over depends on who got which; there are two at most.
            Trouble::AbortBeside => 0..=2,
            Trouble::Abort | Trouble::Freeze | Trouble::Pause => {
                let appended = self.steps_so_far().filter(|point| *point == Point::AfterAppend).count();
                let sure = self.notes_after(appended);
                // On its way, it took place or did not.
                let sent = self.point() == Point::AppendSent && appended < writes.len();
                let perhaps = if sent { self.notes_after(appended + 1) } else { sure };
                // The broker may have delivered once more to one that stood still, or before it knew of a death.
                let again = matches!(self.situation, Situation::Retry | Situation::Join | Situation::Overdue);
                let more = usize::from(self.trouble != Trouble::Abort || again);
                // One that only waits may be done before anybody notes that it was missed.
                let least = if self.trouble == Trouble::Pause { 0 } else { sure.min(perhaps) };
                least..=sure.max(perhaps) + more
            }
        }
    }

    /// How many there will be when the instance stops there, and so many appends took place.
    fn notes_after(&self, appended: usize) -> usize {
        let writes = &self.situation.writes()[..appended];
        let notes = writes.iter().filter(|one| **one == Writes::Note).count();
        let nth = self.steps_so_far().filter(|point| *point == Point::Received).count();
        // Joined events are delivered each for itself; what the first one wrote settles nothing of the second.
        let settled = match self.situation {
            Situation::Join => appended >= nth,
            Situation::DoneElsewhere => true,
            _ => writes.contains(&Writes::Outcome),
        };
        // More deliveries than attempts on record: one of them vanished.
        let vanished = self.situation.reacts() && !settled && self.situation.delivered(nth) > notes;
        notes + usize::from(vanished)
    }

    /// How many timers may be left when all is over: one that is set after what stops it waits for its time.
    pub(crate) fn timers(&self) -> RangeInclusive<u64> {
        let armed = self.steps_so_far().filter(|point| *point == Point::Finished).count() > 0;
        0..=u64::from(self.situation == Situation::Stopped && !armed)
    }

    /// How often an emitter's event must be there when all is over.
    pub(crate) fn roots(&self) -> RangeInclusive<usize> {
        let sent = |point| self.steps_so_far().any(|reached| reached == point);
        match (self.situation, self.trouble) {
            (Situation::Begin, _) => 1..=1,
            // Nobody emits again for one that died.
            (Situation::Emit, Trouble::Abort) => {
                usize::from(sent(Point::AfterAppend))..=usize::from(sent(Point::AppendSent))
            }
            // The other instance emits one of its own.
            (Situation::Emit, Trouble::Freeze) => 2..=2,
            (Situation::Emit, _) => 1..=1,
            _ => 0..=0,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trouble = match self.trouble {
            Trouble::AbortBeside => "abort-beside-another".to_owned(),
            Trouble::Pause => "pause".to_owned(),
            _ => self.action(),
        };
        write!(f, "{}/{}@{}/{trouble}", self.situation.name(), self.point().name(), self.hit())
    }
}
