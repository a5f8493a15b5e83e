//! What became of dead letters, from one service's records of one flow.

use std::collections::HashMap;
use std::sync::Arc;

use laban_wire::{
    Again, Asked, DEAD, DISCARDED, Dead, Discarded, EventId, Message, REDRIVE, RETRYING, Reaction, Redrive,
    Retrying, Stored,
};
use serde::de::DeserializeOwned;

use super::letter::trace_of;
use super::{Entry, Letter, Place, Standing, What};

/// One reaction, as far as it has been read.
#[derive(Default)]
struct Story {
    history: Vec<Entry>,
    letter: Option<Letter>,
    /// Whether it has taken effect, and is neither done again nor given up since.
    took_effect: bool,
}

/// The dead letters among one service's records of one flow, in the order in which they were given up first. Records come
/// oldest first; those that cannot be read tell nothing.
pub fn letters_of(records: impl IntoIterator<Item = Stored>) -> Vec<Letter> {
    let mut stories = HashMap::<(EventId, Arc<str>), Story>::new();
    let mut last_seq = 0;
    for stored in records {
        last_seq = stored.seq;
        let Ok(message) = Message::try_from(stored) else { continue };
        let Some(reaction) = message.meta.reaction.clone() else { continue };
        let story = stories.entry((reaction.cause, Arc::clone(&reaction.handler))).or_default();
        story.read(&message, &reaction);
    }
    let told = stories
        .into_values()
        .filter_map(|Story { history, letter, .. }| Some(Letter { history, last_seq, ..letter? }));
    let mut letters: Vec<Letter> = told.collect();
    letters.sort_by(|a, b| (a.first_at, &a.place).cmp(&(b.first_at, &b.place)));
    letters
}

impl Story {
    /// Takes in one record, by the rule that the service itself goes by.
    fn read(&mut self, message: &Message, reaction: &Reaction) {
        let what = match message.subject.event_type.event() {
            RETRYING => body::<Retrying>(message)
                .map(|body| What::Failed { attempt: reaction.attempt, error: body.error }),
            DEAD => {
                self.took_effect = false;
                body::<Dead>(message).map(|body| self.given_up(message, reaction, body))
            }
            REDRIVE => Asked::read(&message.payload).ok().map(|asked| self.asked(asked)),
            DISCARDED => body::<Discarded>(message).map(|body| {
                let absorbed = !self.decide(body.dead_seq, Standing::is_open, Standing::Discarded);
                let Discarded { dead_seq, by, why } = body;
                What::Discarded { dead_seq, by, why, absorbed }
            }),
            _ => {
                self.took_effect = true;
                if let Some(letter) = &mut self.letter {
                    letter.state = Standing::Succeeded;
                }
                let event = message.subject.event_type.as_str().to_owned();
                Some(What::TookEffect { event, attempt: reaction.attempt })
            }
        };
        let (id, at, trace_id) = (message.meta.id, message.at, trace_of(message));
        self.history.extend(what.map(|what| Entry { seq: message.seq, id, at, trace_id, what }));
    }

    fn asked(&mut self, asked: Asked) -> What {
        match asked {
            Asked::HandBack(Redrive { dead_seq, by, why, payload }) => {
                let from = |state: Standing| state.is_open() || state == Standing::Discarded;
                let absorbed = !self.decide(dead_seq, from, Standing::Redriven);
                What::HandedBack { dead_seq, by, why, payload, absorbed }
            }
            Asked::Again(Again { by, why, .. }) => {
                let absorbed = !std::mem::take(&mut self.took_effect);
                What::Again { by, why, absorbed }
            }
        }
    }

    /// Whether a decision counts: it names the dead letter that stands, in a state that it can be made in.
    fn decide(&mut self, dead_seq: u64, from: impl Fn(Standing) -> bool, to: Standing) -> bool {
        let letter = self.letter.as_mut();
        let letter = letter.filter(|letter| letter.place.seq == dead_seq && from(letter.state));
        letter.map(|letter| letter.state = to).is_some()
    }

    fn given_up(&mut self, message: &Message, reaction: &Reaction, body: Dead) -> What {
        let before = self.letter.as_ref();
        let (times, first_at) = before.map_or((0, message.at), |letter| (letter.times, letter.first_at));
        let Dead { reason, error, attempts, fingerprint, input, .. } = body;
        self.letter = Some(Letter {
            place: Place { stream: message.stream.to_string(), seq: message.seq },
            state: if times == 0 { Standing::Open } else { Standing::FailedAgain },
            service: message.subject.event_type.service().to_owned(),
            handler: reaction.handler.to_string(),
            event: reaction.on.clone(),
            cause: reaction.cause,
            flow: message.subject.flow.clone(),
            times: times + 1,
            first_at,
            last_at: message.at,
            reason,
            error: error.clone(),
            fingerprint: fingerprint.clone(),
            attempts,
            trace_id: trace_of(message),
            input,
            history: Vec::new(),
            last_seq: message.seq,
        });
        What::GivenUp { reason, error, fingerprint, attempts }
    }
}

fn body<T: DeserializeOwned>(message: &Message) -> Option<T> {
    serde_json::from_slice(&message.payload).ok()
}
