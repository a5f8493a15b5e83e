//! Whatever fails at whichever step: each reaction takes effect once, and nothing is lost.

use futures_util::future::join_all;
use laban_tests::{Outcome, note};

use crate::account::Shared;
use crate::case::Case;
use crate::run::findings;
use crate::situation::Situation;

/// Runs cases, and says what is wrong with all of them.
async fn survived(cases: Vec<Case>) -> Outcome {
    let shared = Shared::open().await?;
    let cases: Vec<Case> = cases.into_iter().filter(Case::is_wanted).collect();
    let (Some(first), Some(last)) = (cases.first().copied(), cases.last().copied()) else {
        note("none of these cases is asked for by LABAN_FAULTS_CASE");
        return Ok(());
    };
    let (shared, count) = (&shared, cases.len());
    let running = cases.into_iter().map(|case| async move { (case, findings(shared, case, "").await) });
    let mut wrong = Vec::new();
    for (case, result) in join_all(running).await {
        match result {
            Ok(findings) => wrong.extend(findings.into_iter().map(|finding| format!("{case}: {finding}"))),
            Err(failure) => wrong.push(format!("{case}: {failure:?}")),
        }
    }
    if !wrong.is_empty() {
        return Err(format!("of {count} cases:\n{}", wrong.join("\n")).into());
    }
    note(&format!("{count} cases, from {first} to {last}"));
    Ok(())
}

#[tokio::test]
async fn one_event_is_emitted_once() -> Outcome {
    survived(Case::all(Situation::OneEvent)).await
}

#[tokio::test]
async fn three_events_are_emitted_once_and_together() -> Outcome {
    survived(Case::all(Situation::ThreeEvents)).await
}

#[tokio::test]
async fn an_event_that_leads_to_nothing_is_handled_once() -> Outcome {
    survived(Case::all(Situation::NoEvent)).await
}

#[tokio::test]
async fn two_halves_meet_once() -> Outcome {
    survived(Case::all(Situation::Join)).await
}

#[tokio::test]
async fn an_attempt_that_fails_is_noted_once_and_made_again() -> Outcome {
    survived(Case::all(Situation::Retry)).await
}

#[tokio::test]
async fn what_is_refused_is_a_dead_letter_once() -> Outcome {
    survived(Case::all(Situation::DeadLetter)).await
}

#[tokio::test]
async fn a_dead_letter_that_is_handed_back_takes_effect_once() -> Outcome {
    survived(Case::all(Situation::Redrive)).await
}

#[tokio::test]
async fn a_second_death_over_one_event_changes_nothing() -> Outcome {
    survived(Case::all(Situation::AfterACrash)).await
}

#[tokio::test]
async fn what_another_instance_has_done_is_not_done_again() -> Outcome {
    survived(Case::all(Situation::DoneElsewhere)).await
}

#[tokio::test]
async fn what_does_not_follow_in_time_is_followed_by_the_handler_once() -> Outcome {
    survived(Case::all(Situation::Overdue)).await
}

#[tokio::test]
async fn what_came_before_its_deadline_is_found() -> Outcome {
    survived(Case::all(Situation::Answered)).await
}

#[tokio::test]
async fn a_timer_is_stopped() -> Outcome {
    survived(Case::all(Situation::Stopped)).await
}

#[tokio::test]
async fn a_flow_begins_once() -> Outcome {
    survived(Case::all(Situation::Begin)).await
}

#[tokio::test]
async fn an_event_without_a_cause_is_emitted_at_most_once() -> Outcome {
    survived(Case::all(Situation::Emit)).await
}

#[tokio::test]
async fn an_instance_beside_takes_over() -> Outcome {
    let situations = [Situation::OneEvent, Situation::ThreeEvents, Situation::NoEvent, Situation::Join];
    survived(situations.into_iter().flat_map(Case::all_beside).collect()).await
}
