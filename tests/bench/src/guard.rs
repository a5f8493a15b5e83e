//! What one hop costs in instructions, against a budget: the same on any day, whatever else the machine does.
//!
//! The chain runs under valgrind, on one thread, with few flows and with more. The difference is what the flows cost,
//! without start and stop.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contestants::Runtime;
use crate::driver::{Allocator, Bench, Entrant, HOPS, Kind, Rig, Setup};
use crate::error::{Doing as _, Error, Result};
use crate::progress::Progress;

/// Flows of the two runs.
const FLOWS: [u64; 2] = [400, 2_000];

/// The budget, as it is checked in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// How much above its budget a hop may be.
    tolerance_percent: f64,
    /// For what the budget was made: an instruction on another architecture is another thing.
    architecture: String,
    /// Instructions of one hop.
    hop: Hop,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hop {
    laban: u64,
    laban_untraced: u64,
    /// Without a budget: what there is to compare with.
    raw: u64,
}

/// Counts, and compares with the budget or writes a new one. False when a hop costs too much.
pub(crate) async fn run(logs: &Path, renew: bool, progress: Progress) -> Result<bool> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    if !installed("valgrind") {
        if renew {
            return Err(Error::new("a budget is made with valgrind, which is not installed"));
        }
        progress.say("guard: LEFT OUT, since valgrind is not installed");
        return Ok(true);
    }
    let bench = Bench { logs: logs.to_owned(), runtime: Runtime::CurrentThread };
    let mut hop = Hop { laban: 0, laban_untraced: 0, raw: 0 };
    let measured = [
        (Kind::Raw, &mut hop.raw),
        (Kind::LabanUntraced, &mut hop.laban_untraced),
        (Kind::Laban, &mut hop.laban),
    ];
    for (kind, cost) in measured {
        *cost = per_hop(&bench, kind).await?;
        progress.say(&format!("guard: {}: {cost} instructions a hop", kind.name()));
    }
    if renew {
        let architecture = std::env::consts::ARCH.to_owned();
        let budget = Budget { tolerance_percent: 5.0, architecture, hop };
        let text = serde_json::to_string_pretty(&budget).doing("write the budget")?;
        std::fs::write(&file, text + "\n").doing(format_args!("write {}", file.display()))?;
        progress.say("guard: new budget in tests/bench/instructions.json; commit it with what it is for");
        return Ok(true);
    }
    let text = std::fs::read(&file).doing(format_args!("read {}", file.display()))?;
    let budget: Budget = serde_json::from_slice(&text).doing(format_args!("read {}", file.display()))?;
    if budget.architecture != std::env::consts::ARCH {
        progress.say(&format!("guard: not compared, since the budget is for {}", budget.architecture));
        return Ok(true);
    }
    let rows = [
        (Kind::Laban, hop.laban, budget.hop.laban),
        (Kind::LabanUntraced, hop.laban_untraced, budget.hop.laban_untraced),
    ];
    let mut good = true;
    for (kind, cost, allowed) in rows {
        let percent = 100.0 * (cost as f64 / allowed as f64 - 1.0);
        let within = percent <= budget.tolerance_percent;
        good &= within;
        let verdict = if within { "within" } else { "OVER" };
        progress.say(&format!("guard: {}: {percent:+.1}% of a budget of {allowed}: {verdict}", kind.name()));
        if percent < -budget.tolerance_percent {
            progress.say("guard: much better than the budget; `make guard RENEW=1` keeps it so");
        }
    }
    if !good {
        progress.say("guard: find out why (docs/performance.md), or accept it with `make guard RENEW=1`");
    }
    Ok(good)
}

async fn per_hop(bench: &Bench, kind: Kind) -> Result<u64> {
    let [few, many] = [counted(bench, kind, FLOWS[0]).await?, counted(bench, kind, FLOWS[1]).await?];
    Ok(many.saturating_sub(few) / ((FLOWS[1] - FLOWS[0]) * HOPS))
}

/// All instructions of a process that lets so many flows through.
async fn counted(bench: &Bench, kind: Kind, flows: u64) -> Result<u64> {
    let counts = bench.logs.join(format!("callgrind-{}-{flows}", kind.name()));
    let setup = Setup::chain(bench, Entrant { kind, allocator: Allocator::System })?;
    let mut rig = Rig::start(bench, setup.under_valgrind(&counts)).await?;
    rig.publish(flows).await?;
    rig.all_arrived().await?;
    rig.stop().await?;
    let text = std::fs::read_to_string(&counts).doing(format_args!("read {}", counts.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| Error::new(format!("{} has no totals", counts.display())))
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
