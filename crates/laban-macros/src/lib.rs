//! `#[derive(Event)]`, re-exported by `laban`; its documentation is there.

mod attribute;
mod one_of;
mod single;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, parse_macro_input};

/// See `laban::Event`.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = match &input.data {
        Data::Struct(_) => single::expand(&input),
        Data::Enum(data) => one_of::expand(&input, data),
        Data::Union(_) => Err(syn::Error::new_spanned(&input, "a union cannot be an event; use a struct")),
    };
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
