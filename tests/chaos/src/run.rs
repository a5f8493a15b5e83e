//! One run: start, trouble, mend, audit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use demo::orders::Plan;
use demo::{History, Progress};
use laban_tests::Outcome;
use laban_wire::FlowReader;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::audit::{Kind, Standing, audit, standing};
use crate::faults::{Done, trouble};
use crate::generator::place;
use crate::report::{Report, Seen};
use crate::settings::Settings;
use crate::watch::Watch;
use crate::world::{Brokers, World};

/// How long nothing may move before it is taken for stuck: long enough to tell what is late from what never comes.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often is looked whether anything is pending.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the shop under fire, and audits what came of it. Violations are in the report, not errors.
///
/// # Errors
/// When something cannot be started, or cannot be read afterwards: there is nothing to report then.
pub async fn run(settings: &Settings, progress: Progress) -> Outcome<Report> {
    let logs = logs(settings)?;
    let stage = progress.stage("starting brokers and services", 0);
    let mut brokers = Brokers::start(settings.profile, &logs).await?;
    let client = brokers.client().await?;
    let world = World::start(&brokers, settings, &logs).await?;
    stage.done(&format!("{} brokers and {} services are ready", brokers.len(), world.instances.len()));

    let plan = Plan::with_silent_banks(settings.flows, settings.seed);
    let (watch, done, stop) = (Arc::new(Watch::default()), Done::default(), CancellationToken::new());
    let besides = besides(&world, &watch, &client, &stop);
    let stage = progress.stage("placing orders under fire", plan.orders.len() as u64);
    let (ledger, troubled) = tokio::join!(
        place(world.doors(), &plan, settings.seed, settings.duration, &stage),
        trouble(&world, &mut brokers, &client, settings.seed, settings.duration, &done),
    );
    troubled?;
    stage.done(&format!("placed {} orders", ledger.entries.len()));

    let ended_after = settle(&client, progress).await;
    watch.look(&client).await;
    let counters = world.counters();
    stop.cancel();
    drop(besides);

    let stage = progress.stage("reading every stream in full", 0);
    let standing = standing(&client).await?;
    let history = read_in_full(&client, standing.records).await?;
    let mut audit = audit(&ledger, &history, world.books(), standing.pending)?;
    match (ended_after, settings.calm) {
        (Some(after), Some(calm)) if after > calm => audit
            .found(Kind::Stuck, format!("all ended, but {:.0} s after the last fault", after.as_secs_f64())),
        (Some(_), _) => {}
        (None, _) => audit.found(
            Kind::Stuck,
            format!("not all has ended, and nothing has moved for {} s", PATIENCE.as_secs()),
        ),
    }
    stage.done(&format!("audited {} records", audit.records));
    let seen = Seen {
        counters,
        deliveries: watch.deliveries(),
        leader_changes: watch.leader_changes(),
        ended_by_themselves: world.ended_by_themselves(),
        ended_after,
        nats_server: client.server_info().version,
    };
    let report = Report::of(settings, &ledger, &audit, &done, seen);
    report.write(&settings.dir.join("report.json"))?;
    Ok(report)
}

