//! Waiting for something to come true, with a deadline: never sleeping for luck.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Error;

/// The first pause between two looks; it grows to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_millis(50);

/// Asks `condition` again and again until it says yes, and returns how long that took.
///
/// A look that hangs counts against the time as well.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), laban_testkit::Error> {
/// use std::time::Duration;
/// use laban_testkit::wait;
///
/// let mut left = 3;
/// wait::until("three looks", Duration::from_secs(5), async || {
///     left -= 1;
///     left == 0
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::TimedOut`] names `what` was awaited if it is still not so after `timeout`.
pub async fn until(
    what: impl Into<String>,
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Result<Duration, Error> {
    until_some(what, timeout, async || condition().await.then_some(())).await.map(|((), took)| took)
}

/// Like [`until`], for a condition that has something to show: returns the first `Some`, and how long it took.
///
/// # Errors
///
/// [`Error::TimedOut`] names `what` was awaited if there is still nothing after `timeout`.
pub async fn until_some<T>(
    what: impl Into<String>,
    timeout: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<(T, Duration), Error> {
    let begun = Instant::now();
    let polling = async {
        let mut pause = SHORTEST;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    };
    match tokio::time::timeout(timeout, polling).await {
        Ok(found) => Ok((found, begun.elapsed())),
        Err(_) => Err(Error::TimedOut { what: what.into(), waited: timeout }),
    }
}
