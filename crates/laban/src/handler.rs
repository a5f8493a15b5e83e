use std::any::{Any, TypeId, type_name};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use laban_wire::{FlowId, Message};

use crate::definition::{Deadline, Definition, Run, Start};
use crate::extract::{Call, Extract};
use crate::outcome::{End, Outcome};
use crate::{BoxError, Event, Input, Retry};

/// An async function from an event to an outcome.
///
/// Its first argument is an [`Event`] or an enum of events; up to six more can be [`State`](crate::State),
/// [`Flow`](crate::Flow) and [`Cause`](crate::Cause). It returns an [`Outcome`]. Nothing else is needed, so a handler can be
/// called in a unit test with no broker.
///
/// The handler's name is the function's. It is part of how a second delivery is recognised, so a function that is renamed
/// reacts to its whole history again, unless [`named`](Self::named) keeps the old name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "it must be an `async fn`, given by name and not called: `.on(charge)`",
    note = "its first argument must be an event or an enum of events (`#[derive(laban::Event)]`), by value",
    note = "after it may come up to six of `State<T>` where `T: Clone`, `Flow<T>` where `T: FlowState`, and `Cause`",
    note = "it must return what it emits (an event, an enum of events, an `Option`, a `Vec`, a tuple, or `()`) or \
            `Result<that, laban::Failure<FailureEvent>>`",
    note = "its future must be `Send`: it must not hold an `Rc` or the guard of a lock over an `.await`"
)]
pub trait Handler<Args>: Sized {
    /// The handler with its types erased.
    #[doc(hidden)]
    fn define(self) -> Definition;

    /// Says that this handler undoes what `E` stands for: its run is shown as a compensation.
    fn compensates<E: Event>(self) -> Definition {
        let mut definition = self.define();
        definition.compensates.push(laban_wire::EventType::from_static(E::NAME));
        definition
    }

    /// How often and how soon to try again.
    fn retry(self, retry: Retry) -> Definition {
        Definition { retry, ..self.define() }
    }

    /// How many events this handler works on at a time in one process. 64 unless told.
    ///
    /// # Panics
    /// When it is 0.
    fn concurrency(self, limit: usize) -> Definition {
        assert!(limit > 0, "a handler with a concurrency of 0 would never run");
        Definition { concurrency: limit, ..self.define() }
    }

    /// How long one run may take; after that the attempt has failed and is retried. A minute unless told.
    fn timeout(self, limit: Duration) -> Definition {
        Definition { timeout: limit, ..self.define() }
    }

    /// Keeps this name whatever the function is called.
    fn named(self, name: &'static str) -> Definition {
        Definition { name: name.into(), ..self.define() }
    }

    /// Reacts only to what happens after the handler first started, rather than to all that the streams still hold.
    fn skip_history(self) -> Definition {
        Definition { start: Start::Now, ..self.define() }
    }

    /// Sets a deadline: the handler runs for an event unless an `I` (an event or an enum of events) is in the same flow
    /// within this time after it, by the broker's clock.
    ///
    /// It runs once, like any handler, whoever was restarted meanwhile, and as soon as it can if the time has passed when
    /// nobody was there. An `I` that comes while it runs does not stop it: whoever reacts to its event must live with both.
    ///
    /// ```
    /// # use std::time::Duration; use laban::{Event, Handler as _, Service}; use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "order.placed", version = 1, flow = id)]
    /// # struct OrderPlaced { id: String }
    /// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "order.overdue", version = 1, flow = id)]
    /// # struct PaymentOverdue { id: String }
    /// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "payment.captured", version = 1, flow = id)]
    /// # struct PaymentCaptured { id: String }
    /// /// The payment has not answered in time: say so.
    /// async fn give_up(placed: OrderPlaced) -> PaymentOverdue {
    ///     PaymentOverdue { id: placed.id }
    /// }
    ///
    /// # let service =
    /// Service::new("order").on(give_up.unless::<PaymentCaptured>(Duration::from_secs(30)))
    /// # ; assert!(service.contract().is_ok());
    /// ```
    fn unless<I: Input>(self, within: Duration) -> Definition {
        let unless = crate::contract::names(&I::event_types());
        Definition { deadline: Some(Deadline { unless, within }), ..self.define() }
    }

    /// Gives up the fence for speed: outcomes are written without a check, so a second delivery may write them twice, and
    /// an input that leads to nothing leaves no record.
    ///
    /// For high-rate telemetry, where a flow is a device and never ends; and for read models, which have keys of their own: a
    /// replay runs such a handler again for each event of history.
    fn at_least_once(self) -> Definition {
        Definition { fenced: false, ..self.define() }
    }
}

#[diagnostic::do_not_recommend]
impl Handler<Definition> for Definition {
    fn define(self) -> Definition {
        self
    }
}

