use laban_flow::{Reactions, TreeStyle};
use laban_wire::EventId;

use crate::history::{History, cancelled, declared, dispatched, give_up, shop};

pub(crate) const PLAIN: TreeStyle = TreeStyle { ascii: false, colour: false };
pub(crate) const ASCII: TreeStyle = TreeStyle { ascii: true, colour: false };

/// Run with `UPDATE_GOLDEN=1` after a change that is meant, and read the difference.
#[track_caller]
pub(crate) fn assert_golden(name: &str, drawn: &str) {
    let path = format!("{}/tests/flow/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, drawn).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(drawn == golden, "golden/{name}.txt differs from what is drawn:\n{drawn}");
}

fn reactions() -> Reactions {
    shop().into_iter().collect()
}

#[test]
fn a_completed_flow() {
    assert_golden("completed", &dispatched("4711").flow(&reactions()).to_tree(PLAIN));
}

#[test]
fn a_compensated_flow() {
    let flow = cancelled("4711").flow(&reactions());
    assert_golden("compensated", &flow.to_tree(PLAIN));
    assert_golden("compensated-ascii", &flow.to_tree(ASCII));
    let coloured = flow.to_tree(TreeStyle { ascii: false, colour: true });
    assert!(coloured.contains("\x1b[33mcompensated\x1b[0m"), "{coloured}");
    let bare = strip(&coloured);
    assert_eq!(bare, flow.to_tree(PLAIN), "colours change no column");
}

#[test]
fn a_flow_whose_deadline_is_awaited() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let reactions = Reactions::from_iter([give_up(), declared("payment", "charge", "order.placed", &[])]);
    assert_golden("deadline", &history.flow(&reactions).to_tree(PLAIN));
}

#[test]
fn everything_that_can_go_wrong() {
    let mut history = History::new("order 1.2 \u{1b}[2J\u{1f980}");
    let placed = history.root("order.placed");
    let again = history.messages[0].headers.get("Laban").unwrap().to_string();
    history.store("order.placed", &[("Laban", &again)], "{}");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    history.pause(3_600_000);
    history.dead("payment", placed, "order.placed", "charge", 2);
    history.retrying("inventory", placed, "order.placed", "reserve", 1);
    let elsewhere = "0199f3c2-0000-7000-8000-00000000ffff".parse().unwrap();
    history.reaction("shipping._handled", elsewhere, "customer.moved", "redirect");
    history.store("order.placed", &[("Laban", "id=?")], "{}");
    history.dead("payment", EventId::of_stored("ORDER", 3), "order.placed", "charge", 0);
    let flow = history.flow(&reactions());
    assert_golden("wrong", &flow.to_tree(PLAIN));
    assert_golden("wrong-ascii", &flow.to_tree(ASCII));
    assert!(flow.to_tree(ASCII).is_ascii());
}

#[test]
fn a_chain_of_any_length_stays_a_page_wide() {
    let mut history = History::new("4711");
    let mut cause = history.root("order.placed");
    for _ in 0..3_000 {
        cause = history.reaction("order.moved", cause, "order.moved", "next");
    }
    let tree = history.flow(&Reactions::default()).to_tree(PLAIN);
    assert_eq!(tree.lines().count(), 3_004);
    assert!(tree.lines().all(|line| line.chars().count() < 250));
    assert!(tree.len() < 1_000_000, "{}", tree.len());
}

#[test]
fn many_awaited_reactions_are_counted() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let many = (0..30).map(|n| declared("payment", &format!("h{n}"), "order.placed", &[]));
    let tree = history.flow(&many.collect()).to_tree(PLAIN);
    assert!(tree.ends_with("awaited: 10 more\n"), "{tree}");
}

fn strip(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        bare += before;
        rest = after.split_once('m').unwrap().1;
    }
    bare + rest
}
