//! A handler of Laban's that emits several events, which are committed together.

use laban::{Service, State};

use super::events::{OrderPlaced, PaymentCaptured};
use super::{Args, Control};
use crate::error::{Doing as _, Result};

#[derive(Clone, Copy)]
struct Outputs(usize);

async fn split(OrderPlaced { order }: OrderPlaced, outputs: State<Outputs>) -> Vec<PaymentCaptured> {
    vec![PaymentCaptured { order }; outputs.0.0]
}

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    let service = Service::new("payment").state(Outputs(args.outputs)).on(split);
    let running = service.setting("NATS_URL", &args.url).start().await.doing("start the service")?;
    control.ready_until_stop().await?;
    running.stop();
    running.wait().await.doing("drain the service")
}
