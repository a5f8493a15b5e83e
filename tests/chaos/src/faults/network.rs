use std::time::Duration;

use laban_testkit::{Proxy, Slow};
use laban_tests::Outcome;
use tokio::time::sleep;

use super::{Fault, Track};
use crate::world::World;

const FAULTS: [(Fault, u32); 4] = [
    (Fault::CutConnections, 4),
    (Fault::RefuseConnections, 2),
    (Fault::StallConnections, 3),
    (Fault::SlowConnections, 3),
];

/// The longest pause between two faults.
const PAUSE: Duration = Duration::from_secs(4);

pub(super) async fn trouble(mut track: Track<'_>, world: &World) -> Outcome {
    while let Some(fault) = track.next(PAUSE, &FAULTS).await {
        let Some(instance) = track.one_of(&world.instances) else { break };
        let each = |what: &dyn Fn(&Proxy)| instance.proxies().iter().for_each(what);
        match fault {
            Fault::CutConnections => each(&Proxy::cut),
            Fault::RefuseConnections => {
                each(&Proxy::refuse);
                sleep(track.between(Duration::from_millis(500), Duration::from_secs(4))).await;
                each(&Proxy::accept);
            }
            Fault::StallConnections => {
                each(&Proxy::stall);
                sleep(track.between(Duration::from_secs(1), Duration::from_secs(8))).await;
                each(&Proxy::flow);
            }
            _ => {
                let delay = track.between(Duration::from_millis(10), Duration::from_millis(200));
                let bytes_per_second = Some(track.rng.u64(16 << 10..256 << 10));
                each(&|proxy| proxy.slow(Some(Slow { delay, bytes_per_second })));
                sleep(track.between(Duration::from_secs(2), Duration::from_secs(6))).await;
                each(&|proxy| proxy.slow(None));
            }
        }
        track.done.count(fault);
    }
    Ok(())
}
