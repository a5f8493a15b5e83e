//! The steps are those that were written down, in that order, and every point is one of them.

use laban::FaultPoint as Point;
use laban_tests::Outcome;

use crate::account::{Account, Shared};
use crate::case::{Case, Trouble};
use crate::run::Run;
use crate::script::Script;
use crate::situation::Situation;

#[test]
fn every_point_is_a_step_of_some_situation() {
    for point in Point::ALL {
        let has = |situation: &Situation| situation.steps().contains(&point);
        assert!(Situation::ALL.iter().any(has), "no situation comes to {point:?}: nothing would fail there");
    }
}

#[tokio::test]
async fn the_steps_are_those_that_are_written_down() -> Outcome {
    let shared = Shared::open().await?;
    for situation in Situation::ALL {
        let case = Case::at(situation, situation.steps()[0], 1, Trouble::Abort);
        let run = Run { account: Account::open(&shared).await?, case, switches: "" };
        for upstream in situation.upstream() {
            run.account.make_home(upstream).await?;
        }
        let groups = Script::of(situation, crate::run::FLOW)?.groups;
        let instance = if situation.reacts() {
            let (instance, awaited) = run.begin("", &groups).await?;
            run.until_over(&[&instance], &awaited).await?;
            instance
        } else {
            let instance = run.start("")?;
            instance.until("the event to be taken", async || instance.has_said("done")).await?;
            instance
        };
        let steps: Vec<String> = instance.said().into_iter().filter_map(|said| said.point).collect();
        let expected: Vec<&str> = situation.steps().into_iter().map(Point::name).collect();
        assert_eq!(steps, expected, "{situation:?}");
    }
    Ok(())
}
