use crate::CHOREOGRAPHY;

/// What the broker does not know of the choreography yet.
pub(super) async fn undeclared(client: &async_nats::Client) -> Vec<String> {
    let reactions = match laban_flow::Mesh::discover(client).await {
        Ok(mesh) => mesh.reactions,
        Err(error) => return vec![error.to_string()],
    };
    let declared = |(service, handler, event): (&str, &str, &str)| {
        reactions
            .iter()
            .any(|one| one.service == service && one.handler == handler && one.on.as_str() == event)
    };
    let missing = CHOREOGRAPHY.into_iter().filter(|reaction| !declared(*reaction));
    missing.map(|(service, handler, event)| format!("{service} {handler} on {event}")).collect()
}
