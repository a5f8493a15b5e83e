//! A struct is one event type.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{DeriveInput, LitStr, Type};

use crate::attribute::EventAttribute;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let EventAttribute { name, version, flow, from } = EventAttribute::of(input)?;
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        let message = "an event is one type with one schema; it cannot be generic: write a struct for each";
        return Err(syn::Error::new_spanned(&input.generics, message));
    }
    // Spanned to the attribute, so that an unknown field or a key that has no Display is shown there.
    let key = quote_spanned! { flow.span() => ::std::string::ToString::to_string(&self.#flow) };
    let (upcasting, checks) = from.map(|from| upcasting(&name, version, &from)).unzip();
    Ok(quote! {
        impl ::laban::Event for #ident {
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            fn flow_key(&self) -> ::std::string::String {
                #key
            }
            #upcasting
        }
        #checks
    })
}

/// How an older version becomes this one, and what must hold for it to be an older version of this.
fn upcasting(name: &LitStr, version: u32, from: &Type) -> (TokenStream, TokenStream) {
    // Spanned to the type, so that a missing `From`, and all that does not hold, is shown there.
    let upcasting = quote_spanned! { from.span() =>
        fn versions() -> ::std::vec::Vec<u32> {
            let mut versions = ::std::vec![#version];
            versions.extend(<#from as ::laban::Event>::versions());
            versions
        }
        fn from_body(
            version: ::std::option::Option<u32>,
            body: &[u8],
        ) -> ::std::result::Result<Self, ::laban::BoxError> {
            ::laban::__derive::upcast::<Self, #from>(version, body)
        }
    };
    let name_differs =
        format!("`from` is an earlier version of the same event: its name must be \"{}\" too", name.value());
    let not_lower =
        format!("`from` is an earlier version of the same event: its version must be below {version}");
    let checks = quote_spanned! { from.span() =>
        const _: () = {
            assert!(::laban::__derive::same_name(<#from as ::laban::Event>::NAME, #name), #name_differs);
            assert!(<#from as ::laban::Event>::VERSION < #version, #not_lower);
        };
    };
    (upcasting, checks)
}
