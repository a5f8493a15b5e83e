//! An instance that dies beside another one, which has work of its own and takes over.

use laban_tests::Outcome;

use crate::check::Check;
use crate::run::Run;
use crate::script::Script;

/// The two take turns, so that one of the first flows comes to the one that dies.
const MOST: usize = 500;

/// Gives both flow after flow until the one has died, and returns what is wrong with what came of all of them.
pub(crate) async fn findings(run: &Run) -> Outcome<Vec<String>> {
    let (case, account) = (run.case, &run.account);
    let other = run.start(run.switches)?;
    account.until_home(case.situation.service()).await?;
    let first = run.start(&run.with_switches(&case.faults()))?;
    let (mut awaited, mut expected) = (Vec::new(), Vec::new());
    for n in 0..MOST {
        let script = Script::of(case.situation, &n.to_string())?;
        expected.extend(script.expected);
        let mut given = Vec::new();
        for one in script.groups.iter().flatten() {
            given.extend(account.give(one).await?);
        }
        let settled = async || {
            for one in &given {
                if !account.is_acked(one).await {
                    return false;
                }
            }
            true
        };
        first.until("a flow to end", async || first.fault().is_some() || settled().await).await?;
        awaited.extend(given);
        if first.fault().is_some() {
            break;
        }
    }
    first.until_fault().await?;
    run.is_as_told(&first)?;
    first.until_killed().await?;
    account.until_acked(&awaited).await.map_err(|error| other.told(&format!("{error:?}")))?;
    other.until_idle().await?;
    let service = case.situation.service();
    let check = Check { service, expected: &expected, notes: case.notes(), roots: case.roots() };
    Ok(check.findings(&account.records(service).await?))
}
