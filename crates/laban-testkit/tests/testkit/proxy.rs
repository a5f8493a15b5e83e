use std::time::Duration;

use async_nats::Event;
use futures_util::StreamExt as _;
use laban_testkit::{Broker, Proxy, Slow, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(10);
/// Long enough for a byte to come if it could.
const A_WHILE: Duration = Duration::from_millis(200);

/// Both ends of a connection through a proxy.
async fn ends() -> Result<(Proxy, TcpStream, TcpStream), Box<dyn std::error::Error>> {
    let target = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(target.local_addr()?).await?;
    let client = TcpStream::connect(proxy.addr()).await?;
    let (server, _) = target.accept().await?;
    wait::until("the connection to be counted", SOON, async || proxy.connections() == 1).await?;
    Ok((proxy, client, server))
}

async fn hears(stream: &mut TcpStream, text: &str) -> std::io::Result<bool> {
    let mut heard = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut heard)).await??;
    Ok(heard == text.as_bytes())
}

/// What comes instead of bytes: a reset, or an end in peace.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let read = timeout(SOON, stream.read_u8()).await;
    matches!(read, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn bytes_and_ends_pass_in_both_directions() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    client.write_all(b"question").await?;
    assert!(hears(&mut server, "question").await?);
    client.shutdown().await?;
    assert_eq!(server.read(&mut [0]).await?, 0);
    server.write_all(b"late answer").await?;
    assert!(hears(&mut client, "late answer").await?);
    drop(server);
    assert_eq!(client.read(&mut [0]).await?, 0);
    wait::until("nothing to be open", SOON, async || proxy.connections() == 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_both_ends_and_counts_none_of_them() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    proxy.cut();
    assert_eq!(proxy.connections(), 0);
    assert!(is_reset(&mut client).await);
    assert!(is_reset(&mut server).await);
    Ok(())
}

#[tokio::test]
async fn a_reset_on_one_side_is_one_on_the_other() -> Outcome {
    let (_proxy, mut client, server) = ends().await?;
    server.set_zero_linger()?;
    drop(server);
    assert!(is_reset(&mut client).await);
    Ok(())
}

#[tokio::test]
async fn nobody_is_let_in_while_it_refuses() -> Outcome {
    let (proxy, mut client, _server) = ends().await?;
    proxy.refuse();
    assert!(is_reset(&mut client).await);
    let mut refused = TcpStream::connect(proxy.addr()).await?;
    assert!(is_reset(&mut refused).await);
    assert_eq!(proxy.connections(), 0);

    let broker = Broker::start().await?;
    let proxy = Proxy::start(broker.addr()).await?;
    proxy.refuse();
    assert!(async_nats::connect(proxy.url()).await.is_err());
    proxy.accept();
    async_nats::connect(proxy.url()).await?.flush().await?;
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_not_there_is_a_reset() -> Outcome {
    let mut broker = Broker::start().await?;
    broker.kill();
    let proxy = Proxy::start(broker.addr()).await?;
    assert!(is_reset(&mut TcpStream::connect(proxy.addr()).await?).await);
    broker.start_again().await?;
    async_nats::connect(proxy.url()).await?.flush().await?;
    Ok(())
}

#[tokio::test]
async fn a_silent_network_holds_back_bytes_and_ends_and_delivers_them_later() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    proxy.stall();
    client.write_all(b"to the server").await?;
    client.shutdown().await?;
    server.write_all(b"to the client").await?;
    assert!(timeout(A_WHILE, server.read_u8()).await.is_err(), "nothing comes");
    assert!(timeout(A_WHILE, client.read_u8()).await.is_err(), "nothing comes");
    assert_eq!(proxy.connections(), 1);

    proxy.flow();
    assert!(hears(&mut server, "to the server").await?);
    assert!(hears(&mut client, "to the client").await?);
    assert_eq!(server.read(&mut [0]).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_sender_feels_that_nobody_takes_what_it_sends() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    let chunk = vec![7; 1024 * 1024];
    let mut sent = 0;
    // What the system's own buffers take is a few mebibytes.
    while let Ok(written) = timeout(A_WHILE, client.write(&chunk)).await {
        sent += written?;
        assert!(sent < 100 * chunk.len(), "the proxy takes in whatever comes");
    }
    let mut received = vec![0; sent];
    timeout(SOON, server.read_exact(&mut received)).await??;
    assert!(received.iter().all(|byte| *byte == 7));
    assert_eq!(proxy.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn a_slow_network_delays_and_bounds_and_is_fast_again_at_once() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    let delay = Duration::from_millis(300);
    proxy.slow(Some(Slow { delay, bytes_per_second: None }));
    let begun = Instant::now();
    client.write_all(b"one").await?;
    assert!(hears(&mut server, "one").await?);
    assert!(begun.elapsed() >= delay);

    proxy.slow(Some(Slow { delay: Duration::ZERO, bytes_per_second: Some(100_000) }));
    let begun = Instant::now();
    client.write_all(&[1; 50_000]).await?;
    server.read_exact(&mut [0; 50_000]).await?;
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());

    proxy.slow(Some(Slow { delay: Duration::from_secs(3600), bytes_per_second: Some(1) }));
    client.write_all(b"two").await?;
    assert!(timeout(A_WHILE, server.read_u8()).await.is_err(), "it is under way");
    proxy.slow(None);
    assert!(hears(&mut server, "two").await?);
    Ok(())
}

#[tokio::test]
async fn a_dropped_proxy_leaves_nothing_behind() -> Outcome {
    let (proxy, mut client, mut server) = ends().await?;
    let address = proxy.addr();
    proxy.stall();
    proxy.slow(Some(Slow { delay: Duration::from_secs(3600), bytes_per_second: Some(1) }));
    client.write_all(b"lost").await?;
    drop(proxy);
    assert!(is_reset(&mut client).await);
    assert!(is_reset(&mut server).await);
    wait::until("its port to be free", SOON, async || TcpStream::connect(address).await.is_err()).await?;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks, 0);
    Ok(())
}

#[tokio::test]
async fn a_client_notices_a_cut_and_comes_back() -> Outcome {
    let broker = Broker::start().await?;
    let proxy = Proxy::start(broker.addr()).await?;
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let client = async_nats::ConnectOptions::new()
        .event_callback(move |event| {
            let _ = events.send(event);
            async {}
        })
        .connect(proxy.url())
        .await?;
    let mut greetings = client.subscribe("greetings").await?;
    client.flush().await?;

    proxy.cut();
    let mut noticed = false;
    while let Some(event) = timeout(SOON, heard.recv()).await? {
        noticed |= matches!(event, Event::Disconnected);
        if noticed && matches!(event, Event::Connected) {
            break;
        }
    }
    client.publish("greetings", "hello again".into()).await?;
    let heard = timeout(SOON, greetings.next()).await?.ok_or("the subscription goes on")?;
    assert_eq!(heard.payload, "hello again");
    assert_eq!(proxy.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn messages_in_a_silent_network_arrive_when_it_speaks_again() -> Outcome {
    let broker = Broker::start().await?;
    let proxy = Proxy::start(broker.addr()).await?;
    let client = async_nats::connect(proxy.url()).await?;
    let mut direct = async_nats::connect(broker.url()).await?.subscribe("greetings").await?;
    client.flush().await?;
    proxy.stall();
    client.publish("greetings", "hello".into()).await?;
    assert!(timeout(A_WHILE, direct.next()).await.is_err());
    proxy.flow();
    assert!(timeout(SOON, direct.next()).await?.is_some());
    client.flush().await?;
    Ok(())
}
