//! Flow state that has no beginning.

use laban::{BoxError, FlowState, Record};

struct Parcel {
    paid: bool,
}

impl FlowState for Parcel {
    fn apply(&mut self, _: &Record) -> Result<(), BoxError> {
        self.paid = true;
        Ok(())
    }
}

fn main() {}
