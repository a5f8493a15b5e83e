//! Users who may not see everything.

use laban_testkit::Broker;

use crate::rig::*;

/// A user `m` who may do anything, and `d` who may publish to these subjects alone.
fn users(allowed: &[&str]) -> String {
    with_permissions(&format!("publish: [{}]", quoted(allowed)))
}

fn quoted(subjects: &[&str]) -> String {
    subjects.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ")
}

fn with_permissions(permissions: &str) -> String {
    format!(
        "authorization {{ users: [{{user: m, password: m}}, {{user: d, password: d, permissions: {{ {permissions} }} }}] }}\n\
         no_auth_user: m"
    )
}

async fn examine_as(allowed: &[&str]) -> Outcome<laban_flow::doctor::Examination> {
    examine_with(users(allowed)).await
}

async fn examine_with(users: String) -> Outcome<laban_flow::doctor::Examination> {
    let broker = Broker::builder().config(users).start().await?;
    let url = broker.url().replace("nats://", "nats://d:d@");
    let rig = Rig::bare(broker).await?.furnished(1).await?;
    rig.place("4711").await?;
    Ok(examine_at(&url, Vec::new(), BRIEFLY).await)
}

/// What docs/doctor.md says is needed.
const NEEDED: [&str; 8] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.LIST",
    "$JS.API.CONSUMER.LIST.>",
    "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.MSG.GET.>",
    "$JS.API.DIRECT.GET.>",
    "$SRV.STATS",
    "$SYS.REQ.ACCOUNT.PING.STATZ",
];

#[tokio::test]
async fn a_user_who_may_only_read_sees_everything_but_the_monitoring() -> Outcome {
    let examined = examine_as(&NEEDED).await?;
    let unseen: Vec<_> = examined.unseen.iter().map(|one| one.what.as_str()).collect();
    assert!(unseen.len() == 1 && unseen[0].starts_with("`sync_interval`"), "{unseen:?}");
    assert_eq!(named(&examined), ["warning: nobody-asks ORDER/payment_charge_order_placed"]);
    assert_eq!((examined.looked_at.servers, examined.looked_at.flows), (1, 1));
    let page = include_str!("../../../../docs/doctor.md");
    for subject in NEEDED {
        assert!(page.contains(&format!("`{subject}`")), "{subject} is not in docs/doctor.md");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_user_may_not_see_is_listed_and_nothing_is_made_of_it() -> Outcome {
    let begun = std::time::Instant::now();
    let examined = examine_as(&["$JS.API.STREAM.LIST"]).await?;
    // Silence would have been waited for ten seconds at a time.
    let took = begun.elapsed();
    assert_eq!(named(&examined), [""; 0], "{examined:#?}");
    let unseen: Vec<_> = examined.unseen.iter().map(|one| (one.what.as_str(), one.remedy.as_str())).collect();
    for (what, subject) in [
        ("the limits of the account", "$JS.API.INFO"),
        ("contracts", "$JS.API.STREAM.MSG.GET.KV_laban_contracts"),
        ("the consumers of stream ORDER", "$JS.API.CONSUMER.LIST.ORDER"),
        ("the servers' versions, and their clocks", "$SYS.REQ.ACCOUNT.PING.STATZ"),
        ("instances of services", "$SRV.STATS"),
    ] {
        let remedy = format!("allow it to publish to `{subject}`");
        assert!(unseen.contains(&(what, &remedy)), "{what}: {unseen:#?}, after {took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn who_may_see_nothing_is_told_so() -> Outcome {
    let examined = examine_as(&["nothing"]).await?;
    assert_eq!(named(&examined), [""; 0], "{examined:#?}");
    assert!(examined.unseen.len() >= 5, "{examined:#?}");
    Ok(())
}

#[tokio::test]
async fn who_may_not_hear_answers_is_told_so_and_silence_is_not_taken_for_a_cluster_without_a_leader()
-> Outcome {
    let examined = examine_with(with_permissions("subscribe: [\"nothing\"]")).await?;
    assert_eq!(named(&examined), [""; 0], "{examined:#?}");
    let deaf =
        examined.unseen.iter().filter(|one| one.why.starts_with("this user may not subscribe to `_INBOX."));
    assert!(deaf.count() >= 5, "{examined:#?}");
    Ok(())
}