/// The folder of the logs, empty.
fn logs(settings: &Settings) -> Outcome<PathBuf> {
    let logs = settings.dir.join("logs");
    // Logs of an earlier run would be read as this one's.
    match std::fs::remove_dir_all(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    std::fs::create_dir_all(&logs)?;
    Ok(logs)
}

/// What goes on besides: whoever starts again what ended, and whoever watches.
fn besides(
    world: &Arc<World>,
    watch: &Arc<Watch>,
    client: &Client,
    stop: &CancellationToken,
) -> [AbortOnDropHandle<()>; 2] {
    let (supervised, stopped) = (Arc::clone(world), stop.clone());
    let supervising = tokio::spawn(async move { supervised.supervise(&stopped).await });
    let (watch, client, stop) = (Arc::clone(watch), client.clone(), stop.clone());
    let watching = tokio::spawn(async move { watch.run(&client, &stop).await });
    [AbortOnDropHandle::new(supervising), AbortOnDropHandle::new(watching)]
}

/// Waits until nothing is pending any more, and says how long that took; nothing if it does not come to that: if what is
/// pending has not shrunk for a long while. Whether every flow has ended, the audit tells: to read them all again and again
/// would hold up those that are to end.
async fn settle(client: &Client, progress: Progress) -> Option<Duration> {
    let begun = Instant::now();
    let stage = progress.stage("waiting for everything to come to its end", 0);
    let mut looks = Looks::default();
    while !looks.are_in_vain(begun.elapsed()) {
        let at = begun.elapsed();
        // A broker that is catching up may not answer at once.
        let standing = standing(client).await.ok();
        if let Some(after) = looks.add(standing, at) {
            stage.done("everything has come to its end");
            return Some(after);
        }
        sleep(LOOK).await;
    }
    stage.done("not everything has come to its end");
    None
}

/// What looks at the brokers tell of the end.
#[derive(Default)]
struct Looks {
    last: Option<(Standing, Duration)>,
    /// When what was pending shrank the last time.
    moved: Duration,
}

impl Looks {
    /// Takes in what a look saw, and when it began. Says when everything had ended, if it has.
    fn add(&mut self, seen: Option<Standing>, at: Duration) -> Option<Duration> {
        // A look without an answer tells nothing.
        let seen = seen?;
        if let Some((last, then)) = self.last {
            // One look is not one moment: only the second one like it tells.
            if seen.pending == 0 && seen == last {
                return Some(then);
            }
            if seen.pending < last.pending {
                self.moved = at;
            }
        }
        self.last = Some((seen, at));
        None
    }

    /// Whether nothing has moved for so long that nothing will.
    fn are_in_vain(&self, now: Duration) -> bool {
        now >= self.moved + PATIENCE
    }
}

/// All that the streams hold, and no less than their leaders say.
async fn read_in_full(client: &Client, held: u64) -> Outcome<History> {
    let history = History::read(client, FlowReader::new(client.clone())).await?;
    let read = history.ids().map(|id| history.messages(id).len()).sum::<usize>() + history.strangers().len();
    if read as u64 != held {
        return Err(format!("{read} messages were read, the streams hold {held}").into());
    }
    Ok(history)
}

/// The folder where results go when none is named.
pub fn default_dir() -> PathBuf {
    let own = std::env::current_exe().ok();
    let target = own.as_deref().and_then(Path::parent).and_then(Path::parent);
    target.unwrap_or(Path::new("target")).join("chaos")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_waited_for_as_long_as_what_is_pending_shrinks() {
        let mut looks = Looks::default();
        // One input ends every hundred seconds: slow, and in the end all has ended.
        for n in 0..10 {
            let at = seconds(100 * n);
            assert!(!looks.are_in_vain(at), "after {at:?}");
            assert_eq!(looks.add(Some(Standing { pending: 9 - n, records: 20 }), at), None);
        }
        assert_eq!(looks.add(None, seconds(950)), None);
        assert_eq!(looks.add(Some(Standing { pending: 0, records: 20 }), seconds(1000)), Some(seconds(900)));
    }

    #[test]
    fn it_is_given_up_when_nothing_moves_for_long_whatever_is_written() {
        let mut looks = Looks::default();
        for n in 0..180 {
            assert!(!looks.are_in_vain(seconds(n)));
            // Attempts that fail leave records, and end nothing.
            assert_eq!(looks.add(Some(Standing { pending: 4, records: 20 + n }), seconds(n)), None);
        }
        assert!(looks.are_in_vain(seconds(180)));
    }

    #[test]
    fn one_look_without_anything_pending_is_not_the_end() {
        let mut looks = Looks::default();
        let ended = |records| Some(Standing { pending: 0, records });
        assert_eq!(looks.add(ended(20), seconds(1)), None);
        assert_eq!(looks.add(ended(21), seconds(2)), None, "something was written between two looks");
        assert_eq!(looks.add(ended(21), seconds(3)), Some(seconds(2)));
    }
}
