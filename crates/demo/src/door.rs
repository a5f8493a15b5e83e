use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where orders are placed.
#[derive(Clone, Debug)]
pub struct Door(Where);

#[derive(Clone, Debug)]
enum Where {
    /// The file has an address, which changes when the order service starts again: it is looked up each time.
    File(PathBuf),
    /// Addresses, and how often one was given out.
    Addresses(Arc<[String]>, Arc<AtomicUsize>),
}

impl Door {
    pub(crate) fn in_file(path: PathBuf) -> Self {
        Self(Where::File(path))
    }

    /// Several addresses, which are taken in turn: one where nobody is does not stop the others.
    pub fn of(addresses: Vec<String>) -> Self {
        Self(Where::Addresses(addresses.into(), Arc::default()))
    }

    /// Where to post an order, if somebody is there.
    pub fn url(&self) -> Option<String> {
        let address = match &self.0 {
            Where::File(path) => std::fs::read_to_string(path).ok()?,
            Where::Addresses(all, given) => {
                all.get(given.fetch_add(1, Ordering::Relaxed).checked_rem(all.len())?)?.clone()
            }
        };
        Some(format!("http://{}/orders", address.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_turn() {
        let door = Door::of(vec!["a:1".into(), "b:2".into()]);
        let urls: Vec<_> = (0..3).filter_map(|_| door.clone().url()).collect();
        assert_eq!(urls, ["http://a:1/orders", "http://b:2/orders", "http://a:1/orders"]);
        assert_eq!(Door::of(Vec::new()).url(), None);
    }
}
