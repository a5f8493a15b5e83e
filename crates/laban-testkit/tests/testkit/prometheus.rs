use std::time::Duration;

use laban_testkit::{Error, Prometheus, tools, wait};
use tokio::net::TcpStream;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// None, and a line that says so, where no Prometheus can be had; a failure if one is required.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
async fn start(config: &str) -> Result<Option<Prometheus>, Error> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), config).expect("a file that can be written");
    match Prometheus::start(file.path()).await {
        Ok(prometheus) => Ok(Some(prometheus)),
        Err(Error::NoTool { why, .. }) if std::env::var("LABAN_REQUIRE_PROMETHEUS").as_deref() != Ok("1") => {
            eprintln!("skipped, no Prometheus: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn several_run_side_by_side_and_go_with_their_handle() -> Outcome {
    let Some(one) = start("").await? else { return Ok(()) };
    let Some(two) = start("").await? else { return Ok(()) };
    assert_ne!(one.url(), two.url());
    let promtool = tools::prometheus()?.with_file_name("promtool");
    assert!(promtool.exists(), "{}", promtool.display());

    let address = one.url().trim_start_matches("http://").to_owned();
    TcpStream::connect(&address).await?;
    drop(one);
    wait::until("its port to be free", Duration::from_secs(1), async || {
        TcpStream::connect(&address).await.is_err()
    })
    .await?;
    two.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_it_refuses_is_named() -> Outcome {
    match start("no_such_setting: 1").await {
        Ok(Some(_)) => Err("it started all the same".into()),
        Ok(None) => Ok(()),
        Err(error) => {
            assert!(error.to_string().contains("no_such_setting"), "{error}");
            Ok(())
        }
    }
}
