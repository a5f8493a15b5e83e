//! Inventory sets goods aside for an order, puts them back when nobody pays, and hands them over when they are shipped.

mod books;
mod catalogue;
mod shadow;

use laban::{Cause, Failure, Handler as _, Service, State};

use crate::events::{
    OrderPlaced, ParcelDispatched, PaymentDeclined, StockRejected, StockReleased, StockReserved,
};
use crate::settings::{OF_BOOKS, Settings, told_of};

pub use books::{Books, Reservation, ReservationState, Reserve, StockLevel, reservations, stock};
pub use catalogue::CATALOGUE;

/// The service.
pub fn service(books: Books) -> Service {
    reacting().state(books)
}

fn reacting() -> Service {
    Service::new("inventory")
        .version(env!("CARGO_PKG_VERSION"))
        .on(reserve)
        .on(release.compensates::<StockReserved>())
        .on(ship)
        .state_in_shadow(Books::in_shadow)
}

/// Runs the service until it is told to stop, then drains.
///
/// # Errors
/// When the books cannot be opened, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> laban::Result<()> {
    let settings = settings.clone();
    // Opened when it starts: what is asked on the command line needs none.
    told_of(reacting(), &OF_BOOKS).state_with(async move || Books::open(&settings)).run().await
}

/// Reserve what was ordered, all of it or nothing, or say why not.
///
/// When the payment turns out to be declined before this is reached, the shelves are left alone.
pub async fn reserve(
    order: OrderPlaced,
    books: State<Books>,
    cause: Cause,
) -> Result<StockReserved, Failure<StockRejected>> {
    let OrderPlaced { order_id, customer, lines, .. } = order;
    match books.reserve(cause.idempotency_key, &order_id, &lines).await? {
        Reserve::Reserved(items) => Ok(StockReserved { order_id, customer, items }),
        Reserve::Rejected { reason, missing } => {
            Err(StockRejected { order_id, customer, reason, missing }.into())
        }
    }
}

/// Nobody pays: put the goods back, or see to it that they are never set aside.
pub async fn release(
    declined: PaymentDeclined,
    books: State<Books>,
    cause: Cause,
) -> Result<Option<StockReleased>, Failure> {
    let PaymentDeclined { order_id, customer, .. } = declined;
    let released = books.release(cause.idempotency_key, &order_id).await?;
    Ok(released.map(|items| StockReleased { order_id, customer, items }))
}

