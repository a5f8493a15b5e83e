//! What a build is to do again, from a real broker.

use async_nats::HeaderMap;
use laban_flow::Mesh;
use laban_flow::replay::Selection;
use laban_flow::replay::shadow::{Case, Chosen, Plan, Scope, cases_of, plan};
use laban_wire::contract::Contract;
use laban_wire::shadow::Outcome as Recorded;
use laban_wire::{EventId, FlowId, FlowReader, HEADER, Meta, Millis, Reaction};
use serde_json::json;

use crate::history::declared;
use crate::live::{Live, Outcome};

const ON: &str = "order.placed";

impl Live {
    async fn store(&self, subject: &str, meta: &Meta) -> Outcome<EventId> {
        self.store_with(subject, meta, "{}").await
    }

    async fn store_with(&self, subject: &str, meta: &Meta, body: &'static str) -> Outcome<EventId> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, meta.to_header());
        self.js.publish_with_headers(subject.to_owned(), headers, body.into()).await?.await?;
        Ok(meta.id)
    }

    async fn placed(&self, flow: &str) -> Outcome<EventId> {
        self.store(&format!("{ON}.{flow}"), &Meta::root(EventId::root(), 1)).await
    }

    /// Output number `index` of payment's handler `charge`.
    async fn charged(&self, subject: &str, cause: EventId, index: usize) -> Outcome {
        let id = match subject.contains("._") {
            true => EventId::root(),
            false => EventId::derived(cause, "payment", "charge", index),
        };
        self.store(subject, &of_charge(id, cause)?).await?;
        Ok(())
    }
}

fn of_charge(id: EventId, cause: EventId) -> Outcome<Meta> {
    let reaction = Reaction {
        cause,
        on: ON.parse()?,
        handler: "charge".into(),
        attempt: 1,
        queue_ms: Millis::default(),
        handle_ms: Millis::default(),
    };
    Ok(Meta { id, version: Some(1), reaction: Some(reaction) })
}

fn contract() -> Contract {
    let handler = json!({ "name": "charge", "consumes": [ON] });
    serde_json::from_value(json!({ "service": "payment", "handlers": [handler], "events": [] })).unwrap()
}

/// Payment, which charges for what is placed, and says so in other flows as well.
async fn mesh() -> Outcome<(Live, FlowReader, Mesh)> {
    let live = Live::with(&[declared("payment", "charge", ON, &[])]).await?;
    let mesh = Mesh::discover(&live.client).await?;
    let reader = FlowReader::new(live.client.clone()).with_direct(live.connect().await?);
    Ok((live, reader, mesh))
}

async fn planned(reader: &FlowReader, mesh: &Mesh, inputs: Selection) -> Outcome<Plan> {
    let chosen = Chosen { inputs, ..Chosen::default() };
    let contract = contract();
    Ok(plan(reader, &Scope::of(mesh, &contract, &chosen)?).await?)
}

/// The subjects of what came of the reactions of a flow, one list for each.
async fn outcomes(reader: &FlowReader, mesh: &Mesh, flow: &str) -> Outcome<Vec<Vec<String>>> {
    let (contract, chosen) = (contract(), Chosen::default());
    let scope = Scope::of(mesh, &contract, &chosen)?;
    let mut all = Vec::new();
    for case in cases_of(reader, &scope, &flow.parse::<FlowId>()?).await? {
        let Case::Run(reaction) = &case else { panic!("{case:?}") };
        let Some(Recorded::Emitted(events)) = reaction.then.as_ref().map(|then| &then.outcome) else {
            panic!("{reaction:?}")
        };
        all.push(events.iter().map(|event| format!("{}.{}", event.event, event.flow)).collect());
    }
    Ok(all)
}

#[tokio::test]
async fn what_was_emitted_into_other_flows_belongs_to_the_reaction() -> Outcome {
    let (live, reader, mesh) = mesh().await?;
    let (one, two) = (live.placed("1").await?, live.placed("2").await?);
    // Numbered as they were emitted, and stored with those in the flow of the cause first.
    live.charged("payment.captured.1", one, 1).await?;
    live.charged("payment.noted.customer", one, 0).await?;
    live.charged("payment.noted.till", one, 2).await?;
    // Nothing in its own flow.
    live.charged("payment._handled.2", two, 0).await?;
    live.charged("payment.noted.customer", two, 0).await?;
    assert_eq!(
        outcomes(&reader, &mesh, "1").await?,
        [["payment.noted.customer", "payment.captured.1", "payment.noted.till"]]
    );
    assert_eq!(outcomes(&reader, &mesh, "2").await?, [["payment.noted.customer"]]);
    for other in ["customer", "till"] {
        assert_eq!(
            outcomes(&reader, &mesh, other).await?,
            Vec::<Vec<String>>::new(),
            "no reaction of its own"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_was_done_again_is_numbered_by_the_record_that_asked_for_it() -> Outcome {
    let (live, reader, mesh) = mesh().await?;
    let placed = live.placed("1").await?;
    live.charged("payment.captured.1", placed, 0).await?;
    let again = r#"{"again":{"stream":"ORDER","seq":1},"by":"ann","why":"the bank lost it"}"#;
    let asked = live.store_with("payment._redrive.1", &of_charge(EventId::root(), placed)?, again).await?;
    let id = |index| EventId::derived(asked, "payment", "charge", index);
    live.store("payment.captured.1", &of_charge(id(1), placed)?).await?;
    live.store("payment.noted.customer", &of_charge(id(0), placed)?).await?;
    assert_eq!(outcomes(&reader, &mesh, "1").await?, [["payment.noted.customer", "payment.captured.1"]]);
    Ok(())
}

#[tokio::test]
async fn a_plan_counts_inputs_and_names_flows_once() -> Outcome {
    let (live, reader, mesh) = mesh().await?;
    // More than a page, and a flow with two inputs.
    for flow in 0..1_100 {
        live.placed(&flow.to_string()).await?;
    }
    let again = live.placed("7").await?;
    live.charged("payment.captured.7", again, 0).await?;
    // One whose input is gone.
    live.charged("payment.captured.gone", EventId::root(), 0).await?;
    let all = planned(&reader, &mesh, Selection::default()).await?;
    assert_eq!((all.most_reactions, all.flows.len()), (1_101, 1_101));
    let flows = ["7", "8", "unheard-of"].map(|flow| flow.parse().unwrap()).to_vec();
    let some = planned(&reader, &mesh, Selection { flows, ..Selection::default() }).await?;
    assert_eq!(some.flows.iter().map(FlowId::key).collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!(some.most_reactions, 3);
    let late = planned(&reader, &mesh, Selection { from_seq: Some(1_101), ..Selection::default() }).await?;
    assert_eq!((late.most_reactions, late.flows[0].key()), (1, "7".to_owned()));
    assert_eq!(late.flows.len(), 1);
    Ok(())
}
