//! SIGTERM and Ctrl-C.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for either. Says which.
pub(crate) async fn asked_to_stop() -> &'static str {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = tokio::signal::ctrl_c() => "Ctrl-C",
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    }
}

/// From now on a signal ends the process: whoever asks twice does not want to wait for the drain.
pub(crate) fn second_one_kills() {
    tokio::spawn(async {
        let signal = asked_to_stop().await;
        tracing::warn!(signal, "again: ending without draining");
        std::process::exit(130);
    });
}
