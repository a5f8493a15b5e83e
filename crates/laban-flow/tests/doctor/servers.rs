//! Servers: without JetStream, too old, of different versions, with another time.

use futures_util::StreamExt as _;
use laban_testkit::Broker;
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::rig::*;

#[tokio::test]
async fn a_broker_without_jetstream_is_found() -> Outcome {
    let broker = Broker::builder().jetstream(false).start().await?;
    let examined = examine_at(&broker.url(), Vec::new(), BRIEFLY).await;
    assert_eq!(named(&examined), ["error: jetstream-off account"], "{examined:#?}");
    Ok(())
}

#[tokio::test]
async fn an_account_without_jetstream_is_found() -> Outcome {
    let accounts = "accounts { PLAIN { users: [{user: p, password: p}] }, MESH { jetstream: enabled, users: [] } }\n\
                    no_auth_user: p";
    let broker = Broker::builder().config(accounts).start().await?;
    let examined = examine_at(&broker.url(), Vec::new(), BRIEFLY).await;
    assert_eq!(named(&examined), ["error: jetstream-off account"], "{examined:#?}");
    Ok(())
}

/// Answers as one more server does: the question goes to everybody.
async fn one_more(rig: &Rig, version: &'static str, ahead: Duration) -> Outcome {
    let mut asked = rig.client.subscribe("$SYS.REQ.ACCOUNT.PING.STATZ").await?;
    rig.client.flush().await?;
    let client = rig.client.clone();
    tokio::spawn(async move {
        while let Some(question) = asked.next().await {
            let time = (OffsetDateTime::now_utc() + ahead).format(&Rfc3339).unwrap();
            let answer = json!({"server": {"name": "zz", "ver": version, "jetstream": false, "time": time}, "data": {}});
            client.publish(question.reply.unwrap(), answer.to_string().into()).await.unwrap();
        }
    });
    Ok(())
}

#[tokio::test]
async fn servers_that_are_too_old_or_differ_are_found() -> Outcome {
    let rig = Rig::healthy().await?;
    one_more(&rig, "2.11.11", Duration::ZERO).await?;
    let examined = rig.examine().await;
    assert_eq!(
        named(&examined),
        ["error: server-too-old zz", "warning: servers-differ cluster", "note: jetstream-off zz"]
    );
    assert!(told(&examined, "servers-differ cluster").contains("2.11.11: zz"));
    Ok(())
}

#[tokio::test]
async fn servers_whose_clocks_differ_are_found() -> Outcome {
    let rig = Rig::healthy().await?;
    let version = Box::leak(rig.client.server_info().version.into_boxed_str());
    one_more(&rig, version, Duration::minutes(1)).await?;
    let found = named(&rig.examine().await);
    // Of two nobody is right: which of them is named does not matter.
    let drifts = found.iter().filter(|one| one.starts_with("error: clock-drift ")).count();
    assert!(drifts >= 1, "{found:?}");
    Ok(())
}
