//! An enum of events is "one of these": an input or an output, not an event type of its own.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields};

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let ident = &input.ident;
    if let Some(attribute) = input.attrs.iter().find(|attribute| attribute.path().is_ident("event")) {
        let message = "an enum of events has no name, version or flow of its own: its variants have";
        return Err(syn::Error::new_spanned(attribute, message));
    }
    if data.variants.is_empty() {
        return Err(syn::Error::new_spanned(ident, "an enum of events needs at least one variant"));
    }
    let mut variants = Vec::new();
    let mut types = Vec::new();
    for variant in &data.variants {
        match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                variants.push(&variant.ident);
                types.push(&fields.unnamed[0].ty);
            }
            _ => {
                let message = format!(
                    "each variant holds one event, as in `{}(SomethingHappened)`; where there may be none, use an `Option`",
                    variant.ident
                );
                return Err(syn::Error::new_spanned(variant, message));
            }
        }
    }
    Ok(quote! {
        impl ::laban::Input for #ident {
            fn event_types() -> ::std::vec::Vec<::laban::EventInfo> {
                ::std::vec![#(::laban::EventInfo::of::<#types>()),*]
            }
            fn accepts(event_type: &::laban::EventType) -> bool {
                [#(<#types as ::laban::Event>::NAME),*].contains(&event_type.as_str())
            }
            fn flow_key(&self) -> ::std::string::String {
                match self {
                    #(Self::#variants(event) => <#types as ::laban::Event>::flow_key(event)),*
                }
            }
            fn decode(
                event_type: &::laban::EventType,
                version: ::std::option::Option<u32>,
                payload: &[u8],
            ) -> ::std::result::Result<Self, ::laban::BoxError> {
                #(if event_type.as_str() == <#types as ::laban::Event>::NAME {
                    return <#types as ::laban::Input>::decode(event_type, version, payload).map(Self::#variants);
                })*
                ::std::result::Result::Err(::std::format!("{event_type} is none of {}", ::std::stringify!(#ident)).into())
            }
        }
        impl ::laban::Emit for #ident {
            fn event_types() -> ::std::vec::Vec<::laban::EventInfo> {
                ::std::vec![#(::laban::EventInfo::of::<#types>()),*]
            }
            fn emit(self, outbox: &mut ::laban::Outbox) {
                match self {
                    #(Self::#variants(event) => <#types as ::laban::Emit>::emit(event, outbox)),*
                }
            }
        }
    })
}
