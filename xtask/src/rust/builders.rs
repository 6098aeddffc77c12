//! The builders of requests and of what they hold: `build` exists once every required field is given.
//!
//! A required field is a type parameter of the builder: a marker of its name until it is given, then its value. So what is
//! missing stands in the compiler's message, nothing can be given twice, and there is nothing to unwrap.

use super::types::Structs;
use crate::catalog::Scope;
use crate::schema::Node;
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeSet;
use syn::{GenericArgument, Ident, PathArguments, Type};

/// A field that a builder sets.
pub(super) struct Setter {
    pub ident: Ident,
    pub ty: Type,
    pub required: bool,
    /// It is text on the wire, and so takes whatever becomes its type.
    pub text: bool,
}

impl Setter {
    /// What the setter takes, and how that becomes the field. Of an optional field that is what is in the `Option`.
    fn argument(&self) -> (TokenStream, TokenStream) {
        let inner = if self.required { None } else { inner(&self.ty, "Option") };
        let ty = inner.unwrap_or(&self.ty);
        let (argument, value) =
            if self.text { (quote!(impl Into<#ty>), quote!(value.into())) } else { (quote!(#ty), quote!(value)) };
        (argument, if inner.is_some() { quote!(Some(#value)) } else { value })
    }

    /// `/// Sets [`field`](Struct::field).`
    fn docs(&self, target: &Ident) -> Literal {
        Literal::string(&format!(" Sets [`{0}`]({target}::{0}).", self.ident))
    }
}

/// The module of the builders of these structs; nothing where there are none.
pub(super) fn module<'a>(
    scope: &Scope,
    structs: &Structs,
    built: impl Iterator<Item = (String, &'a Node)>,
) -> anyhow::Result<TokenStream> {
    let (mut builders, mut names) = (TokenStream::new(), BTreeSet::new());
    for (name, node) in built {
        let setters = structs.setters(scope, &name, node)?;
        builders.extend(builder(&format_ident!("{name}"), &setters));
        names.extend(setters.into_iter().filter(|setter| setter.required).map(|setter| setter.ident));
    }
    if builders.is_empty() {
        return Ok(builders);
    }
    let markers = markers(&names);
    Ok(quote! {
        /// What the `builder` functions of this family give.
        pub mod builders {
            use super::*;
            #markers
            #builders
        }
    })
}

/// The builder of a struct.
fn builder(target: &Ident, setters: &[Setter]) -> TokenStream {
    let builder = format_ident!("{target}Builder");
    let (required, optional): (Vec<_>, Vec<_>) = setters.iter().partition(|setter| setter.required);
    let rest = format_ident!("{target}Optional");
    let rest_field = (!optional.is_empty()).then(|| quote!(optional: #rest,));
    let parameters: Vec<_> = (0..required.len()).map(parameter).collect();
    let generics = angle(&parameters);
    let names: Vec<_> = required.iter().map(|setter| &setter.ident).collect();
    let missing: Vec<_> = names.iter().map(|name| quote!(unset::#name)).collect();
    let given: Vec<_> = required.iter().map(|setter| &setter.ty).collect();
    let (from_nothing, complete) = (angle(&missing), angle(&given));

    let start = rest_field.is_some().then(|| quote!(optional: #rest::default(),));
    let own = optional.iter().map(|setter| &setter.ident);
    let docs = format!(" Starts a [`{target}`]; `build` is there once all that is required is given.");
    let mut tokens = quote! {
        impl #target {
            #[doc = #docs]
            pub fn builder() -> #builder #from_nothing {
                #builder { #(#names: unset::#names,)* #start }
            }
        }
    };
    let docs = format!(" Builds a [`{target}`]; see [`{target}::builder`].");
    tokens.extend(quote! {
        #[doc = #docs]
        #[must_use = "a builder does nothing until `build` is called"]
        pub struct #builder #generics { #(#names: #parameters,)* #rest_field }
    });
    let finish = quote! {
        /// The finished value.
        pub fn build(self) -> #target {
            #target { #(#names: self.#names,)* #(#own: self.optional.#own,)* }
        }
    };
    tokens.extend(quote!(impl #builder #complete { #finish }));
    for (index, setter) in required.iter().enumerate() {
        tokens.extend(required_setter(target, &builder, &required, index, setter, rest_field.is_some()));
    }
    if !optional.is_empty() {
        let fields = optional.iter().map(|Setter { ident, ty, .. }| quote!(#ident: #ty));
        let setters = optional.iter().map(|setter| optional_setter(target, setter));
        tokens.extend(quote! {
            #[derive(Default)]
            struct #rest { #(#fields),* }
            impl #generics #builder #generics { #(#setters)* }
        });
    }
    tokens
}

/// One that changes the type of the builder, and so moves all that is there.
fn required_setter(
    target: &Ident,
    builder: &Ident,
    required: &[&Setter],
    index: usize,
    setter: &Setter,
    has_rest: bool,
) -> TokenStream {
    let Setter { ident, ty, .. } = setter;
    let others = (0..required.len()).filter(|other| *other != index).map(parameter).collect::<Vec<_>>();
    let arguments = |this: TokenStream| {
        let all = (0..required.len()).map(|other| if other == index { this.clone() } else { parameter(other) });
        angle(&all.collect::<Vec<_>>())
    };
    let (before, after) = (arguments(quote!(unset::#ident)), arguments(quote!(#ty)));
    let (argument, value) = setter.argument();
    let moved = required.iter().map(|other| {
        let name = &other.ident;
        if name == ident { quote!(#name: #value) } else { quote!(#name: self.#name) }
    });
    let rest = has_rest.then(|| quote!(optional: self.optional,));
    let (docs, generics) = (setter.docs(target), angle(&others));
    quote! {
        impl #generics #builder #before {
            #[doc = #docs]
            pub fn #ident(self, value: #argument) -> #builder #after {
                #builder { #(#moved,)* #rest }
            }
        }
    }
}

fn optional_setter(target: &Ident, setter: &Setter) -> TokenStream {
    let Setter { ident, .. } = setter;
    let (argument, value) = setter.argument();
    let docs = setter.docs(target);
    quote! {
        #[doc = #docs]
        pub fn #ident(mut self, value: #argument) -> Self {
            self.optional.#ident = #value;
            self
        }
    }
}

/// The module of the markers: one for each name of a required field.
fn markers(names: &BTreeSet<Ident>) -> TokenStream {
    let docs = " Stands in a builder's type for the required field of its name as long as that is missing.";
    if names.is_empty() {
        return TokenStream::new();
    }
    let names = names.iter();
    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "each is called as the field that it stands for")]
        pub mod unset {
            #(#[doc = #docs] pub struct #names;)*
        }
    }
}

fn parameter(index: usize) -> TokenStream {
    let name = format_ident!("T{}", index + 1);
    quote!(#name)
}

/// `<…>`, or nothing.
fn angle(arguments: &[impl quote::ToTokens]) -> TokenStream {
    if arguments.is_empty() { TokenStream::new() } else { quote!(<#(#arguments),*>) }
}

/// The `T` of a `wrapper<T>`.
fn inner<'a>(ty: &'a Type, wrapper: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == wrapper)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
