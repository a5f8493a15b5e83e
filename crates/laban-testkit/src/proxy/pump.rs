//! Bytes from each side of a connection to the other.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::state::{State, Valve};

/// How many bytes are read at once.
const CHUNK: usize = 16 * 1024;
/// How many bytes are on their way in one direction before no more are read, and the sender feels it.
const WINDOW: usize = 256 * 1024;
/// A slow network is given bytes so many times a second.
const STEPS: u64 = 20;

/// What was read at once, and when.
struct Chunk {
    bytes: Vec<u8>,
    read: Instant,
}

/// Passes everything on, until both sides have ended in peace.
pub(super) async fn both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    state: &watch::Sender<State>,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let valve = Valve::new(state);
    tokio::try_join!(pump(from_client, to_server, valve.clone()), pump(from_server, to_client, valve))?;
    Ok(())
}

async fn pump(from: ReadHalf<'_>, to: WriteHalf<'_>, valve: Valve) -> io::Result<()> {
    // Bounded by bytes, not by chunks, which may be as small as one byte.
    let room = Semaphore::new(WINDOW);
    let (sender, chunks) = unbounded_channel();
    tokio::try_join!(take_in(from, sender, &room, valve.clone()), give_out(to, chunks, &room, valve))?;
    Ok(())
}

async fn take_in(
    from: ReadHalf<'_>,
    chunks: UnboundedSender<Chunk>,
    room: &Semaphore,
    mut valve: Valve,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let one = room.acquire().await.map_err(io::Error::other)?;
        let most = CHUNK.min(1 + room.available_permits());
        valve.pass(|| from.readable()).await?;
        let count = match from.try_read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            read => read?,
        };
        let Some(more) = count.checked_sub(1) else {
            // The other end of the channel hears of the end when this one is dropped.
            return Ok(());
        };
        one.forget();
        // There at once: only this loop takes room away.
        room.forget_permits(more);
        let chunk = Chunk { bytes: buffer[..count].to_vec(), read: Instant::now() };
        chunks.send(chunk).map_err(io::Error::other)?;
    }
}

async fn give_out(
    mut to: WriteHalf<'_>,
    mut chunks: UnboundedReceiver<Chunk>,
    room: &Semaphore,
    mut valve: Valve,
) -> io::Result<()> {
    // From when on a slow network takes more.
    let mut vacant = Instant::now();
    while let Some(Chunk { bytes, read }) = chunks.recv().await {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            valve.due(|slow| vacant.max(read + slow.delay)).await;
            let rate = valve.slow().and_then(|slow| slow.bytes_per_second).map(|rate| rate.max(1));
            let most = rate.map_or(rest.len(), |rate| step(rate).min(rest.len()));
            valve.pass(|| to.writable()).await?;
            let count = match to.try_write(&rest[..most]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                written => written?,
            };
            room.add_permits(count);
            rest = &rest[count..];
            if let Some(rate) = rate {
                vacant = vacant.max(Instant::now()) + Duration::from_secs_f64(count as f64 / rate as f64);
            }
        }
    }
    valve.pass(|| std::future::ready(())).await;
    to.shutdown().await
}

/// Never nothing, and no more than a network of this rate takes in one of its steps.
fn step(bytes_per_second: u64) -> usize {
    usize::try_from(bytes_per_second / STEPS).unwrap_or(usize::MAX).max(1)
}
