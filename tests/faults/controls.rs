//! That the check can see: with the protocol taken away, the very cases that are survived otherwise are not.

use laban::FaultPoint as Point;
use laban_tests::Outcome;

use crate::account::Shared;
use crate::case::{Case, Trouble};
use crate::run::findings;
use crate::situation::Situation;

/// Fails unless this is found with the switch, and nothing without it.
async fn found(case: Case, switch: &'static str, expected: &str) -> Outcome {
    let shared = Shared::open().await?;
    let (with, without) = tokio::join!(findings(&shared, case, switch), findings(&shared, case, ""));
    let (with, without) = (with?, without?);
    assert!(
        with.iter().any(|finding| finding.contains(expected)),
        "{case}, {switch}: expected to find {expected:?}, found {with:?}"
    );
    assert_eq!(without, Vec::<String>::new(), "{case}, without {switch}");
    Ok(())
}

/// An instance stands still just before it appends; another does the work; the first goes on.
async fn zombie_without_a_fence(situation: Situation, hit: usize, expected: &str) -> Outcome {
    found(Case::at(situation, Point::BeforeAppend, hit, Trouble::Freeze), "fence=off", expected).await
}

#[tokio::test]
async fn without_the_fence_one_event_is_emitted_twice() -> Outcome {
    zombie_without_a_fence(Situation::OneEvent, 1, "took effect 2 times").await
}

#[tokio::test]
async fn without_the_fence_three_events_are_emitted_twice() -> Outcome {
    zombie_without_a_fence(Situation::ThreeEvents, 1, "took effect 2 times").await
}

#[tokio::test]
async fn without_the_fence_nothing_is_handled_twice() -> Outcome {
    zombie_without_a_fence(Situation::NoEvent, 1, "took effect 2 times").await
}

#[tokio::test]
async fn without_the_fence_two_halves_meet_twice() -> Outcome {
    zombie_without_a_fence(Situation::Join, 2, "joined 2 times").await
}

#[tokio::test]
async fn without_the_fence_a_deadline_passes_twice() -> Outcome {
    zombie_without_a_fence(Situation::Overdue, 2, "took effect 2 times").await
}

#[tokio::test]
async fn without_the_fence_a_flow_begins_twice() -> Outcome {
    zombie_without_a_fence(Situation::Begin, 1, "2 events have no cause").await
}

#[tokio::test]
async fn without_the_fence_a_request_that_is_late_counts() -> Outcome {
    for situation in [Situation::OneEvent, Situation::ThreeEvents] {
        let late = Case::at(situation, Point::BeforeAppend, 1, Trouble::LateRequest);
        found(late, "fence=off", "took effect 2 times").await?;
    }
    Ok(())
}

#[tokio::test]
async fn acknowledged_before_the_commit_an_event_is_lost() -> Outcome {
    for situation in [Situation::OneEvent, Situation::ThreeEvents, Situation::NoEvent] {
        let dies = Case::at(situation, Point::BeforeAppend, 1, Trouble::Abort);
        found(dies, "ack=before-commit", "never took effect").await?;
    }
    Ok(())
}
