//! What will be played, and what was.

use std::time::Duration;

use laban_flow::replay::{Count, Plan, Totals};
use laban_flow::words;

use super::pace::Speed;

pub(super) fn beginning(plan: &Plan, speed: Speed) -> String {
    let streams = plan.parts().iter().filter(|part| part.records > 0).count();
    let speed = match speed {
        Speed::Max => "at full speed".to_owned(),
        Speed::Times(1.0) => "as fast as they were written".to_owned(),
        Speed::Times(times) => format!("{times} times as fast as they were written"),
    };
    format!("{} of {}, {speed}", many(plan.records(), "record"), many(streams as u64, "service"))
}

/// All that was played, then each service's part of it.
pub(super) fn end(totals: &Totals, planned: u64, whole: bool, took: Duration) -> Vec<String> {
    let Totals { all, services, first, last, .. } = totals;
    let played = if whole {
        many(all.records, "record")
    } else {
        format!("so far {} of {}", all.records, many(planned, "record"))
    };
    let (flows, more) = totals.flows();
    let flows = format!("{}{}", if more { "at least " } else { "" }, many(flows as u64, "flow"));
    let mut head = format!("laban: {played} of {flows} in {}", words::duration(took.as_secs_f64() * 1e3));
    if let (Some(first), Some(last)) = (first, last) {
        head += &format!(", {} to {}", words::stamp(*first), words::stamp(*last));
    }
    let mut lines = vec![head + &kinds(all)];
    if services.len() > 1 {
        let width = services.keys().map(|service| service.chars().count()).max().unwrap_or_default();
        let of_each = services.iter().map(|(service, count)| {
            let service = words::plain(service, false);
            format!("  {service:<width$}  {}{}", many(count.records, "record"), kinds(count))
        });
        lines.extend(of_each);
    }
    lines
}

/// Of which kinds they are.
fn kinds(count: &Count) -> String {
    let kinds = [
        (count.events, "event"),
        (count.handled, "reaction without one"),
        (count.retrying, "failed attempt"),
        (count.dead, "dead letter"),
        (count.redriven, "redrive"),
        (count.unreadable, "unreadable message"),
    ];
    let named: Vec<String> =
        kinds.into_iter().filter(|(n, _)| *n > 0).map(|(n, kind)| many(n, kind)).collect();
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

fn many(number: u64, what: &str) -> String {
    match (number, what.split_once(' ')) {
        (1, _) => format!("1 {what}"),
        (_, Some(("reaction", rest))) => format!("{number} reactions {rest}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_many() {
        assert_eq!(
            [many(1, "record"), many(0, "record"), many(7, "dead letter")],
            ["1 record", "0 records", "7 dead letters"]
        );
        let count = Count { records: 4, events: 1, handled: 2, dead: 1, ..Count::default() };
        assert_eq!(kinds(&count), ": 1 event, 2 reactions without one, 1 dead letter");
        assert_eq!(kinds(&Count::default()), "");
    }
}
