use laban_flow::replay::Selection;
use laban_wire::{EventType, FlowId};
use time::OffsetDateTime;

use crate::flow::moment::Moment;

/// Which records: all that is said must hold; where several of a kind are named, one of them.
///
/// Which service is meant is not among it: a command may mean the service that wrote the records, or the one that reacts.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// Not older than this: a time span (`2h`), or a time (`2026-11-26T18:00:00Z`)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Older than this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// From this sequence on; sequences are of one stream, so one must be named, or a service
    #[arg(long, value_name = "SEQ")]
    from_seq: Option<u64>,
    /// Up to this sequence, and including it
    #[arg(long, value_name = "SEQ")]
    to_seq: Option<u64>,
    /// In this home stream; may be repeated, or separated by commas
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    stream: Vec<String>,
    /// Of this type, or of a system record's (`payment._dead`); may be repeated, or separated by commas
    #[arg(long, value_name = "SERVICE.EVENT", value_delimiter = ',')]
    event: Vec<EventType>,
    /// Of the flow with this business key; may be repeated
    #[arg(long, value_name = "FLOW")]
    flow: Vec<FlowId>,
}

impl SelectionArgs {
    /// What is selected, of all services; `now` is the broker's time.
    pub(super) fn selection(self, now: OffsetDateTime) -> Selection {
        Selection {
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            from_seq: self.from_seq,
            to_seq: self.to_seq,
            streams: self.stream,
            events: self.event,
            flows: self.flow,
            ..Selection::default()
        }
    }
}
