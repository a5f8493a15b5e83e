//! What tells the variants of an enum apart.

use serde_json::Value;

use super::shape::{Object, Others, Shape, shapes};

/// What tells one object of a choice from the others.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Tag<'a> {
    /// A field with a constant: `#[serde(tag = "kind")]`.
    Field(&'a str, &'a Value),
    /// The only field: the variants of a plain enum.
    Wrapper(&'a str),
}

impl<'a> Tag<'a> {
    pub(super) fn of(root: &'a Value, object: &Object<'a>) -> Option<Self> {
        let tag = object.fields.iter().filter(|(name, _)| object.required.contains(*name));
        let tag = tag.filter_map(|(name, schema)| match shapes(root, schema)[..] {
            [Shape::Constant(value)] => Some(Self::Field(name, value)),
            _ => None,
        });
        let wrapper = || {
            let name = object.fields.keys().next()?;
            (object.fields.len() == 1
                && object.required.contains(name)
                && matches!(object.others, Others::Refused))
            .then_some(Self::Wrapper(name))
        };
        tag.into_iter().next().or_else(wrapper)
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Field(_, value) => value.clone(),
            Self::Wrapper(name) => name.into(),
        }
    }
}
