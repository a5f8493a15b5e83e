//! The conversation with whoever started this process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use laban_wire::contract::Contract;
use laban_wire::shadow::{self, Answer, Call, Hello, MAX_FRAME_BYTES, PROTOCOL, Ran, Ready};
use tokio::io::{BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::react::Shadow;
use super::{Awaited, Stub, not_run};
use crate::definition::Definition;
use crate::{Result, command_line};

/// Answers that may wait to be sent; who asks bounds the rest, by asking no further.
const WAITING: usize = 64;
/// How long a connection on this machine may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service is in a shadow.
pub(crate) struct Parts {
    pub(crate) contract: Result<Contract>,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) stubs: Vec<Stub>,
}

/// Answers calls until nobody is there to call any more.
pub(crate) async fn serve(service: &str, awaited: Awaited, parts: Parts) -> Result<()> {
    let Parts { contract, definitions, stubs } = parts;
    let ready = contract.and_then(|contract| {
        let shadow = Shadow::of(contract.service.clone(), definitions, stubs);
        shadow.map(|shadow| (contract, shadow)).map_err(|reason| not_run(service, reason))
    });
    let lost = |error: io::Error| not_run(service, format!("whoever started it is not there: {error}"));
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(awaited.address)).await;
    let connection = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(lost)?;
    let (from, mut to) = connection.into_split();
    let hello = |ready| Hello {
        protocol: PROTOCOL,
        token: awaited.token.clone(),
        laban: env!("CARGO_PKG_VERSION").to_owned(),
        ready,
    };
    let shadow = match ready {
        Ok((contract, shadow)) => {
            shadow::write(&mut to, &hello(Ready::Contract(Box::new(contract)))).await.map_err(lost)?;
            Arc::new(shadow)
        }
        Err(refusal) => {
            shadow::write(&mut to, &hello(Ready::Refused(refusal.to_string()))).await.map_err(lost)?;
            return Err(refusal);
        }
    };
    // Whatever is at work when nobody asks any more is dropped with its task.
    let (mut tasks, mut from) = (JoinSet::new(), BufReader::new(from));
    let (answers, waiting) = mpsc::channel(WAITING);
    let mut writing = tokio::spawn(write(to, waiting));
    loop {
        tokio::select! {
            call = shadow::read::<Call>(&mut from, MAX_FRAME_BYTES) => {
                let Some(call) = call.map_err(lost)? else { return Ok(()) };
                let (shadow, answers) = (Arc::clone(&shadow), answers.clone());
                tasks.spawn(async move {
                    // The other end goes away with the connection.
                    let _ = answers.send(shadow.answer(call).await).await;
                });
            }
            _ = &mut writing => return Ok(()),
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn write(to: OwnedWriteHalf, mut answers: mpsc::Receiver<Answer>) {
    let mut to = BufWriter::new(to);
    while let Some(answer) = answers.recv().await {
        let written = match shadow::write(&mut to, &answer).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let too_large = format!("its outcome cannot be told: {error}");
                shadow::write(&mut to, &Answer { id: answer.id, ran: Ran::Not(too_large) }).await
            }
            written => written,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Serves to the end on a runtime of its own, and ends the process: for programs that would go on with something else.
pub(crate) fn end_with(service: String, serving: impl Future<Output = Result<()>> + Send + 'static) -> ! {
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.map_err(|error| not_run(&service, error.to_string()))?.block_on(serving)
    };
    // Where this is called there may be a runtime, and one cannot be driven inside another.
    match std::thread::spawn(serve).join() {
        Ok(served) => end(served),
        // The panic has said what it was.
        Err(_) => std::process::exit(101),
    }
}

/// Ends the process, as `main` would with this.
pub(crate) fn end(served: Result<()>) -> ! {
    std::process::exit(match served {
        Ok(()) => 0,
        Err(error) => command_line::complained(&format!("Error: {error}"), 1),
    })
}
