use laban_flow::Mesh;
use laban_flow::replay::Selection;
use laban_wire::{EventType, FlowId};
use time::OffsetDateTime;

use crate::flow::Moment;

/// Which events are handed over: all that the handlers react to, unless something is said here.
#[derive(clap::Args)]
#[command(next_help_heading = "Range")]
pub(super) struct Range {
    /// Not older than this: a time span (`2h`), or a time (`2026-11-26T18:00:00Z`)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Older than this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// From this sequence on, of one stream
    #[arg(long, value_name = "SEQ")]
    from_seq: Option<u64>,
    /// Up to this sequence, of one stream
    #[arg(long, value_name = "SEQ")]
    to_seq: Option<u64>,
    /// Only from this home stream; may be repeated
    #[arg(long, value_name = "NAME")]
    stream: Vec<String>,
    /// Only events of this type; may be repeated
    #[arg(long, value_name = "SERVICE.EVENT")]
    event: Vec<EventType>,
    /// Only of this flow; may be repeated
    #[arg(long, value_name = "FLOW")]
    flow: Vec<FlowId>,
}

impl Range {
    pub(super) fn selection(&self, mesh: &Mesh) -> Selection {
        let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
        Selection {
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            from_seq: self.from_seq,
            to_seq: self.to_seq,
            streams: self.stream.clone(),
            events: self.event.clone(),
            flows: self.flow.clone(),
            ..Selection::default()
        }
    }
}
