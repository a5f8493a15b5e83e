//! A struct is one event type.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::DeriveInput;
use syn::spanned::Spanned as _;

use crate::attribute::EventAttribute;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let EventAttribute { name, version, flow } = EventAttribute::of(input)?;
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        let message = "an event is one type with one schema; it cannot be generic: write a struct for each";
        return Err(syn::Error::new_spanned(&input.generics, message));
    }
    // Spanned to the attribute, so that an unknown field or a key that has no Display is shown there.
    let key = quote_spanned! { flow.span() => ::std::string::ToString::to_string(&self.#flow) };
    Ok(quote! {
        impl ::laban::Event for #ident {
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            fn flow_key(&self) -> ::std::string::String {
                #key
            }
        }
    })
}
