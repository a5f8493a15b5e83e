//! What waits for somebody to decide, or to happen.

use super::super::seen::{Left, Seen};
use super::super::{Finding, Kind, Severity};
use super::{count, wait};

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    let Left { letters, more_letters, overdue, more_flows, .. } = &seen.left;
    let least = |more: &bool| if *more { "at least " } else { "" };
    for (service, letters) in letters {
        found.push(Finding::new(
            Severity::Warning,
            Kind::DeadLetters,
            service,
            format!("{}{} that nobody has decided about", least(more_letters), count(*letters, "dead letter")),
            format!(
                "`laban dead list --service {service}` groups them; `laban dead redrive` hands them back once the cause is \
                 mended, `laban dead discard` gives them up"
            ),
        ));
    }
    for ((service, handler), flows) in overdue {
        found.push(Finding::new(
            Severity::Warning,
            Kind::StuckFlows,
            format!("{service}/{handler}"),
            format!("{}{} for it, and it is overdue", least(more_flows), wait(*flows, "flow")),
            "`laban flow list --state stuck` names them, and what the broker knows of the step that is missing",
        ));
    }
}
