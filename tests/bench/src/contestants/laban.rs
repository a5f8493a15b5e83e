//! Laban's services through its public API, with its defaults: fenced, traced as `OTEL_*` says, 64 at a time.

use laban::{Running, Service};

use super::events::{InvoiceIssued, OrderPlaced, ParcelDispatched, PaymentCaptured, StockReserved};
use super::{Args, Control};
use crate::error::{Doing as _, Result};

async fn capture(OrderPlaced { order }: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order }
}

async fn reserve(PaymentCaptured { order }: PaymentCaptured) -> StockReserved {
    StockReserved { order }
}

async fn dispatch(StockReserved { order }: StockReserved) -> ParcelDispatched {
    ParcelDispatched { order }
}

async fn issue(ParcelDispatched { order }: ParcelDispatched) -> InvoiceIssued {
    InvoiceIssued { order }
}

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    let services = [
        Service::new("payment").on(capture),
        Service::new("inventory").on(reserve),
        Service::new("shipping").on(dispatch),
        Service::new("invoice").on(issue),
    ];
    let mut running: Vec<Running> = Vec::new();
    for service in services {
        running.push(service.setting("NATS_URL", &args.url).start().await.doing("start a service")?);
    }
    control.ready_until_stop().await?;
    for service in &running {
        service.stop();
    }
    for service in running {
        service.wait().await.doing("drain a service")?;
    }
    Ok(())
}
