//! An old shape against a new one.

use serde_json::Value;

use super::shape::{List, Object, Others, Shape, kind, shapes};
use super::tag::Tag;
use super::words::{bare, in_words, narrower_number, narrower_text, shown};
use super::{Break, BreakKind};

/// A schema that allows anything.
const ANYTHING: &Value = &Value::Bool(true);
/// Pairs of schemas that are compared at most: far more than a type has, and an end to those that were made to have none.
const MOST_PAIRS: usize = 50_000;
/// Pairs inside each other.
const DEEPEST: usize = 128;

pub(super) struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// The pairs on the way from the root to here. A type that holds itself comes back to one of them.
    open: Vec<(*const Value, *const Value)>,
    pairs: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn of(old: &'a Value, new: &'a Value) -> Self {
        Self { old, new, open: Vec::new(), pairs: 0 }
    }

    pub(super) fn run(mut self) -> Vec<Break> {
        let (old, new) = (self.old, self.new);
        let mut found: Vec<Break> = Vec::new();
        for one in self.schemas("", old, new) {
            if !found.contains(&one) {
                found.push(one);
            }
        }
        found
    }

    fn schemas(&mut self, path: &str, old: &'a Value, new: &'a Value) -> Vec<Break> {
        let pair: (*const Value, *const Value) = (old, new);
        self.pairs += 1;
        if self.open.contains(&pair) || self.open.len() == DEEPEST || self.pairs > MOST_PAIRS {
            return Vec::new();
        }
        self.open.push(pair);
        let found = self.choices(path, &shapes(self.old, old), &shapes(self.new, new));
        self.open.pop();
        found
    }

    fn choices(&mut self, path: &str, old: &[Shape<'a>], new: &[Shape<'a>]) -> Vec<Break> {
        let any = |shapes: &[Shape<'_>]| shapes.iter().any(|shape| matches!(shape, Shape::Any));
        if any(new) {
            return Vec::new();
        }
        if any(old) {
            let what = format!("was anything, is now {}", in_words(new));
            return vec![found(path, BreakKind::NarrowedType, what)];
        }
        let null = |shapes: &[Shape<'_>]| shapes.iter().any(|shape| kind(shape) == "null");
        let mut breaks = Vec::new();
        if !null(old) && null(new) {
            breaks.push(found(path, BreakKind::NoLongerRequired, "was never null, may now be".to_owned()));
        }
        for one in old {
            breaks.extend(self.choice(path, one, old, new));
        }
        breaks
    }

    /// One of several that could be written: can it be read?
    fn choice(&mut self, path: &str, one: &Shape<'a>, old: &[Shape<'a>], new: &[Shape<'a>]) -> Vec<Break> {
        let alike: Vec<_> = new.iter().filter(|shape| kind(shape) == kind(one)).collect();
        if alike.is_empty() {
            // A choice that lost some of what it had, rather than another type.
            let some_left =
                new.iter().any(|new| kind(new) != "null" && old.iter().any(|old| kind(old) == kind(new)));
            return vec![match one {
                Shape::Null => found(path, BreakKind::NarrowedType, NULL_NO_LONGER.to_owned()),
                Shape::Constant(value) if some_left || has_constants(new) => gone(path, value),
                _ if some_left => {
                    found(path, BreakKind::RemovedVariant, format!("can no longer be {}", kind(one)))
                }
                _ => {
                    let what = format!("was {}, is now {}", kind(one), in_words(new));
                    found(path, BreakKind::ChangedType, what)
                }
            }];
        }
        match one {
            Shape::Constant(value) => {
                let read =
                    alike.iter().any(|shape| !matches!(shape, Shape::Constant(other) if other != value));
                if read { Vec::new() } else { vec![gone(path, value)] }
            }
            Shape::Object(object) => self.object_choice(path, object, old, new),
            _ => {
                let each = alike.into_iter().map(|other| self.plain(path, one, other));
                each.min_by_key(Vec::len).unwrap_or_default()
            }
        }
    }

    fn plain(&mut self, path: &str, old: &Shape<'a>, new: &Shape<'a>) -> Vec<Break> {
        let what = match (old, new) {
            (Shape::Number(old), Shape::Number(new)) => narrower_number(*old, *new),
            (Shape::Text(old), Shape::Text(new)) => narrower_text(*old, *new),
            (Shape::List(old), Shape::List(new)) => return self.list(path, old, new),
            (_, Shape::Constant(_)) => {
                Some(format!("was any {}, is now one of certain values", bare(kind(old))))
            }
            _ => None,
        };
        what.map(|what| found(path, BreakKind::NarrowedType, what)).into_iter().collect()
    }

    fn list(&mut self, path: &str, old: &List<'a>, new: &List<'a>) -> Vec<Break> {
        let mut breaks = Vec::new();
        if new.min > old.min {
            let what = format!("had {} elements at least, has now {}", old.min, new.min);
            breaks.push(found(path, BreakKind::NarrowedType, what));
        }
        if new.max < old.max {
            let before = if old.max == u64::MAX { "any number of".to_owned() } else { old.max.to_string() };
            let what = format!("had {before} elements at most, has now {}", new.max);
            breaks.push(found(path, BreakKind::NarrowedType, what));
        }
        let shape = |list: &List<'a>, at: usize| {
            list.first.get(at).copied().unwrap_or_else(|| list.items.unwrap_or(ANYTHING))
        };
        let first = old.first.len().max(new.first.len());
        for at in 0..first {
            breaks.extend(self.schemas(&format!("{path}[{at}]"), shape(old, at), shape(new, at)));
        }
        if old.max.min(new.max) > first as u64 {
            breaks.extend(self.schemas(&format!("{path}[]"), shape(old, first), shape(new, first)));
        }
        breaks
    }

    /// The object that stands for the old one: that of the same tag, where there are several.
    fn object_choice(
        &mut self,
        path: &str,
        one: &Object<'a>,
        old: &[Shape<'a>],
        new: &[Shape<'a>],
    ) -> Vec<Break> {
        let others: Vec<_> = new.iter().filter_map(as_object).collect();
        let several = |shapes: &[Shape<'_>]| shapes.iter().filter(|shape| kind(shape) != "null").count() > 1;
        if !several(old) && !several(new) {
            return others.first().map_or_else(Vec::new, |other| self.object(path, one, other));
        }
        let tag = Tag::of(self.old, one);
        let tags: Vec<_> = others.iter().map(|other| Tag::of(self.new, other)).collect();
        let with = |tag: &Option<Tag<'a>>| {
            let of_this = others.iter().zip(&tags).filter(|(_, other)| *other == tag);
            of_this.map(|(other, _)| *other).collect::<Vec<_>>()
        };
        let mut candidates = with(&tag);
        if candidates.is_empty() && tag.is_some() {
            candidates = with(&None);
        }
        if candidates.is_empty() && tag.is_none() {
            candidates = others.clone();
        }
        let inner = match &tag {
            Some(Tag::Field(name, value)) => format!("{path}[{name}={}]", shown(value)),
            _ => path.to_owned(),
        };
        let each = candidates.into_iter().map(|other| self.object(&inner, one, other));
        each.min_by_key(Vec::len).unwrap_or_else(|| vec![gone(path, &tag.map_or(Value::Null, Tag::value))])
    }

    fn object(&mut self, path: &str, old: &Object<'a>, new: &Object<'a>) -> Vec<Break> {
        let mut breaks = Vec::new();
        for (name, before) in &old.fields {
            let at = field(path, name);
            match (new.fields.get(name), new.others) {
                (Some(after), _) => {
                    let required = [old, new].map(|object| object.required.contains(name));
                    breaks.extend(self.same_field(&at, before, after, required));
                }
                (None, Others::Map(values)) => breaks.extend(self.schemas(&at, before, values)),
                (None, Others::Refused) => {
                    let what = "is gone, and what was written with it is refused (deny_unknown_fields)";
                    breaks.push(found(&at, BreakKind::RemovedField, what.to_owned()));
                }
                // Nobody could rely on a field that may be missing: so a new one can be taken back, by a rollback.
                (None, Others::Skipped) if !old.required.contains(name) => {}
                (None, Others::Skipped) => {
                    breaks.push(found(&at, BreakKind::RemovedField, "is gone".to_owned()));
                }
            }
        }
        for name in new.fields.keys().filter(|name| !old.fields.contains_key(*name)) {
            let at = field(path, name);
            if new.required.contains(name) {
                let what = "is new and required: what was written before does not have it".to_owned();
                breaks.push(found(&at, BreakKind::NewRequiredField, what));
            } else if matches!(old.others, Others::Refused) {
                let what = "is new, and readers of the old shape refuse fields that they do not know";
                breaks.push(found(&at, BreakKind::RefusedField, what.to_owned()));
            }
        }
        match (old.others, new.others) {
            (Others::Map(before), Others::Map(after)) => {
                breaks.extend(self.schemas(&field(path, "*"), before, after));
            }
            (Others::Map(_), Others::Skipped) if new.fields.is_empty() => {}
            (Others::Map(_), _) => {
                let what = "was a map, is now an object of certain fields".to_owned();
                breaks.push(found(path, BreakKind::ChangedType, what));
            }
            _ => {}
        }
        breaks
    }

    fn same_field(&mut self, path: &str, old: &'a Value, new: &'a Value, [was, is]: [bool; 2]) -> Vec<Break> {
        let mut breaks = self.schemas(path, old, new);
        // Missing and null are one thing to a reader: said once.
        if was && !is {
            breaks.retain(|one| one.path != path || one.kind != BreakKind::NoLongerRequired);
            let what = "was always there, may now be missing".to_owned();
            breaks.push(found(path, BreakKind::NoLongerRequired, what));
        }
        if !was && is {
            breaks.retain(|one| one.path != path || one.what != NULL_NO_LONGER);
            let what = "was not always there, is now required".to_owned();
            breaks.push(found(path, BreakKind::NewRequiredField, what));
        }
        breaks
    }
}

const NULL_NO_LONGER: &str = "could be null, no longer can";

fn as_object<'s, 'a>(shape: &'s Shape<'a>) -> Option<&'s Object<'a>> {
    if let Shape::Object(object) = shape { Some(object) } else { None }
}

fn has_constants(shapes: &[Shape<'_>]) -> bool {
    shapes.iter().any(|shape| matches!(shape, Shape::Constant(value) if !value.is_null()))
}

fn found(path: &str, kind: BreakKind, what: String) -> Break {
    Break { path: path.to_owned(), kind, what }
}

fn gone(path: &str, variant: &Value) -> Break {
    found(path, BreakKind::RemovedVariant, format!("can no longer be `{}`", shown(variant)))
}

fn field(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
