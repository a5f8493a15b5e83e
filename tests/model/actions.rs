//! What can happen next, and which function of the code it stands for.

use crate::broker::Log;
use crate::choreography::{FLOWS, Fault, INSTANCES, REACTIONS};
use crate::protocol::Protocol;
use crate::state::{Instance, Stage, State};
use crate::variants::Variant;

/// One step of an instance, of the broker or of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The broker delivers an event to an instance, where it lines up for its flow's turn.
    Deliver { reaction: usize, to: usize },
    /// A delivery takes its flow's turn: what is known is recalled, or was forgotten; read on, as far as `shown`, if
    /// the instance is unsure; then the handler runs.
    Begin { at: usize, reaction: usize, forgotten: bool, shown: u8 },
    /// The draft is appended.
    Append { at: usize, flow: usize, fate: Fate },
    /// After anything but a clear answer the records are read, as far as `shown`, and it is decided again.
    Read { at: usize, flow: usize, shown: u8 },
    /// The input is acknowledged, and the turn given back. The acknowledgement may be lost.
    Ack { at: usize, flow: usize, arrives: bool },
    /// The process ends, and another takes its place.
    Crash { at: usize },
    /// A consumer was deleted and is made anew: it delivers from the beginning, and counts from one.
    Renew { reaction: usize },
    /// An append that its sender has given up arrives after all.
    Arrive,
    /// Variant `DedupWindow`: time passes, and the broker forgets the message ids.
    WindowPasses,
    /// Variant `EvictsOldest`: the flow's oldest record makes room.
    Evict { flow: usize },
}

/// What becomes of an append. All but `Answered` are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// The broker has decided, and its answer is lost.
    AnswerLost,
    /// It never reaches the broker, or only a part of the batch does.
    Lost,
    /// It reaches the broker after its sender has stopped waiting.
    Late,
    /// Refused because a write is in flight (10164), whatever the fence.
    InFlight,
    /// The same again and again, with nothing new to read: what was known is given up, and read anew.
    InFlightForLong,
}

/// A file under `crates/laban/src/runtime`, and a function in it.
pub(crate) type Code = (&'static str, &'static str);

impl Action {
    /// What it stands for, the most telling first. Nothing for what the broker, the network and death do.
    pub(crate) fn code(&self) -> &'static [Code] {
        match self {
            Self::Deliver { .. } => &[
                ("pull.rs", "Puller::begin"),
                ("turns.rs", "Turns::line_up"),
                ("delivery.rs", "Delivery::of"),
            ],
            Self::Begin { .. } => &[
                ("handling.rs", "Handling::react"),
                ("core.rs", "Core::recall"),
                ("memory.rs", "Memory::take"),
                ("handling.rs", "Handling::attempt_until_settled"),
                ("failing.rs", "Handling::note_vanished"),
                ("attempt.rs", "Handling::attempt"),
            ],
            Self::Append { .. } => &[
                ("commit.rs", "Committer::commit"),
                ("append.rs", "Appender::append"),
                ("batches.rs", "Writer::send"),
                ("known.rs", "Known::wrote"),
            ],
            Self::Read { .. } => &[
                ("commit.rs", "Committer::recover"),
                ("commit.rs", "Committer::read_on"),
                ("known.rs", "Known::learn"),
            ],
            Self::Ack { .. } => &[
                ("delivery.rs", "Answers::ack"),
                ("memory.rs", "Memory::put"),
                ("failing.rs", "Handling::duplicate"),
            ],
            Self::Renew { .. } => &[("consumers.rs", "Position::attach")],
            Self::Crash { .. } | Self::Arrive | Self::WindowPasses | Self::Evict { .. } => &[],
        }
    }
}

impl Protocol {
    /// Everything that can happen next.
    pub(crate) fn enabled(&self, state: &State, actions: &mut Vec<Action>) {
        self.all(state, actions);
        let may_be = |action| self.fault(state, action).is_none_or(|fault| self.scene.kinds.contains(&fault));
        actions.retain(|action| may_be(*action));
    }

    /// Everything, with faults of any kind as long as there are any left.
    fn all(&self, state: &State, actions: &mut Vec<Action>) {
        if state.faults > 0 {
            let delivered = self.reactions().filter(|reaction| state.inputs[*reaction].deliveries > 0);
            actions.extend(delivered.map(|reaction| Action::Renew { reaction }));
        }
        // Nothing else could still do harm.
        if self.is_done(state) {
            return;
        }
        if self.is_calm(state)
            && let Some(alone) = self.out_of_the_way(state)
        {
            actions.push(alone);
            return;
        }
        self.deliveries(state, actions);
        for at in 0..INSTANCES.len() {
            self.begins(state, at, actions);
            self.of_instance(state, at, actions);
        }
        if state.late.is_some() {
            actions.push(Action::Arrive);
        }
        match self.variant {
            Variant::DedupWindow if state.home.flows.iter().any(Log::in_window_at_all) => {
                actions.push(Action::WindowPasses);
            }
            Variant::EvictsOldest => {
                let flows = (0..FLOWS.len()).filter(|flow| state.home.flows[*flow].can_evict());
                actions.extend(flows.map(|flow| Action::Evict { flow }));
            }
            _ => {}
        }
    }

