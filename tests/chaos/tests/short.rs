//! A short form of the chaos run, with fixed seeds. What is drawn is fixed by them, what it meets is not: a failure here
//! is a finding, whether or not the next run has it too. The logs are kept in `target/chaos-short`.

use std::path::Path;
use std::time::Duration;

use demo::Progress;
use laban_chaos::{Fence, Profile, Report, Settings, Verdict, run};
use laban_tests::Outcome;
use tokio::sync::Mutex;

/// One run at a time: each is a dozen processes.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn short(seed: u64, profile: Profile, fence: Fence) -> Outcome<Report> {
    let _alone = ALONE.lock().await;
    let name = format!("{seed}-{profile:?}-{fence:?}").to_lowercase();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos").join(name);
    let duration = Duration::from_secs(25);
    // How soon everything ends, the machine decides: it is a figure of the long form.
    let settings = Settings { seed, flows: 200, duration, profile, fence, calm: None, dir };
    run(&settings, Progress::Silent).await
}

/// Nothing is wrong. How much was met in so short a time, is another matter.
#[track_caller]
fn assert_clean(report: &Report) {
    let violations: Vec<&str> = report.violations().collect();
    assert!(violations.is_empty(), "{}", report.text());
    assert!(report.orders.accepted > 100 && report.counts.redeliveries > 0, "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_fire_in_a_cluster_everything_takes_effect_once() -> Outcome {
    assert_clean(&short(1, Profile::Cluster, Fence::On).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_fire_on_one_broker_everything_takes_effect_once() -> Outcome {
    assert_clean(&short(2, Profile::Single, Fence::On).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_fence_it_is_caught() -> Outcome {
    let report = short(3, Profile::Single, Fence::Off).await?;
    assert_eq!(report.verdict(), Verdict::Good, "{}", report.text());
    assert!(report.counts.reacted_twice > 0, "{}", report.text());
    Ok(())
}
