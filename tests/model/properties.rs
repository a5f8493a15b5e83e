//! What must hold in every state, and what must be seen in some, so that the model is known to bite.

use crate::broker::{Draft, Record};
use crate::choreography::REACTIONS;
use crate::protocol::Protocol;
use crate::state::{Known, Stage, State, Work};

/// What must hold in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// For each (cause, handler) the home stream has at most one effect, and at most one record of each attempt.
    Once,
    /// Of the messages of an outcome all are there or none.
    Whole,
    /// An event is acknowledged only when its effect is there.
    Kept,
    /// An event without its effect is still at the broker or in somebody's hands: it can be found.
    Found,
    /// What an instance takes for known of a flow is what the records say up to a sequence: nothing that is not there,
    /// and nothing left out.
    Known,
    /// Of the two reactions of a join exactly one sees the other.
    Joined,
}

impl Property {
    pub(crate) const ALL: [Self; 6] =
        [Self::Once, Self::Whole, Self::Kept, Self::Found, Self::Known, Self::Joined];

    /// What it means that it does not hold.
    pub(crate) fn broken(self) -> &'static str {
        match self {
            Self::Once => "something took effect twice",
            Self::Whole => "an outcome is there in part",
            Self::Kept => "an event is acknowledged without its effect",
            Self::Found => "an event is lost",
            Self::Known => "an instance is wrong about its own records",
            Self::Joined => "a join was missed, or took place twice",
        }
    }

    pub(crate) fn holds(self, protocol: &Protocol, state: &State) -> bool {
        let mut reactions = protocol.reactions();
        match self {
            Self::Once => state.home.flows.iter().all(|log| {
                let mut seen = 0_u64;
                log.history().iter().all(|record| {
                    let before = seen;
                    seen |= 1 << place(*record);
                    seen > before
                })
            }),
            Self::Whole => reactions.all(|reaction| {
                let messages = state.home.messages(reaction);
                messages == 0 || messages == REACTIONS[reaction].writes.len()
            }),
            Self::Kept => reactions.all(|reaction| {
                !state.inputs[reaction].acked
                    || state.home.messages(reaction) == REACTIONS[reaction].writes.len()
            }),
            Self::Found => reactions.all(|reaction| {
                !state.inputs[reaction].acked
                    || state.home.messages(reaction) > 0
                    || state.is_held(reaction)
                    || state.late.is_some()
            }),
            Self::Known => state.beliefs().all(|(flow, known)| {
                let log = &state.home.flows[flow];
                known.last <= log.newest() && *known == Known::of(log, known.last)
            }),
            Self::Joined => reactions.all(|reaction| {
                let other = REACTIONS[reaction].joins.filter(|_| protocol.scene.joins);
                match (state.home.gift(reaction), other.and_then(|other| state.home.gift(other))) {
                    (Some(here), Some(there)) => here != there,
                    _ => true,
                }
            }),
        }
    }
}

/// A number for what a record says was done, whatever came of it.
fn place(record: Record) -> u8 {
    match record {
        Record::Outcome { of, message, .. } => of * 8 + message,
        Record::Vanished { of, attempt } => 32 + of * 8 + attempt,
    }
}

/// What must be seen somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// An append was refused because something was written since.
    FenceLost,
    /// The same, to an instance whose delivery the broker has handed to another meanwhile.
    ZombieRefused,
    /// A reaction turned out to be done before.
    DuplicateAbsorbed,
    /// An append without an answer has taken effect,
    UnknownWritten,
    /// or has not.
    UnknownNotWritten,
    /// An append that its sender has given up arrives, and will be refused,
    LateRefused,
    /// or written.
    LateWritten,
    /// A vanished attempt is recorded.
    Vanished,
    /// An input is acknowledged by nobody, though its effect is there.
    AckMissing,
    /// An instance remembers less of a flow than there is.
    StaleMemory,
    /// A join was overtaken: what the handler made of the flow's state is no longer true.
    JoinOvertaken,
}

impl Sight {
    /// All but the last: what any two reactions show, with a fault or two.
    pub(crate) const OF_ANY_TWO: &[Self] = Self::ALL.split_at(10).0;

    pub(crate) const ALL: [Self; 11] = [
        Self::FenceLost,
        Self::ZombieRefused,
        Self::DuplicateAbsorbed,
        Self::UnknownWritten,
        Self::UnknownNotWritten,
        Self::LateRefused,
        Self::LateWritten,
        Self::Vanished,
        Self::AckMissing,
        Self::StaleMemory,
        Self::JoinOvertaken,
    ];

    pub(crate) fn is_seen(self, state: &State) -> bool {
        let home = &state.home;
        let refused = |work: &Work| {
            matches!(work.stage, Stage::Lost(_)) && work.known.last < home.flows[work.flow()].newest()
        };
        let unknown = |work: &Work| matches!(work.stage, Stage::Unknown(Draft::Outcome { .. }));
        let there = |reaction: usize| home.messages(reaction) > 0;
        match self {
            Self::FenceLost => state.works().any(refused),
            Self::ZombieRefused => state
                .works()
                .any(|work| refused(work) && work.delivery < state.inputs[work.reaction()].deliveries),
            Self::DuplicateAbsorbed => {
                state.works().any(|work| work.stage == Stage::Settled { duplicate: true })
            }
            Self::UnknownWritten => state.works().any(|work| unknown(work) && there(work.reaction())),
            Self::UnknownNotWritten => state.works().any(|work| unknown(work) && !there(work.reaction())),
            Self::LateRefused => state.late.is_some_and(|late| late.fence != home.flows[late.flow()].last()),
            Self::LateWritten => state.late.is_some_and(|late| late.fence == home.flows[late.flow()].last()),
            Self::Vanished => {
                let mut records = home.flows.iter().flat_map(|log| log.history());
                records.any(|record| matches!(record, Record::Vanished { .. }))
            }
            Self::AckMissing => {
                let mut inputs = state.inputs.iter().enumerate();
                inputs.any(|(reaction, input)| {
                    input.deliveries > 0 && !input.acked && there(reaction) && !state.is_held(reaction)
                })
            }
            Self::StaleMemory => state.beliefs().any(|(flow, known)| known.last < home.flows[flow].newest()),
            Self::JoinOvertaken => {
                state.works().any(|work| match (work.stage, REACTIONS[work.reaction()].joins) {
                    (Stage::Lost(Draft::Outcome { gift: false, .. }), Some(other)) => there(other),
                    _ => false,
                })
            }
        }
    }
}
