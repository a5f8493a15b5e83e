use std::time::{Duration, Instant};

use laban_testkit::{Error, Process, Signal, wait};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Result<Process, Error> {
    Process::builder("sh").args(["-c", script]).name("script").spawn()
}

/// Signal 0 asks whether a process is there.
fn exists(pid: u32) -> bool {
    let status = std::process::Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
    status.is_ok_and(|s| s.success())
}

#[tokio::test]
async fn output_goes_to_the_log_and_the_environment_arrives() -> Outcome {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("out.log");
    let process = Process::builder("sh")
        .args(["-c", "echo one; echo \"$GREETING\" >&2"])
        .env("GREETING", "hello")
        .log_file(&log)
        .spawn()?;
    assert!(process.wait_timeout(SOON).await?.success());
    assert_eq!(process.log_tail(9), "one\nhello");
    assert_eq!(process.log_tail(1), "hello");
    Ok(())
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_and_its_log_is_shown() -> Outcome {
    let process = shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done")?;
    wait::until("its first words", SOON, async || process.log_tail(1) == "deaf").await?;
    let error = process.stop(Duration::from_millis(200)).await.expect_err("it is deaf");
    assert_eq!(error.to_string(), "script did not end within 200ms; its log ends with:\ndeaf");
    assert!(!process.is_running());
    Ok(())
}

#[tokio::test]
async fn frozen_thawed_and_ended_by_signals() -> Outcome {
    let process = shell("while :; do echo tick; sleep 0.02; done")?;
    let ticks = || process.log_tail(usize::MAX).len();
    wait::until("ticks", SOON, async || ticks() > 0).await?;
    process.signal(Signal::Stop)?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let frozen = ticks();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ticks(), frozen);
    assert!(process.is_running());
    process.signal(Signal::Cont)?;
    wait::until("ticks after the thaw", SOON, async || ticks() > frozen).await?;
    assert!(!process.stop(SOON).await?.success());
    process.signal(Signal::Kill)?;
    Ok(())
}

#[tokio::test]
async fn dropping_kills_even_a_frozen_process() -> Outcome {
    let process = shell("sleep 60")?;
    let pid = process.pid();
    process.signal(Signal::Stop)?;
    assert!(exists(pid));
    let begun = Instant::now();
    drop(process);
    assert!(!exists(pid), "gone when drop returns");
    assert!(begun.elapsed() < Duration::from_secs(1));
    Ok(())
}

#[tokio::test]
async fn what_is_left_dies_with_its_parent() -> Outcome {
    // The test binary runs itself, aborts in the middle, and its child must be gone all the same.
    let itself = std::env::current_exe()?;
    let dir = tempfile::tempdir()?;
    let parent = Process::builder(itself)
        .args(["--exact", "process::child_of_an_abort", "--ignored", "--nocapture"])
        .env("TMPDIR", dir.path()) // for what an abort leaves behind
        .spawn()?;
    assert!(!parent.wait_timeout(SOON).await?.success());
    let log = parent.log_tail(usize::MAX);
    let pid = log
        .lines()
        .find_map(|line| line.strip_prefix("child "))
        .ok_or_else(|| format!("no child in {log}"))?
        .parse()?;
    wait::until("the orphan's end", SOON, async || !exists(pid)).await?;
    Ok(())
}

#[test]
#[ignore = "run by what_is_left_dies_with_its_parent"]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn child_of_an_abort() {
    let released = shell("exit 0").expect("sh runs");
    released.kill();
    let child = shell("sleep 60").expect("sh runs");
    println!("\nchild {}", child.pid());
    std::process::abort();
}

#[tokio::test]
async fn one_that_ends_instead_of_getting_ready_is_not_waited_for() -> Outcome {
    let process = shell("echo no luck; exit 3")?;
    let error = process
        .until("become ready", Duration::from_secs(60), async || false)
        .await
        .expect_err("it never is");
    assert_eq!(error.to_string(), "script ended with exit status: 3; its log ends with:\nno luck");
    Ok(())
}

#[test]
fn a_missing_program_is_named() {
    let error = Process::builder("/nowhere/at-all").spawn().expect_err("nothing there");
    assert_eq!(error.to_string(), "cannot start /nowhere/at-all");
}

#[tokio::test]
async fn waiting_in_vain_says_for_what() {
    let error = wait::until("the end of days", Duration::from_millis(20), async || false)
        .await
        .expect_err("it never comes");
    assert_eq!(error.to_string(), "waited 20ms in vain for the end of days");
}
