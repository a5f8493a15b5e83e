//! Points for an order, once, when it has ended well.

use laban::{BoxError, Event, Flow, FlowState, Record};

use crate::events::{OrderCompleted, OrderPlaced, PointsEarned};

/// What so many cents are worth: a point.
pub const CENTS_A_POINT: u64 = 100;

/// What is heard of an order.
#[derive(Clone, Debug, Event)]
pub enum News {
    /// What it costs, and whose it is.
    Placed(OrderPlaced),
    /// That it ended well.
    Completed(OrderCompleted),
}

/// Give the points for an order when both are known: what it costs, and that it ended well.
///
/// These two come in any order, all the more while history is read: each has a consumer of its own. An order of less than a
/// point earns none, and nothing is said about it.
pub async fn earn(news: News, so_far: Flow<Tally>) -> Option<PointsEarned> {
    let mut tally = so_far.0;
    tally.note(&news);
    let OrderPlaced { order_id, customer, total_cents } = tally.due()?;
    let points = total_cents / CENTS_A_POINT;
    (points > 0).then_some(PointsEarned { order_id, customer, points })
}

/// What loyalty knows of an order.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    placed: Option<OrderPlaced>,
    completed: bool,
    earned: bool,
}

impl Tally {
    fn note(&mut self, news: &News) {
        match news {
            News::Placed(placed) => self.placed = Some(placed.clone()),
            News::Completed(_) => self.completed = true,
        }
    }

    /// The order whose points are to be given now: it ended well, and they were not given before.
    fn due(self) -> Option<OrderPlaced> {
        self.placed.filter(|_| self.completed && !self.earned)
    }
}

impl FlowState for Tally {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        // The news that completes a tally is not kept; the points are, and after them no news matters.
        if let Some(news) = record.input::<News>()? {
            self.note(&news);
        }
        self.earned |= record.has_emitted::<PointsEarned>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(total_cents: u64) -> News {
        News::Placed(OrderPlaced {
            order_id: "4711".to_owned(),
            customer: "ada@example.com".to_owned(),
            total_cents,
        })
    }

    fn completed() -> News {
        News::Completed(OrderCompleted { order_id: "4711".to_owned() })
    }

    /// The record of news of which nothing came.
    fn handled(news: &News) -> Record {
        match news {
            News::Placed(event) => Record::test_handled(event),
            News::Completed(event) => Record::test_handled(event),
        }
        .unwrap()
    }

    /// All that comes of this news in this order.
    async fn points(story: &[News]) -> Vec<u64> {
        let (mut records, mut points) = (Vec::new(), Vec::new());
        for news in story {
            let mut tally = Tally::default();
            records.iter().for_each(|record| tally.apply(record).unwrap());
            match earn(news.clone(), Flow(tally)).await {
                None => records.push(handled(news)),
                Some(earned) => {
                    assert_eq!((&*earned.order_id, &*earned.customer), ("4711", "ada@example.com"));
                    records.push(Record::test_emitted(&earned).unwrap());
                    points.push(earned.points);
                }
            }
        }
        points
    }

    #[tokio::test]
    async fn an_order_that_ended_well_earns_points_once_whichever_news_comes_first() {
        assert_eq!(points(&[placed(14_799), completed()]).await, [147]);
        assert_eq!(points(&[completed(), placed(14_799)]).await, [147]);
        let twice = [placed(14_799), placed(14_799), completed(), completed(), placed(14_799)];
        assert_eq!(points(&twice).await, [147]);
    }

    #[tokio::test]
    async fn an_order_that_has_not_ended_well_earns_nothing() {
        assert_eq!(points(&[placed(14_799)]).await, [0; 0]);
        assert_eq!(points(&[completed()]).await, [0; 0], "what it cost is not known yet");
    }

    #[tokio::test]
    async fn less_than_a_point_is_nothing() {
        assert_eq!(points(&[placed(99), completed()]).await, [0; 0]);
        assert_eq!(points(&[placed(100), completed()]).await, [1]);
    }
}
