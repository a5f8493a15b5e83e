//! `laban flow export --format case`: a flow as a test.

use laban_flow::{Flow, Mesh};
use laban_wire::FlowId;
use laban_wire::case::{Case, Ignore};

use super::show::not_found;
use crate::{Connection, Failure, terminal};

/// The file of the case that this flow makes.
pub(super) async fn of(
    flow: &FlowId,
    ignore: Vec<Ignore>,
    connection: &Connection,
) -> Result<String, Failure> {
    let client = connection.connect().await?;
    let mesh = Mesh::discover(&client).await?;
    super::warn(&mesh);
    let found = Flow::read_whole(connection.reader(&client).await?, &mesh, flow).await?;
    let (found, messages) = found.ok_or_else(|| not_found(flow, &mesh.homes))?;
    for awaited in &found.awaited {
        let (service, handler, on) = (&awaited.service, &awaited.handler, &awaited.event);
        terminal::say(&format!(
            "laban: warning: {service}: {handler} has not reacted to {on} yet; the case is of what was there"
        ));
    }
    for unreadable in &found.unreadable {
        let (stream, seq, reason) = (&unreadable.stream, unreadable.seq, &unreadable.reason);
        terminal::say(&format!("laban: warning: message {seq} of stream {stream} is left out: {reason}"));
    }
    let no_case = |e: String| Failure::NotDone(format!("flow {:?} makes no case: {e}", flow.key()));
    if let Some(step) = found.steps.iter().find(|step| step.again) {
        let (service, handler) = (&step.service, step.handler.as_deref().unwrap_or_default());
        return Err(no_case(format!(
            "{service}: {handler} did something again on purpose, and a case has one outcome for each reaction"
        )));
    }
    let no_case = |e: laban_wire::case::InvalidCase| no_case(e.to_string());
    Case::new(flow.clone(), found.to_case(&messages), ignore).and_then(|case| case.to_json()).map_err(no_case)
}