/// An async function of one to seven arguments, whatever these are.
///
/// Apart from [`Handler`], so that there is one way to be a handler: the compiler then finds the shape first, and names the
/// argument or the outcome that does not do.
#[doc(hidden)]
pub trait Function<Args>: Clone + Send + Sync + 'static {
    type Input;
    type Extracted;
    type Outcome;
    type Future: Future<Output = Self::Outcome>;
    fn call(&self, input: Self::Input, extracted: Self::Extracted) -> Self::Future;
}

/// All that comes after the event.
#[doc(hidden)]
pub trait ExtractAll: Sized + Send + 'static {
    const READS_FLOW: bool;
    fn needs() -> Vec<(TypeId, &'static str)>;
    fn extract(call: &Call) -> Result<Self, BoxError>;
}

macro_rules! functions {
    ($(($($A:ident),*)),+) => {$(
        impl<F, Fut, I, $($A),*> Function<(I, $($A,)*)> for F
        where
            F: Fn(I, $($A),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future,
        {
            type Input = I;
            type Extracted = ($($A,)*);
            type Outcome = Fut::Output;
            type Future = Fut;

            #[allow(non_snake_case, reason = "the macro names values after their types")]
            fn call(&self, input: I, ($($A,)*): ($($A,)*)) -> Fut {
                self(input, $($A),*)
            }
        }

        impl<$($A: Extract),*> ExtractAll for ($($A,)*) {
            const READS_FLOW: bool = false $(|| $A::READS_FLOW)*;

            fn needs() -> Vec<(TypeId, &'static str)> {
                let needs: [Option<_>; _] = [$($A::needs()),*];
                needs.into_iter().flatten().collect()
            }

            #[allow(unused_variables, reason = "there may be nothing to extract")]
            fn extract(call: &Call) -> Result<Self, BoxError> {
                Ok(($($A::extract(call)?,)*))
            }
        }
    )+};
}
functions!((), (A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, G));

impl<F, Args> Handler<Args> for F
where
    F: Function<Args>,
    F::Input: Input,
    F::Extracted: ExtractAll,
    F::Outcome: Outcome + 'static,
    F::Future: Send + 'static,
    Args: 'static,
{
    fn define(self) -> Definition {
        let run = Erased { function: self, args: std::marker::PhantomData::<fn(Args)> };
        Definition {
            consumes: F::Input::event_types(),
            emits: F::Outcome::event_types(),
            fails_with: F::Outcome::failure_types(),
            needs: F::Extracted::needs(),
            reads_flow: F::Extracted::READS_FLOW,
            ..Definition::new(short_name::<F>(), Arc::new(run))
        }
    }
}

/// A handler's function and the types that it is made of.
struct Erased<F, Args> {
    function: F,
    args: std::marker::PhantomData<fn(Args)>,
}

type Running = Pin<Box<dyn Future<Output = End> + Send>>;

impl<F, Args> Run for Erased<F, Args>
where
    F: Function<Args>,
    F::Input: Input,
    F::Extracted: ExtractAll,
    F::Outcome: Outcome + 'static,
    F::Future: Send + 'static,
{
    fn run(&self, call: Call) -> Result<Running, BoxError> {
        let subject = &call.input.subject;
        let input = decoded::<F::Input>(&call.input)?;
        same_flow(&input, &subject.flow)?;
        let function = self.function.clone();
        Ok(Box::pin(async move {
            match F::Extracted::extract(&call) {
                Ok(extracted) => {
                    caught(async move { function.call(input, extracted).await.into_end() }).await
                }
                Err(error) => End::Retry(error),
            }
        }))
    }
}

/// Decoding runs code of the author's as well: that which makes a new version of an old one.
fn decoded<I: Input>(message: &Message) -> Result<I, BoxError> {
    let decode = || I::decode(&message.subject.event_type, message.meta.version, &message.payload);
    std::panic::catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| Err(panic_text(&*panic).into()))
}

/// What an event says of its flow must be what its subject says: a reaction is fenced and found by the subject.
fn same_flow(input: &impl Input, subject: &FlowId) -> Result<(), BoxError> {
    let key = input.flow_key();
    if subject.is_key(&key) {
        return Ok(());
    }
    Err(format!("its body belongs to flow `{key}`, its subject to flow `{subject}`").into())
}

/// A panic is an error to retry: it may have been about the moment, and the attempts are counted.
async fn caught(run: impl Future<Output = End>) -> End {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| End::Retry(panic_text(&*panic).into()))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}

/// `shop::inventory::reserve` → `reserve`. A closure has no name of its own.
fn short_name<F>() -> &'static str {
    let path = type_name::<F>();
    // Generic arguments may hold paths too.
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}
