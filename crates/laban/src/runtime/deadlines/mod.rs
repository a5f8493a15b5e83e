//! Deadlines: a handler that runs unless something else follows in time.
//!
//! The event that it reacts to sets a timer (`arming`), what it waits for stops it (`cancelling`), and a timer that comes
//! hands the event to the handler (`due`), unless what it waits for has come. Only that last look counts: setting and
//! stopping may be late, or happen twice.

mod arming;
mod cancelling;
mod due;

pub(crate) use self::due::Due;
