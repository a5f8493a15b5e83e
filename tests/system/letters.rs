//! What several suites expect of dead letters.

use std::time::Duration;

use demo::History;
use laban_flow::{Flow, State};
use laban_testkit::wait;
use laban_tests::Outcome;
use laban_wire::FlowId;

/// Those who react to `order.placed`; `order` itself when its deadline has passed, unless it cannot even be read.
const READERS: [&str; 4] = ["inventory", "notification", "order", "payment"];
const SOON: Duration = Duration::from_secs(60);

/// Waits until each reader has a dead letter for this flow, and looks for `hint` in the reason of each.
pub(crate) async fn assert_dead(history: &mut History, key: &str, hint: &str) -> Outcome<Flow> {
    let id = FlowId::new(key)?;
    let mut last = None;
    let dead = wait::until("a dead letter of each reader", SOON, async || {
        if history.read_on().await.is_ok() {
            last = history.flow(&id);
        }
        last.as_ref().is_some_and(|flow| flow.dead_letters().count() == READERS.len())
    });
    let dead = dead.await;
    let flow = last.ok_or_else(|| format!("flow {key:?}: no stream has a record of it"))?;
    let mut readers: Vec<&str> = flow.dead_letters().map(|step| step.service.as_str()).collect();
    readers.sort_unstable();
    assert!(
        dead.is_ok(),
        "flow {key:?}: expected dead letters of {READERS:?}, there are those of {readers:?}"
    );
    assert_eq!((readers.as_slice(), flow.state), (&READERS[..], State::Dead), "flow {key:?}");
    for letter in flow.dead_letters() {
        let reason = letter.error.as_deref().unwrap_or_default();
        assert!(reason.contains(hint), "flow {key:?}: expected {hint:?} in the reason, it is {reason:?}");
    }
    Ok(flow)
}
