//! The dead letters that a command is about: one, those of a flow, or those of a filter.

use laban_flow::Mesh;
use laban_flow::dead::{self, Groups, Letter, Letters, Standing};
use laban_wire::FlowReader;

use super::filter::{Filter, Target};
use super::text::{Text, counted};
use super::write;
use crate::{Failure, terminal};

/// Fewer are named one by one.
pub(super) const FEW: usize = 20;

/// What was chosen, before anything is done about it.
pub(super) struct Chosen {
    source: Source,
    /// The first of them, up to [`FEW`] and one more.
    pub(super) first: Vec<Letter>,
    pub(super) groups: Groups,
}

enum Source {
    One(Option<Box<Letter>>),
    Many(Box<Letters>),
}

impl Chosen {
    /// Looks for them, and counts them.
    pub(super) async fn find(
        client: &async_nats::Client,
        reader: &FlowReader,
        mesh: &Mesh,
        (target, filter): (Option<Target>, &Filter),
        states: &[Standing],
    ) -> Result<Self, Failure> {
        let flow = match target.map(|target| target.resolved(mesh)).transpose()? {
            None if filter.is_empty() => {
                let message =
                    "say which: one (`PAYMENT/16`), a flow, or a filter such as --fingerprint or --service";
                return Err(Failure::Usage(message.to_owned()));
            }
            None => None,
            Some(Target::Flow(flow)) => Some(flow),
            Some(Target::Letter(place)) if !filter.is_empty() => {
                return Err(Failure::Usage(format!(
                    "{place} is one dead letter: there is nothing to be filtered"
                )));
            }
            Some(Target::Letter(place)) => {
                let found = dead::at(reader, mesh, &place).await?;
                let letter =
                    found.ok_or_else(|| Failure::NotDone(format!("there is no dead letter at {place}")))?;
                if letter.place != place {
                    let message =
                        format!("given up again since {place}: the dead letter is {}", letter.place);
                    return Err(Failure::NotDone(message));
                }
                let mut groups = Groups::default();
                groups.add(&letter);
                let first = vec![letter.clone()];
                return Ok(Self { source: Source::One(Some(Box::new(letter))), first, groups });
            }
        };
        let mut query = filter.query(mesh, states.to_vec())?;
        if flow.is_some() {
            query.flow = flow;
        }
        let mut letters = Letters::find(client, reader.clone(), mesh, query).await?;
        let progress = terminal::progress("looking for dead letters");
        let (mut groups, mut first) = (Groups::default(), Vec::new());
        while let Some(letter) = letters.next().await? {
            groups.add(&letter);
            if first.len() <= FEW {
                first.push(letter);
            }
            progress.set_message(format!("{}, {} looked at", counted(groups.all()), letters.records()));
        }
        progress.finish_and_clear();
        letters.rewind();
        Ok(Self { source: Source::Many(Box::new(letters)), first, groups })
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.groups.all()
    }

    /// The next one of them, as it stands now.
    pub(super) async fn next(&mut self) -> Result<Option<Letter>, Failure> {
        match &mut self.source {
            Source::One(letter) => Ok(letter.take().map(|letter| *letter)),
            Source::Many(letters) => Ok(letters.next().await?),
        }
    }

    /// Whether the one that was named is in one of these states.
    pub(super) fn still(&self, states: &[Standing]) -> Result<(), Failure> {
        match &self.source {
            Source::One(Some(letter)) if !states.contains(&letter.state) => {
                Err(Failure::NotDone(format!("{} is not open: {}", letter.place, write::first(letter))))
            }
            _ => Ok(()),
        }
    }

    /// The groups, an object a line.
    pub(super) fn print_json(&self) -> Result<(), Failure> {
        let groups = self.groups.clone().into_sorted();
        let lines: String = groups.iter().map(|group| format!("{}\n", serde_json::json!(group))).collect();
        terminal::print(&lines)
    }

    /// What would be done about which of them.
    pub(super) fn summary(&self, what: &str) -> String {
        let text = Text::for_terminal();
        if self.first.len() <= FEW {
            return self.first.iter().map(|letter| format!("{what} {}\n", text.name(letter))).collect();
        }
        let groups = self.groups.clone().into_sorted();
        let groups: String = groups.iter().map(|group| text.group(group)).collect();
        format!("{groups}{what} {}\n", counted(self.count()))
    }
}
