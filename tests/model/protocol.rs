//! The steps: what each action does.

use crate::actions::{Action, Fate};
use crate::broker::{Answer, Draft, Input, Request};
use crate::choreography::{REACTIONS, Scene};
use crate::search::System;
use crate::state::{Instance, Known, Stage, State, Work};
use crate::variants::Variant;

/// The protocol, in one of its variants, playing one scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) variant: Variant,
    pub(crate) scene: Scene,
    /// Whether states are left out that differ from others in nothing that matters.
    pub(crate) reduced: bool,
}

impl System for Protocol {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State { faults: self.scene.faults, ..State::default() }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.enabled(state, actions);
    }

    fn next(&self, state: &State, action: Action) -> State {
        self.canonical(self.step(state, action)).0
    }
}

impl Protocol {
    /// The reactions in the scene.
    pub(crate) fn reactions(&self) -> impl Iterator<Item = usize> + use<> {
        self.scene.reactions.iter().copied()
    }

    /// Whether every event is acknowledged, and nothing is left that could still do anything.
    pub(crate) fn is_done(&self, state: &State) -> bool {
        let idle = |instance: &Instance| {
            instance.works.iter().all(Option::is_none) && instance.line.iter().all(|delivery| *delivery == 0)
        };
        self.reactions().all(|reaction| state.inputs[reaction].acked)
            && state.late.is_none()
            && state.instances.iter().all(idle)
    }

    /// The state that stands for this one, and whether the instances have changed places in it.
    pub(crate) fn canonical(&self, state: State) -> (State, bool) {
        if self.reduced { state.canonical() } else { (state, false) }
    }

    /// The state after an action, without changing the places of the instances.
    pub(crate) fn step(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        if self.fault(state, action).is_some() {
            next.faults -= 1;
        }
        match action {
            Action::Deliver { reaction, to } => next.deliver(reaction, to),
            Action::Begin { at, reaction, forgotten, shown } => {
                if next.instances[at].line[reaction] == 0 {
                    next.deliver(reaction, at);
                }
                self.begin(&mut next, at, reaction, forgotten, shown);
            }
            Action::Append { at, flow, fate } => self.append(&mut next, at, flow, fate),
            Action::Read { at, flow, shown } => self.read(&mut next, at, flow, shown),
            Action::Ack { at, flow, arrives } => {
                let instance = &mut next.instances[at];
                if let Some(work) = instance.works[flow].take() {
                    let input = &mut next.inputs[work.reaction()];
                    // A consumer that has not delivered it takes no notice.
                    input.acked |= arrives && input.deliveries > 0;
                    instance.memory[flow] = Some(work.known);
                }
            }
            Action::Crash { at } => next.instances[at] = Instance::default(),
            Action::Renew { reaction } => next.inputs[reaction] = Input::default(),
            Action::Arrive => {
                if let Some(request) = next.late.take() {
                    // Nobody waits for the answer any more.
                    let _ = next.home.append(self.variant, &request);
                }
            }
            Action::WindowPasses => next.home.flows.iter_mut().for_each(|log| log.leave_window()),
            Action::Evict { flow } => next.home.flows[flow].evict(),
        }
        next
    }

    fn begin(&self, next: &mut State, at: usize, reaction: usize, forgotten: bool, shown: u8) {
        let flow = REACTIONS[reaction].flow;
        let log = &next.home.flows[flow];
        let instance = &mut next.instances[at];
        let delivery = std::mem::take(&mut instance.line[reaction]);
        let remembered = instance.memory[flow].take().filter(|_| !forgotten);

        let redelivered = delivery > 1;
        let unsure = redelivered || (remembered.is_none() && self.reads_flow(reaction));
        let mut known = remembered.unwrap_or_default();
        if unsure {
            known.learn(log, shown);
        }
        let tried = known.tried(reaction);
        let stage = if known.is_settled(reaction) {
            Stage::Settled { duplicate: true }
        } else if redelivered && delivery - 1 > tried {
            // More deliveries than recorded attempts: one ended without a word.
            Stage::Append(Draft::Vanished { attempt: tried + 1 })
        } else {
            Stage::Append(self.run(reaction, &known))
        };
        instance.works[flow] = Some(Work { of: reaction as u8, delivery, known, stage });
        if self.variant == Variant::AckFirst {
            next.inputs[reaction].acked = true;
        }
    }

