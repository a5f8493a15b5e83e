use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use laban_testkit::{Broker, Error, SmallDisk, wait};
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(10);
const MEBI: u64 = 1024 * 1024;

/// None, and a line that says so, where it cannot be had.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
fn mount(bytes: u64) -> Result<Option<SmallDisk>, Error> {
    match SmallDisk::mount(bytes) {
        Ok(disk) => Ok(Some(disk)),
        Err(Error::NoDisk { why }) => {
            eprintln!("skipped, no small disk: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_mounted(path: &std::path::Path) -> std::io::Result<bool> {
    Ok(fs::read_to_string("/proc/self/mounts")?.contains(&format!(" {} ", path.display())))
}

#[test]
fn full_it_refuses_writes_and_freed_it_takes_them() -> Outcome {
    let Some(disk) = mount(MEBI)? else { return Ok(()) };
    let file = disk.path().join("file");
    fs::write(&file, "before")?;
    disk.fill()?;
    let full = fs::write(disk.path().join("other"), "text").expect_err("no room");
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(fs::read_to_string(&file)?, "before");

    fs::remove_file(&file)?;
    disk.fill()?;
    assert!(fs::write(&file, "text").is_err(), "filled up again");
    disk.free()?;
    disk.free()?;
    fs::write(&file, vec![0; MEBI as usize / 2])?;
    Ok(())
}

#[test]
fn it_goes_with_its_handle_even_if_a_file_is_open() -> Outcome {
    let Some(disk) = mount(0)? else { return Ok(()) };
    let path = disk.path().to_owned();
    assert!(is_mounted(&path)?);
    let open = fs::File::create(path.join("file"))?;
    drop(disk);
    assert!(!is_mounted(&path)?);
    assert!(!path.exists());
    drop(open);
    Ok(())
}

/// The test binary again, with a test that aborts: its disk must not outlive it.
#[tokio::test]
async fn it_goes_with_the_process_that_mounted_it() -> Outcome {
    if mount(MEBI)?.is_none() {
        return Ok(());
    }
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "disk::child_of_an_abort", "--ignored", "--nocapture"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let path = said.lines().find_map(|line| line.strip_prefix("disk ")).ok_or_else(|| said.to_string())?;
    wait::until("the orphan's end", SOON, async || !fs::exists(path).unwrap_or(true)).await?;
    Ok(())
}

#[test]
#[ignore = "run by it_goes_with_the_process_that_mounted_it"]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn child_of_an_abort() {
    let disk = SmallDisk::mount(MEBI).expect("the parent could");
    println!("\ndisk {}", disk.path().display());
    std::process::abort();
}

#[tokio::test]
async fn a_broker_on_a_full_one_acknowledges_nothing_and_keeps_what_it_has() -> Outcome {
    let Some(disk) = mount(32 * MEBI)? else { return Ok(()) };
    let mut broker = Broker::builder().store_dir(disk.path()).start().await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    js.create_stream(stream::Config {
        name: "NOTES".into(),
        subjects: vec!["notes.>".into()],
        ..Default::default()
    })
    .await?;
    let mut acknowledged = 0;
    while acknowledged < 10 {
        js.publish("notes.a", vec![1; 1024].into()).await?.await?;
        acknowledged += 1;
    }

    disk.fill()?;
    // It may have had some room left in what it had allotted itself.
    while let Ok(Ok(_)) = timeout(SOON, js.publish("notes.a", vec![2; 100 * 1024].into()).await?).await {
        acknowledged += 1;
        assert!(acknowledged < 1000, "the disk is full");
    }

    disk.free()?;
    broker.restart().await?;
    let stream = js.get_stream("NOTES").await?;
    assert!(stream.cached_info().state.messages >= acknowledged, "{:?}", stream.cached_info().state);
    js.publish("notes.a", vec![3; 1024].into()).await?.await?;
    Ok(())
}