    /// Whether nothing more goes wrong, so that some orders of steps make no difference.
    fn is_calm(&self, state: &State) -> bool {
        self.reduced && state.faults == 0
    }

    /// A step that gets in nobody's way, so that it may as well be the next: an acknowledgement, when it cannot be
    /// lost; a read after a lost fence, for a refused append changes nothing, and may have been made just before.
    fn out_of_the_way(&self, state: &State) -> Option<Action> {
        let mut turns = (0..INSTANCES.len()).flat_map(|at| (0..FLOWS.len()).map(move |flow| (at, flow)));
        turns.find_map(|(at, flow)| match state.instances[at].works[flow].as_ref()?.stage {
            Stage::Settled { .. } => Some(Action::Ack { at, flow, arrives: true }),
            Stage::Lost(_) if self.variant != Variant::StaleReads => {
                Some(Action::Read { at, flow, shown: state.home.flows[flow].newest() })
            }
            _ => None,
        })
    }

    fn deliveries(&self, state: &State, actions: &mut Vec<Action>) {
        // What nothing can happen to while it waits may as well come when its turn does: see `begins`.
        if self.is_calm(state) {
            return;
        }
        for reaction in self.reactions().filter(|reaction| state.faults > 0 || state.is_due(*reaction)) {
            let free = (0..INSTANCES.len()).filter(|at| state.instances[*at].line[reaction] == 0);
            let open = free.filter(|_| !state.inputs[reaction].acked);
            actions.extend(open.map(|to| Action::Deliver { reaction, to }));
        }
    }

    fn begins(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let instance = &state.instances[at];
        for reaction in self.reactions() {
            let flow = REACTIONS[reaction].flow;
            let is_here = instance.line[reaction] > 0 || (self.is_calm(state) && state.is_due(reaction));
            if !is_here || instance.works[flow].is_some() {
                continue;
            }
            for shown in self.shown(state, flow) {
                actions.push(Action::Begin { at, reaction, forgotten: false, shown });
                // Forgotten at any time before is the same as forgotten now.
                if instance.memory[flow].is_some() {
                    actions.push(Action::Begin { at, reaction, forgotten: true, shown });
                }
            }
        }
    }

    fn of_instance(&self, state: &State, at: usize, actions: &mut Vec<Action>) {
        let instance = &state.instances[at];
        for (flow, work) in instance.works.iter().enumerate() {
            match work.as_ref().map(|work| work.stage) {
                None => {}
                Some(Stage::Append(_)) => {
                    let mut push = |fate| actions.push(Action::Append { at, flow, fate });
                    push(Fate::Answered);
                    if state.faults > 0 {
                        [Fate::AnswerLost, Fate::Lost].into_iter().for_each(&mut push);
                        [Fate::InFlight, Fate::InFlightForLong].into_iter().for_each(&mut push);
                        if state.late.is_none() {
                            push(Fate::Late);
                        }
                    }
                }
                Some(Stage::Lost(_) | Stage::Unknown(_) | Stage::Forgotten(_)) => {
                    actions.extend(self.shown(state, flow).map(|shown| Action::Read { at, flow, shown }));
                }
                Some(Stage::Settled { .. }) => {
                    actions.push(Action::Ack { at, flow, arrives: true });
                    if state.faults > 0 {
                        actions.push(Action::Ack { at, flow, arrives: false });
                    }
                }
            }
        }
        if state.faults > 0 && *instance != Instance::default() {
            actions.push(Action::Crash { at });
        }
    }

    /// How far a read may show the flow: all of it, or, from a replica, any beginning of it.
    fn shown(&self, state: &State, flow: usize) -> std::ops::RangeInclusive<u8> {
        let newest = state.home.flows[flow].newest();
        let least = if self.variant == Variant::StaleReads { 0 } else { newest };
        least..=newest
    }

    /// What goes wrong when it happens, if anything.
    pub(crate) fn fault(&self, state: &State, action: Action) -> Option<Fault> {
        match action {
            Action::Deliver { reaction, .. } => (!state.is_due(reaction)).then_some(Fault::Freeze),
            Action::Append { fate, .. } => match fate {
                Fate::Answered => None,
                Fate::AnswerLost | Fate::Lost | Fate::Late => Some(Fault::NoAnswer),
                Fate::InFlight | Fate::InFlightForLong => Some(Fault::InFlight),
            },
            Action::Ack { arrives, .. } => (!arrives).then_some(Fault::AckLost),
            Action::Crash { .. } => Some(Fault::Crash),
            Action::Renew { .. } => Some(Fault::Renewal),
            _ => None,
        }
    }
}
