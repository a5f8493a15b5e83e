use std::time::Duration;

use async_nats::{Client, jetstream};
use demo::Service;
use futures_util::TryStreamExt as _;
use laban_tests::Outcome;
use tokio::time::sleep;

use super::{Fault, Track};
use crate::world::Brokers;

/// Where there is an election to go past.
const OF_THREE: [(Fault, u32); 6] = [
    (Fault::KillBroker, 4),
    (Fault::FreezeBroker, 3),
    (Fault::StepDown, 6),
    (Fault::DeleteConsumer, 3),
    (Fault::FillDisk, 2),
    (Fault::RollBrokers, 1),
];
/// A single broker that is away is felt by everybody.
const OF_ONE: [(Fault, u32); 5] = [
    (Fault::KillBroker, 3),
    (Fault::FreezeBroker, 3),
    (Fault::DeleteConsumer, 6),
    (Fault::FillDisk, 2),
    (Fault::RollBrokers, 1),
];

/// The longest pause between two faults.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn trouble(mut track: Track<'_>, brokers: &mut Brokers, client: &Client) -> Outcome {
    let faults: &[(Fault, u32)] = if brokers.len() > 1 { &OF_THREE } else { &OF_ONE };
    while let Some(fault) = track.next(PAUSE, faults).await {
        let index = track.rng.usize(..brokers.len());
        let done = match fault {
            Fault::KillBroker => {
                brokers.kill(index);
                sleep(track.between(Duration::ZERO, Duration::from_secs(3))).await;
                brokers.start_again(index).await?;
                true
            }
            Fault::FreezeBroker => {
                // An election begins after four to nine seconds without a word from the leader.
                let still = if brokers.len() > 1 { (5, 12) } else { (2, 8) };
                let still = track.between(Duration::from_secs(still.0), Duration::from_secs(still.1));
                brokers.freeze(index)?;
                sleep(still).await;
                brokers.thaw(index)?;
                true
            }
            Fault::StepDown => step_down(&mut track, client).await,
            Fault::DeleteConsumer => delete_consumer(&mut track, client).await,
            Fault::FillDisk => fill_disk(&mut track, brokers).await?,
            _ => {
                for index in 0..brokers.len() {
                    brokers.stop(index).await?;
                    brokers.start_again(index).await?;
                    brokers.ready().await?;
                }
                true
            }
        };
        if done {
            track.done.count(fault);
        }
    }
    Ok(())
}

/// The last broker's disk is full. A nats-server that cannot write switches JetStream off; whoever runs it makes room and
/// starts it again.
async fn fill_disk(track: &mut Track<'_>, brokers: &mut Brokers) -> Outcome<bool> {
    let full = match brokers.disk() {
        Ok(disk) => disk.fill().map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    if let Err(reason) = full {
        track.done.note(format!("no disk was full: {reason}"));
        return Ok(false);
    }
    sleep(track.between(Duration::from_secs(2), Duration::from_secs(7))).await;
    if let Ok(disk) = brokers.disk() {
        disk.free()?;
    }
    let last = brokers.len() - 1;
    brokers.kill(last);
    brokers.start_again(last).await?;
    Ok(true)
}

/// Asks the leader of something to let another one lead. Says whether it did.
async fn step_down(track: &mut Track<'_>, client: &Client) -> bool {
    let subject = match track.rng.u8(..5) {
        0 => "$JS.API.META.LEADER.STEPDOWN".to_owned(),
        1 | 2 => {
            let service = track.one_of(&Service::ALL).copied().unwrap_or(Service::Order);
            format!("$JS.API.STREAM.LEADER.STEPDOWN.{}", service.home())
        }
        _ => match consumer(track, client).await {
            Some((stream, name)) => format!("$JS.API.CONSUMER.LEADER.STEPDOWN.{stream}.{name}"),
            None => return false,
        },
    };
    client.request(subject, "".into()).await.is_ok()
}

/// Deletes a handler's position. Says whether it did.
async fn delete_consumer(track: &mut Track<'_>, client: &Client) -> bool {
    let Some((stream, name)) = consumer(track, client).await else { return false };
    let Ok(stream) = jetstream::new(client.clone()).get_stream(stream).await else { return false };
    stream.delete_consumer(&name).await.is_ok()
}

/// Some consumer of some home stream.
async fn consumer(track: &mut Track<'_>, client: &Client) -> Option<(String, String)> {
    let stream = track.one_of(&Service::ALL)?.home();
    let found = jetstream::new(client.clone()).get_stream(&stream).await.ok()?;
    let mut names: Vec<String> = found.consumer_names().try_collect().await.ok()?;
    // As the broker lists them, in no order.
    names.sort();
    Some((stream, track.one_of(&names)?.clone()))
}
