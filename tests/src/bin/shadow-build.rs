//! Builds of the shop's payment service that behave badly in a shadow: `shadow-build <way> <file>`.
//!
//! - `stuck` writes its process id into the file as soon as it reacts, and comes to no end;
//! - `dies` reacts to one event, and ends the process over the next;
//! - `opens` opens a state, which leaves the file behind, and reacts like a bank that is always open;
//! - `eager` starts by hand and without more ado, and would leave the file behind once it has started.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use laban::{Failure, Service, State};
use laban_tests::{Outcome, note};
use shop::events::{OrderPlaced, PaymentCaptured};

#[derive(Clone)]
struct World {
    way: String,
    file: PathBuf,
    reactions: Arc<AtomicU32>,
}

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (Some(way), Some(file)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        return Err("usage: shadow-build <way> <file>".into());
    };
    let world = World { way: way.clone(), file: file.clone(), reactions: Arc::default() };
    let service = Service::new("payment")
        .on(charge)
        .state_with({
            let world = world.clone();
            async move || {
                std::fs::write(&world.file, "opened")?;
                Ok::<_, std::io::Error>(world)
            }
        })
        .state_in_shadow(move |_| Ok(world.clone()))
        .own_arguments();
    if way == "eager" {
        let running = service.start().await?;
        std::fs::write(file, "started")?;
        running.wait().await?;
    } else {
        service.run().await?;
    }
    Ok(())
}

async fn charge(order: OrderPlaced, world: State<World>) -> Result<PaymentCaptured, Failure> {
    match world.way.as_str() {
        "stuck" => {
            tell_pid(&world.file);
            std::future::pending::<()>().await;
        }
        "dies" if world.reactions.fetch_add(1, Ordering::Relaxed) > 0 => {
            note("the till is on fire");
            std::process::exit(7);
        }
        _ => {}
    }
    let OrderPlaced { order_id, customer, total_cents, .. } = order;
    Ok(PaymentCaptured { order_id, customer, amount_cents: total_cents })
}

/// Whoever reads it sees all of it or nothing.
fn tell_pid(file: &Path) {
    let unfinished = file.with_extension("unfinished");
    let told = std::fs::write(&unfinished, std::process::id().to_string());
    if let Err(error) = told.and_then(|()| std::fs::rename(unfinished, file)) {
        note(&format!("cannot tell the process id: {error}"));
    }
}
