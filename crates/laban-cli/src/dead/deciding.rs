//! What `redrive` and `discard` are both asked: about which dead letters, by whom and why, and whether to begin at once.

use laban_flow::Mesh;
use laban_flow::dead::Standing;
use laban_wire::FlowReader;

use super::chosen::Chosen;
use super::filter::{Filter, Target};
use crate::{Failure, ask, terminal};

/// A decision about dead letters, as it is typed.
#[derive(clap::Args)]
pub(super) struct Deciding {
    /// One dead letter, such as `PAYMENT/16`; or a flow's business key, for all that are open in that flow
    #[arg(value_name = "STREAM/SEQ|FLOW", conflicts_with = "flow")]
    pub(super) target: Option<Target>,
    #[command(flatten)]
    filter: Filter,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Who decides, for the record [default: USER]
    #[arg(long, value_name = "NAME")]
    pub(super) by: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask before it is done to more than one
    #[arg(long)]
    yes: bool,
    /// Print JSON: one object a line
    #[arg(long)]
    pub(super) json: bool,
}

impl Deciding {
    /// Those in one of these states that it is about: one at least.
    pub(super) async fn chosen(
        &self,
        client: &async_nats::Client,
        reader: &FlowReader,
        mesh: &Mesh,
        states: &[Standing],
    ) -> Result<Chosen, Failure> {
        let chosen = Chosen::find(client, reader, mesh, (self.target.clone(), &self.filter), states).await?;
        if chosen.count() == 0 {
            return Err(Failure::NotDone(
                "no dead letter of those asked for is open; `laban dead list --all`".to_owned(),
            ));
        }
        Ok(chosen)
    }

    /// Says what would be done, such as `would discard`, and does nothing.
    pub(super) fn rehearse(&self, chosen: &Chosen, states: &[Standing], what: &str) -> Result<(), Failure> {
        chosen.still(states)?;
        if self.json { chosen.print_json() } else { terminal::print(&chosen.summary(what)) }
    }

    /// Whether it may be done to so many: asks, unless it is one or the command line says so.
    pub(super) fn confirm(&self, chosen: &Chosen, words: &Words) -> Result<(), Failure> {
        if chosen.count() <= 1 {
            return Ok(());
        }
        if self.yes {
            terminal::say(&format!("laban: {}", words.doing));
            return Ok(());
        }
        terminal::say(chosen.summary(words.each).trim_end());
        ask::may_go_on(&words.question)
    }
}

/// How a decision about more than one dead letter is put.
pub(super) struct Words {
    /// What is said where nobody is asked: `discarding 3 dead letters`.
    pub(super) doing: String,
    /// What stands before each of them: `to be discarded:`.
    pub(super) each: &'static str,
    pub(super) question: String,
}
