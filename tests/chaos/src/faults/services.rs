use std::time::Duration;

use demo::Service;
use futures_util::future::join_all;
use laban_tests::Outcome;
use tokio::time::{Instant, sleep};

use super::{Fault, Track};
use crate::world::{ACK_WAIT, Instance, World};

const FAULTS: [(Fault, u32); 4] =
    [(Fault::KillInstance, 8), (Fault::KillService, 2), (Fault::FreezeInstance, 8), (Fault::RollServices, 1)];

/// The longest pause between two faults.
const PAUSE: Duration = Duration::from_secs(3);
/// How long after its thaw a zombie is watched.
const AWAKE: Duration = Duration::from_secs(3);

pub(super) async fn trouble(mut track: Track<'_>, world: &World) -> Outcome {
    while let Some(fault) = track.next(PAUSE, &FAULTS).await {
        match fault {
            Fault::KillInstance => {
                if let Some(instance) = track.one_of(&world.instances) {
                    instance.kill().await;
                    sleep(track.between(Duration::ZERO, Duration::from_secs(2))).await;
                    instance.start()?;
                }
            }
            Fault::KillService => {
                let service = track.one_of(&Service::ALL).copied().unwrap_or(Service::Order);
                let both: Vec<&Instance> =
                    world.instances.iter().filter(|instance| instance.service() == service).collect();
                join_all(both.iter().map(|instance| instance.kill())).await;
                sleep(track.between(Duration::ZERO, Duration::from_secs(2))).await;
                both.iter().try_for_each(|instance| instance.start())?;
            }
            Fault::FreezeInstance => freeze(&mut track, world).await?,
            _ => {
                for instance in &world.instances {
                    instance.stop().await?;
                    instance.start()?;
                }
            }
        }
        track.done.count(fault);
    }
    Ok(())
}

/// Freezes an instance. One that stood still for longer than the broker waits is a zombie: others have its work by now.
async fn freeze(track: &mut Track<'_>, world: &World) -> Outcome {
    let Some(instance) = track.one_of(&world.instances) else { return Ok(()) };
    let still = track.between(ACK_WAIT / 2, ACK_WAIT * 3);
    let before = instance.scrape().await;
    instance.freeze()?;
    sleep(still).await;
    instance.thaw()?;
    let (Some(before), true) = (before, still > ACK_WAIT) else { return Ok(()) };
    let awake = Instant::now();
    let mut refused = false;
    while !refused && awake.elapsed() < AWAKE {
        sleep(Duration::from_millis(200)).await;
        let now = instance.scrape().await;
        refused =
            now.is_some_and(|now| now.fences_lost > before.fences_lost || now.duplicates > before.duplicates);
    }
    track.done.zombie(refused);
    Ok(())
}
