//! A record as one line for the eye.

use laban_wire::{
    Again, Asked, DEAD, Dead, HANDLED, Message, REDRIVE, RETRYING, Reaction, Redrive, Retrying,
};
use serde::de::DeserializeOwned;

use super::Record;
use crate::TreeStyle;
use crate::tree::{Kind, Paint};
use crate::words::{duration, plain, quoted, shortened, stamp};

/// Longer errors are cut: the line is for the eye, JSON has all of it.
const LONGEST_ERROR: usize = 300;
/// Wider names push the columns of their own line only.
const EVENT: usize = 22;
const FLOW: usize = 14;
const HANDLER: usize = 12;

impl Record {
    /// One line, without its end: time, service and event, flow, handler and attempt, what happened; with the body last when it
    /// is asked for.
    pub fn to_line(&self, style: TreeStyle, with_body: bool) -> String {
        let plain = |text: &str| plain(text, style.ascii);
        let at = stamp(self.stored.at);
        let (kind, text) = match &self.message {
            Ok(message) => {
                let event = message.subject.event_type.as_str();
                let flow = quoted(&message.subject.flow.key(), style.ascii);
                let reaction = message.meta.reaction.as_ref();
                let handler = plain(&reaction.map_or_else(String::new, by));
                let what = shortened(plain(&what(message)), LONGEST_ERROR, style.ascii);
                (kind(message), format!("{event:<EVENT$}  {flow:<FLOW$}  {handler:<HANDLER$}  {what}"))
            }
            Err(error) => {
                let Self { stored, .. } = self;
                let what = format!("unreadable, {} {}: {error}", stored.stream, stored.seq);
                let what = shortened(plain(&what), LONGEST_ERROR, style.ascii);
                (Kind::Unreadable, format!("{:<EVENT$}  {what}", plain(&stored.subject)))
            }
        };
        let mut line = format!("{at}  {}", Paint { on: style.colour }.row(kind, text.trim_end()));
        if with_body && !self.stored.payload.is_empty() {
            line += "  ";
            line += &plain(&String::from_utf8_lossy(&self.stored.payload));
        }
        line
    }
}

fn kind(message: &Message) -> Kind {
    match message.subject.event_type.event() {
        DEAD => Kind::Dead,
        RETRYING => Kind::Retrying,
        _ if message.subject.event_type.is_system() => Kind::System,
        _ => Kind::Event,
    }
}

fn by(reaction: &Reaction) -> String {
    match reaction.attempt {
        0 | 1 => reaction.handler.to_string(),
        attempt => format!("{} ({attempt})", reaction.handler),
    }
}

/// What a record tells, in words.
fn what(message: &Message) -> String {
    let Some(reaction) = &message.meta.reaction else { return String::new() };
    let on = &reaction.on;
    let took = || {
        let [queue, handle] = [reaction.queue_ms, reaction.handle_ms].map(|ms| duration(ms.as_f64()));
        format!("on {on}: waited {queue}, took {handle}")
    };
    match message.subject.event_type.event() {
        HANDLED => format!("{}; nothing emitted", took()),
        RETRYING => told(message, |body: Retrying| {
            let failed = if body.vanished { "attempt vanished" } else { "attempt failed" };
            format!("on {on}: {failed}: {}; next attempt due {}", body.error, stamp(body.next_at))
        }),
        DEAD => told(message, |body: Dead| {
            let (reason, error) = (body.reason.as_str(), body.error);
            format!("on {on}: gave up after {} attempts, {reason}: {error}", body.attempts)
        }),
        REDRIVE => match Asked::read(&message.payload) {
            Ok(Asked::HandBack(Redrive { dead_seq, by, why, .. })) => {
                let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                format!("on {on}: dead letter {dead_seq} handed back{by}{why}")
            }
            Ok(Asked::Again(Again { by, why, .. })) => {
                format!("on {on}: to be done again, asked for by {by}: {why}")
            }
            Err(e) => illegible(&e),
        },
        _ => took(),
    }
}

/// A record of a later release, or a forged one, is still shown.
fn told<T: DeserializeOwned>(message: &Message, tell: impl FnOnce(T) -> String) -> String {
    match serde_json::from_slice(&message.payload) {
        Ok(body) => tell(body),
        Err(e) => illegible(&e),
    }
}

fn illegible(error: &serde_json::Error) -> String {
    format!("(the record's body cannot be read: {error})")
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    const HEADER: &str = "id=0199f3c2-0000-7000-8000-000000000002 cause=0199f3c2-0000-7000-8000-000000000001 \
                          on=order.placed handler=charge attempt=2 queue_ms=0.412 handle_ms=3.108";

    fn line(subject: &str, body: &str) -> String {
        let plain = TreeStyle::default();
        record(subject, &[("Laban", HEADER)], body.as_bytes()).to_line(plain, false)
    }

    #[test]
    fn what_happened_in_words() {
        let head =
            |event: &str| format!("2026-10-26 07:33:20.000 UTC  {event:<22}  4711            charge (2)    ");
        let body = |event: &str, body: &str| line(&format!("{event}.4711"), body);
        assert_eq!(
            body("payment.captured", "{}"),
            head("payment.captured") + "on order.placed: waited 0.4 ms, took 3.1 ms"
        );
        assert_eq!(
            body("payment._handled", ""),
            head("payment._handled") + "on order.placed: waited 0.4 ms, took 3.1 ms; nothing emitted"
        );
        assert_eq!(
            body(
                "payment._retrying",
                r#"{"attempt":2,"error":"bank closed","next_at":"2026-11-21T09:15:02.9Z"}"#
            ),
            head("payment._retrying")
                + "on order.placed: attempt failed: bank closed; next attempt due 2026-11-21 09:15:02.900 UTC"
        );
        let dead = r#"{"reason":"exhausted","error":"bank closed","attempts":20,"fingerprint":"f",
            "input":{"stream":"ORDER","seq":3,"subject":"order.placed.4711"}}"#;
        assert_eq!(
            body("payment._dead", dead),
            head("payment._dead") + "on order.placed: gave up after 20 attempts, exhausted: bank closed"
        );
        assert_eq!(
            body("payment._redrive", r#"{"dead_seq":16,"by":"ann","why":"the bank is back"}"#),
            head("payment._redrive") + "on order.placed: dead letter 16 handed back by ann: the bank is back"
        );
        let again = r#"{"again":{"stream":"ORDER","seq":3},"by":"ann","why":"the bank has lost it"}"#;
        assert_eq!(
            body("payment._redrive", again),
            head("payment._redrive")
                + "on order.placed: to be done again, asked for by ann: the bank has lost it"
        );
        assert!(body("payment._dead", "{").contains("(the record's body cannot be read: EOF"));
    }

    #[test]
    fn roots_bodies_and_what_is_unreadable() {
        let plain = TreeStyle::default();
        let root = record("order.placed.a%20b", &[], b"{\"lines\":\n[]}");
        assert_eq!(
            root.to_line(plain, false),
            "2026-10-26 07:33:20.000 UTC  order.placed            \"a b\""
        );
        assert!(root.to_line(plain, true).ends_with("  {\"lines\": []}"));
        let broken = record("order.placed", &[], b"");
        assert!(
            broken
                .to_line(plain, true)
                .contains("  order.placed            unreadable, ORDER 7: subject `order")
        );
        let coloured = TreeStyle { colour: true, ..plain };
        assert!(broken.to_line(coloured, false).contains("\x1b[31m"));
    }
}
