//! `#[event(name = "payment.captured", version = 1, flow = order_id)]`.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Ident, LitInt, LitStr, Token, Type};

const EXAMPLE: &str = r#"write #[event(name = "service.happened", version = 1, flow = field)]"#;

/// What the attribute says.
pub(crate) struct EventAttribute {
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    /// The path of fields that leads to the flow's key: `order_id`, or `order.id`.
    pub(crate) flow: Punctuated<Ident, Token![.]>,
    /// The type of the version before, which this one can be made from.
    pub(crate) from: Option<Type>,
}

impl EventAttribute {
    pub(crate) fn of(input: &DeriveInput) -> syn::Result<Self> {
        let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident("event"));
        let Some(attribute) = attributes.next() else {
            return Err(syn::Error::new_spanned(
                &input.ident,
                format!("an event needs a name, a version and a flow: {EXAMPLE}"),
            ));
        };
        if let Some(second) = attributes.next() {
            return Err(syn::Error::new_spanned(second, "one #[event(…)] is enough"));
        }
        attribute.parse_args_with(|stream: ParseStream<'_>| Self::parse(stream, input.ident.span()))
    }

    fn parse(stream: ParseStream<'_>, span: Span) -> syn::Result<Self> {
        let (mut name, mut version, mut flow, mut from) = (None, None, None, None);
        while !stream.is_empty() {
            let key: Ident = stream.parse()?;
            stream.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "name" => name = Some(checked_name(value(stream.parse())?)?),
                "version" => version = Some(checked_version(&value(stream.parse())?)?),
                "from" => from = Some(value(stream.parse())?),
                "flow" => flow = Some(value(Punctuated::parse_separated_nonempty(stream))?),
                other => {
                    let message = format!("`{other}` is not known here; {EXAMPLE}");
                    return Err(syn::Error::new(key.span(), message));
                }
            }
            if !stream.is_empty() {
                stream.parse::<Token![,]>()?;
            }
        }
        let missing = |what: &str| syn::Error::new(span, format!("`{what}` is missing; {EXAMPLE}"));
        Ok(Self {
            name: name.ok_or_else(|| missing("name"))?,
            version: version.ok_or_else(|| missing("version"))?,
            flow: flow.ok_or_else(|| missing("flow"))?,
            from,
        })
    }
}

/// What the parser says, and what would do.
fn value<T>(parsed: syn::Result<T>) -> syn::Result<T> {
    parsed.map_err(|error| syn::Error::new(error.span(), format!("{error}; {EXAMPLE}")))
}

/// The rule of `laban_wire::EventType`, here so that a wrong name does not compile.
fn checked_name(name: LitStr) -> syn::Result<LitStr> {
    let is_name = |part: &str| {
        part.len() <= 64
            && part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match name.value().split_once('.') {
        Some((service, event)) if is_name(service) && is_name(event) => Ok(name),
        _ => Err(syn::Error::new(
            name.span(),
            "an event's name is `<service>.<event>`, each of lower-case letters, digits and `-`, starting with a letter: \
             `payment.captured`",
        )),
    }
}

fn checked_version(version: &LitInt) -> syn::Result<u32> {
    match version.base10_parse::<u32>()? {
        0 => Err(syn::Error::new(version.span(), "versions start at 1")),
        version => Ok(version),
    }
}
