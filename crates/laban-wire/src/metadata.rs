//! What home streams and consumers say about themselves: metadata keys, set by the runtime and read by the reading side.

/// On a home stream: the version of the wire format ([`WIRE_VERSION`]).
pub const WIRE: &str = "laban.wire";
/// The wire format that this crate reads and writes.
pub const WIRE_VERSION: &str = "1";
/// On a home stream: the service that writes it. On a consumer: the service that reacts.
pub const SERVICE: &str = "laban.service";
/// On a consumer: the handler that reacts.
pub const HANDLER: &str = "laban.handler";
/// On a consumer: the one event type it consumes.
pub const EVENT: &str = "laban.event";
/// On a consumer: the event types whose effect the handler undoes, separated by spaces. Absent when there are none.
pub const COMPENSATES: &str = "laban.compensates";
/// On a consumer: the event types that the handler may emit, separated by spaces. Absent when there are none.
pub const EMITS: &str = "laban.emits";
/// On a consumer, with any value: the handler takes effect at least once, and leaves no record when it emits nothing.
pub const AT_LEAST_ONCE: &str = "laban.at_least_once";
/// On a consumer: the event types of which one must follow, separated by spaces; if one does, the handler does not run.
/// Absent unless the handler has a deadline.
pub const UNLESS: &str = "laban.unless";
/// On a consumer, with [`UNLESS`]: the time within which one of them must follow, in milliseconds.
pub const WITHIN_MS: &str = "laban.within_ms";
/// On a timer stream: the service whose deadlines wait in it. It is nobody's home.
pub const TIMERS: &str = "laban.timers";
/// On the consumer of a service's own timers that are due: the service. It reacts to no event.
pub const DUE: &str = "laban.due";
/// On a consumer of what a handler's deadline waits for: `<service>/<handler>`. It stops timers, and reacts to no event.
pub const CANCELS: &str = "laban.cancels";
/// On the consumer of a service's own redrives: the service. It reacts to no event.
pub const REDRIVES: &str = "laban.redrives";
/// On the consumer of a service's own redrives: any value says that it can be asked to do again what took effect.
pub const AGAIN: &str = "laban.again";