/// The goods have left the house: they are on hand no more.
pub async fn ship(dispatched: ParcelDispatched, books: State<Books>, cause: Cause) -> Result<(), Failure> {
    Ok(books.ship(cause.idempotency_key, &dispatched.order_id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{DeclineReason, Item, Line, Missing, RejectReason};
    use crate::samples::{cause, declined, dispatched, placed, reserved};

    fn order_of(lines: &[(&str, u32)]) -> OrderPlaced {
        let line = |&(sku, quantity): &(&str, u32)| Line { sku: sku.into(), quantity, unit_price_cents: 100 };
        OrderPlaced { lines: lines.iter().map(line).collect(), ..placed() }
    }

    async fn reserving(
        order: OrderPlaced,
        books: &Books,
        cause: &Cause,
    ) -> Result<StockReserved, StockRejected> {
        reserve(order, State(books.clone()), cause.clone()).await.map_err(|failure| match failure {
            Failure::Event(rejected) => rejected,
            other => panic!("{other}"),
        })
    }

    async fn releasing(books: &Books, cause: &Cause) -> Option<Vec<Item>> {
        let outcome =
            release(declined(DeclineReason::CardBlocked), State(books.clone()), cause.clone()).await;
        outcome.unwrap_or_else(|failure| panic!("{failure}")).map(|released| released.items)
    }

    async fn shipping(books: &Books, cause: &Cause) -> Result<(), Failure> {
        ship(dispatched(), State(books.clone()), cause.clone()).await
    }

    fn rejected_for(reason: RejectReason, missing: Vec<Missing>) -> Result<StockReserved, StockRejected> {
        Err(StockRejected { order_id: placed().order_id, customer: placed().customer, reason, missing })
    }

    #[tokio::test]
    async fn what_was_ordered_is_reserved() {
        let books = Books::in_memory();
        assert_eq!(reserving(placed(), &books, &cause()).await, Ok(reserved()));
        assert_eq!(books.level("mug").await.reserved, 2);
        assert_eq!(books.level("mug").await.on_hand, books.level("mug").await.seeded);
    }

    #[tokio::test]
    async fn lines_of_the_same_goods_are_one_item() {
        let books = Books::in_memory();
        let order = order_of(&[("limited", 4), ("mug", 1), ("limited", 4)]);
        let missing = Missing { sku: "limited".into(), wanted: 8, available: 7 };
        let rejected = rejected_for(RejectReason::OutOfStock, vec![missing]);
        assert_eq!(reserving(order, &books, &cause()).await, rejected);
    }

    #[tokio::test]
    async fn all_is_reserved_or_nothing_and_all_that_is_missing_is_named() {
        let books = Books::in_memory();
        let order = order_of(&[("mug", 1), ("sold-out", 1), ("limited", 7), ("unheard-of", u32::MAX)]);
        let missing = [("sold-out", 1, 0), ("unheard-of", u64::from(u32::MAX), 0)];
        let missing = missing.map(|(sku, wanted, available)| Missing { sku: sku.into(), wanted, available });
        let rejected = rejected_for(RejectReason::OutOfStock, missing.to_vec());
        assert_eq!(reserving(order, &books, &cause()).await, rejected);
        assert_eq!((books.level("mug").await.reserved, books.level("limited").await.reserved), (0, 0));
    }

    #[tokio::test]
    async fn what_is_reserved_is_not_there_for_others() {
        let books = Books::in_memory();
        assert!(reserving(order_of(&[("limited", 5)]), &books, &cause()).await.is_ok());
        let other =
            OrderPlaced { order_id: "other".to_owned().try_into().unwrap(), ..order_of(&[("limited", 3)]) };
        let missing = reserving(other, &books, &cause()).await.unwrap_err().missing;
        assert_eq!(missing, [Missing { sku: "limited".into(), wanted: 3, available: 2 }]);
    }

    #[tokio::test]
    async fn goods_go_back_when_nobody_pays() {
        let books = Books::in_memory();
        assert!(reserving(placed(), &books, &cause()).await.is_ok());
        assert_eq!(releasing(&books, &cause()).await, Some(reserved().items));
        assert_eq!(books.level("mug").await.reserved, 0);
    }

    #[tokio::test]
    async fn nothing_goes_back_when_nothing_was_set_aside() {
        let books = Books::in_memory();
        assert!(reserving(order_of(&[("sold-out", 1)]), &books, &cause()).await.is_err());
        assert_eq!(releasing(&books, &cause()).await, None);
    }

    #[tokio::test]
    async fn a_release_before_its_reserve_keeps_goods_from_being_set_aside() {
        let books = Books::in_memory();
        assert_eq!(releasing(&books, &cause()).await, None);
        let rejected = rejected_for(RejectReason::PaymentDeclined, vec![]);
        assert_eq!(reserving(placed(), &books, &cause()).await, rejected);
        assert_eq!(books.level("mug").await.reserved, 0);
    }

    #[tokio::test]
    async fn shipped_goods_are_on_hand_no_more() {
        let books = Books::in_memory();
        assert!(reserving(placed(), &books, &cause()).await.is_ok());
        let shipped = cause();
        for _ in 0..2 {
            shipping(&books, &shipped).await.unwrap();
        }
        let mugs = books.level("mug").await;
        assert_eq!((mugs.reserved, mugs.shipped, mugs.on_hand), (0, 2, mugs.seeded - 2));
    }

    #[tokio::test]
    async fn a_second_run_gives_the_first_result_and_changes_nothing() {
        let books = Books::in_memory();
        let (reserving_cause, releasing_cause) = (cause(), cause());
        for _ in 0..2 {
            assert_eq!(reserving(placed(), &books, &reserving_cause).await, Ok(reserved()));
        }
        assert_eq!(books.level("mug").await.reserved, 2);
        for _ in 0..2 {
            assert_eq!(releasing(&books, &releasing_cause).await, Some(reserved().items));
        }
        // Even a run that comes back late, when the books have moved on.
        assert_eq!(reserving(placed(), &books, &reserving_cause).await, Ok(reserved()));
        assert_eq!(books.level("mug").await.reserved, 0);
    }

    #[tokio::test]
    async fn contradictions_are_refused_for_good() {
        let books = Books::in_memory();
        assert!(matches!(shipping(&books, &cause()).await, Err(Failure::Reject(_))), "never reserved");
        assert!(reserving(placed(), &books, &cause()).await.is_ok());
        let again = reserve(placed(), State(books.clone()), cause()).await;
        assert!(matches!(again, Err(Failure::Reject(_))), "reserved twice: {again:?}");
        shipping(&books, &cause()).await.unwrap();
        let release = release(declined(DeclineReason::CardBlocked), State(books.clone()), cause()).await;
        assert!(matches!(release, Err(Failure::Reject(_))), "shipped, then released: {release:?}");
        assert_eq!(books.level("mug").await.shipped, 2);
    }
}