    /// Whether the handler reads the flow's state.
    fn reads_flow(&self, reaction: usize) -> bool {
        self.scene.joins && REACTIONS[reaction].joins.is_some()
    }

    /// Runs the handler.
    fn run(&self, reaction: usize, known: &Known) -> Draft {
        let other = REACTIONS[reaction].joins.filter(|_| self.scene.joins);
        Draft::Outcome { gift: other.is_some_and(|other| known.is_settled(other)), from: 0 }
    }

    fn append(&self, next: &mut State, at: usize, flow: usize, fate: Fate) {
        let State { instances, home, late, .. } = next;
        let Some(work) = &mut instances[at].works[flow] else { return };
        let Stage::Append(draft) = work.stage else { return };
        let request = Request { of: work.of, fence: work.known.last, draft };
        if self.variant == Variant::KnownWhenSent {
            let in_flow = request.records(self.variant).filter(|(to, _)| *to == flow).count();
            work.known.wrote(&request, request.fence + in_flow as u8);
        }
        work.stage = match fate {
            Fate::Answered => match home.append(self.variant, &request) {
                Answer::Written { last } => self.written(work, &request, last),
                Answer::FenceLost => self.lost(work, draft, home.flows[flow].last()),
            },
            Fate::AnswerLost => {
                let _ = home.append(self.variant, &request);
                self.unanswered(draft)
            }
            Fate::Lost => self.unanswered(draft),
            Fate::Late => {
                *late = Some(request);
                self.unanswered(draft)
            }
            Fate::InFlight => self.lost(work, draft, home.flows[flow].last()),
            Fate::InFlightForLong => match self.lost(work, draft, home.flows[flow].last()) {
                Stage::Lost(draft) => {
                    work.known = Known::default();
                    Stage::Forgotten(draft)
                }
                other => other,
            },
        };
    }

    fn written(&self, work: &mut Work, request: &Request, last: u8) -> Stage {
        work.known.wrote(request, last);
        match request.draft {
            // The attempt that vanished is recorded; now the next one.
            Draft::Vanished { .. } => Stage::Append(self.run(work.reaction(), &work.known)),
            Draft::Outcome { gift, from } => {
                let from = from + 1;
                let more = usize::from(from) < REACTIONS[work.reaction()].writes.len();
                if self.variant == Variant::MessageByMessage && more {
                    Stage::Append(Draft::Outcome { gift, from })
                } else {
                    Stage::Settled { duplicate: false }
                }
            }
        }
    }

    fn lost(&self, work: &mut Work, draft: Draft, last: u8) -> Stage {
        match self.variant {
            Variant::LostMeansDone => Stage::Settled { duplicate: true },
            Variant::LostMeansAgain => {
                work.known.last = last;
                Stage::Append(draft)
            }
            _ => Stage::Lost(draft),
        }
    }

    fn unanswered(&self, draft: Draft) -> Stage {
        match self.variant {
            Variant::UnknownMeansDone => Stage::Settled { duplicate: false },
            Variant::UnknownMeansAgain => Stage::Append(draft),
            _ => Stage::Unknown(draft),
        }
    }

    fn read(&self, next: &mut State, at: usize, flow: usize, shown: u8) {
        let log = &next.home.flows[flow];
        let Some(work) = &mut next.instances[at].works[flow] else { return };
        let (draft, mut forgotten) = match work.stage {
            Stage::Lost(draft) | Stage::Unknown(draft) => (draft, false),
            Stage::Forgotten(draft) => (draft, true),
            Stage::Append(_) | Stage::Settled { .. } => return,
        };
        let news = work.known.learn(log, shown);
        if !news && work.known.last > log.last() {
            // Records that were known are gone: start from what is there.
            work.known = Known::default();
            work.known.learn(log, shown);
            forgotten = true;
        }
        let changed = if forgotten { self.variant != Variant::KeptWhenForgotten } else { news };
        let reaction = work.reaction();
        work.stage = match draft {
            _ if work.known.is_settled(reaction) => Stage::Settled { duplicate: true },
            // It is recorded: by this append, or by another instance.
            Draft::Vanished { attempt } if work.known.tried(reaction) >= attempt => {
                Stage::Append(self.run(reaction, &work.known))
            }
            Draft::Outcome { .. }
                if changed && self.reads_flow(reaction) && self.variant != Variant::NoRerun =>
            {
                Stage::Append(self.run(reaction, &work.known))
            }
            _ => Stage::Append(draft),
        };
    }
}
