use std::path::PathBuf;

use crate::Error;

/// One of the shop's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Takes orders and ends them.
    Order,
    /// Takes money and gives it back.
    Payment,
    /// Sets goods aside and puts them back.
    Inventory,
    /// Sends parcels.
    Shipping,
    /// Writes letters.
    Notification,
}

/// Who reacts to what: service, handler, event. Written down here a second time on purpose, to be compared with what the
/// services declare to the broker; a mesh is ready when all of it is declared.
pub const CHOREOGRAPHY: [(&str, &str, &str); 20] = [
    ("payment", "charge", "order.placed"),
    ("payment", "void", "order.payment-overdue"),
    ("payment", "refund", "inventory.rejected"),
    ("inventory", "reserve", "order.placed"),
    ("inventory", "release", "payment.declined"),
    ("inventory", "ship", "shipping.dispatched"),
    ("shipping", "dispatch", "payment.captured"),
    ("shipping", "dispatch", "inventory.reserved"),
    ("shipping", "call_off", "order.cancelled"),
    ("order", "close", "payment.declined"),
    ("order", "close", "payment.refunded"),
    ("order", "close", "inventory.rejected"),
    ("order", "close", "inventory.released"),
    ("order", "close", "shipping.dispatched"),
    ("order", "give_up", "order.placed"),
    ("notification", "tell", "order.placed"),
    ("notification", "tell", "shipping.dispatched"),
    ("notification", "tell", "payment.refunded"),
    ("notification", "tell", "order.completed"),
    ("notification", "tell", "order.cancelled"),
];

impl Service {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Order, Self::Payment, Self::Inventory, Self::Shipping, Self::Notification];

    /// Its name, which is also that of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Inventory => "inventory",
            Self::Shipping => "shipping",
            Self::Notification => "notification",
        }
    }

    /// The stream that it writes.
    pub fn home(self) -> String {
        self.name().to_uppercase()
    }

    /// The path of its program.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] when it is not there.
    pub fn program(self) -> Result<PathBuf, Error> {
        program(self.name(), "-p shop --bins")
    }
}

/// A program of the workspace: beside the one that runs, or for a test in the folder above. `hint` is what builds it.
///
/// # Errors
/// [`Error::NotBuilt`] when it is not there.
pub fn program(name: &str, hint: &'static str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(Error::io("find the path of this program"))?;
    let folder = own.parent().unwrap_or(&own);
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if path.is_file() { Ok(path) } else { Err(Error::NotBuilt { path, hint }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_built_is_named_with_what_builds_it() {
        let error = program("no-such-program", "-p shop --bins").unwrap_err().to_string();
        assert!(
            error.contains("debug/no-such-program") || error.contains("release/no-such-program"),
            "{error}"
        );
        assert!(error.ends_with("`cargo build -p shop --bins`"), "{error}");
    }

    #[test]
    fn every_service_reacts() {
        for service in Service::ALL {
            assert!(CHOREOGRAPHY.iter().any(|(name, _, _)| *name == service.name()), "{service:?}");
        }
    }
}
