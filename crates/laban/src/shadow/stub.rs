use std::any::{TypeId, type_name};

use super::Recorded;
use crate::BoxError;
use crate::extract::States;

type Make = Box<dyn Fn(&Recorded, &mut States) -> Result<(), BoxError> + Send + Sync>;

/// What stands for a state in a shadow.
pub(crate) struct Stub {
    pub(crate) id: TypeId,
    name: &'static str,
    make: Make,
}

impl Stub {
    pub(crate) fn of<T: Clone + Send + Sync + 'static>(
        make: impl Fn(&Recorded) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let make = move |recorded: &Recorded, states: &mut States| {
            states.insert(make(recorded)?);
            Ok(())
        };
        Self { id: TypeId::of::<T>(), name: type_name::<T>(), make: Box::new(make) }
    }

    /// Makes it, and puts it with the others.
    pub(crate) fn make(&self, recorded: &Recorded, states: &mut States) -> Result<(), BoxError> {
        (self.make)(recorded, states)
            .map_err(|error| format!("what stands for State<{}> here: {error}", self.name).into())
    }
}
