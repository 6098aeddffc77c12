//! The structs. typify decides on the types of the fields; their order, names of traits and documentation are ours.

use super::builders::Setter;
use super::docs;
use crate::catalog::{Catalog, Family, Scope, referent};
use crate::schema::{Format, Kind, Newtype, Node};
use crate::source::Ordered;
use anyhow::{Context as _, bail};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit_mut::VisitMut;
use typify::{TypeSpace, TypeSpaceSettings};

const TIMESTAMP: &str = "Timestamp";

/// The structs of one module as typify sees them: name → wire name of the field → the field.
pub(super) struct Structs(BTreeMap<String, BTreeMap<String, syn::Field>>);

impl Structs {
    /// Those of a family: its definitions, its requests, its answers and its payloads.
    pub(super) fn of_family(catalog: &Catalog, family: &Family) -> anyhow::Result<Self> {
        let mut schemas = schemas(&family.types.definitions);
        for operation in &family.operations {
            schemas.push((operation.request_type(), plain(&operation.data.request)));
            if let (Some(name), Some(response)) = (operation.response_type(), &operation.data.response) {
                schemas.push((name, plain(response)));
            }
        }
        for notification in &family.notifications {
            schemas.push((notification.payload_type(), plain(&notification.data.payload)));
        }
        let mut known = enums(&family.types.definitions);
        known.extend(catalog.common.definitions.keys().map(|name| (name.to_owned(), format!("crate::common::{name}"))));
        Self::new(schemas, known)
    }

    /// Those of `common.json`.
    pub(super) fn of_common(catalog: &Catalog) -> anyhow::Result<Self> {
        Self::new(schemas(&catalog.common.definitions), enums(&catalog.common.definitions))
    }

    /// `known` are the types that exist without typify: name → path.
    fn new(schemas: Vec<(String, Value)>, known: Vec<(String, String)>) -> anyhow::Result<Self> {
        let mut settings = TypeSpaceSettings::default();
        let newtypes = NEWTYPES.iter().map(|newtype| newtype.name()).chain([TIMESTAMP]);
        let newtypes = newtypes.map(|name| (name.to_owned(), name.to_owned()));
        let mut definitions = Vec::new();
        for (name, path) in newtypes.chain(known) {
            settings.with_replacement(&name, path, std::iter::empty());
            definitions.push((name, json!({"type": "string"})));
        }
        definitions.extend(schemas);
        let definitions: Vec<(String, schemars::schema::Schema)> = definitions
            .into_iter()
            .map(|(name, schema)| Ok((name, serde_json::from_value(schema)?)))
            .collect::<serde_json::Result<_>>()?;
        let mut space = TypeSpace::new(&settings);
        space.add_ref_types(definitions).context("typify refuses the schemas")?;

        let file: syn::File = syn::parse2(space.to_stream()).context("typify's output is not Rust")?;
        let mut structs = BTreeMap::new();
        for item in file.items {
            let syn::Item::Struct(item) = item else { continue };
            let mut fields = BTreeMap::new();
            for mut field in item.fields {
                let wire = wire_name(&field)?;
                Shorten.visit_field_mut(&mut field);
                fields.insert(wire, field);
            }
            structs.insert(item.ident.to_string(), fields);
        }
        Ok(Self(structs))
    }

    /// The Rust field of a property, and whether it is required.
    pub(super) fn field(&self, name: &str, node: &Node, wire: &str) -> anyhow::Result<(Typed<'_>, bool)> {
        let field = self.0.get(name).and_then(|fields| fields.get(wire));
        let field = field.and_then(|field| Some(Typed { ident: field.ident.as_ref()?, ty: &field.ty }));
        let field = field.with_context(|| format!("`{name}` has no field `{wire}` in this family"))?;
        Ok((field, node.requires(wire)))
    }

    /// The struct of this name and schema.
    pub(super) fn item(
        &self,
        scope: &Scope,
        name: &str,
        node: &Node,
        documentation: &TokenStream,
    ) -> anyhow::Result<TokenStream> {
        let ident = format_ident!("{name}");
        let typed = self.0.get(name);
        let mut fields = Vec::new();
        for (wire, field) in node.fields() {
            let Some(typed) = typed.and_then(|fields| fields.get(wire)) else {
                bail!("typify made no field `{wire}` of `{name}`; it reads the schema in another way than xtask");
            };
            fields.push(field_tokens(scope, wire, field, node.requires(wire), typed));
        }
        Ok(quote! {
            #documentation
            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[non_exhaustive]
            pub struct #ident { #(#fields),* }
        })
    }

    /// What a builder of that struct sets.
    pub(super) fn setters(&self, scope: &Scope, name: &str, node: &Node) -> anyhow::Result<Vec<Setter>> {
        let setter = |(wire, field): (&str, &Node)| {
            let (typed, required) = self.field(name, node, wire)?;
            let text = scope.follow(field).kind == Some(Kind::String);
            Ok(Setter { ident: typed.ident.clone(), ty: typed.ty.clone(), required, text })
        };
        node.fields().map(setter).collect()
    }
}

/// Name and type of a field.
pub(super) struct Typed<'a> {
    /// Its name in Rust.
    pub ident: &'a syn::Ident,
    ty: &'a syn::Type,
}

impl<'a> Typed<'a> {
    /// The `T` of a `Vec<T>`.
    pub(super) fn item(&self) -> anyhow::Result<&'a syn::Type> {
        let syn::Type::Path(path) = self.ty else { bail!("`{}` is no list", self.ident) };
        let arguments = path.path.segments.last().map(|segment| &segment.arguments);
        match arguments {
            Some(syn::PathArguments::AngleBracketed(arguments)) => match arguments.args.first() {
                Some(syn::GenericArgument::Type(item)) => Ok(item),
                _ => bail!("`{}` is a list of nothing", self.ident),
            },
            _ => bail!("`{}` is no list", self.ident),
        }
    }
}

fn field_tokens(scope: &Scope, wire: &str, node: &Node, required: bool, typed: &syn::Field) -> TokenStream {
    let docs = docs::attributes(&docs::field(scope, node, required));
    let (ident, ty) = (&typed.ident, &typed.ty);
    let mut serde = Vec::new();
    if ident.as_ref().is_some_and(|ident| *ident != wire) {
        serde.push(quote!(rename = #wire));
    }
    if let Some(alias) = &node.alias {
        serde.push(quote!(alias = #alias));
    }
    let outer = outer_name(ty);
    match (required, outer.as_deref()) {
        (true, _) => {}
        (false, Some("Vec")) => serde.push(quote! {
            default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::read::null_as_default"
        }),
        (false, _) => serde.push(quote!(default, skip_serializing_if = "Option::is_none")),
    }
    if node.blank == Some(true) {
        serde.push(quote!(deserialize_with = "crate::read::blank_as_absent"));
    }
    let serde = (!serde.is_empty()).then(|| quote!(#[serde(#(#serde),*)]));
    quote! { #docs #serde pub #ident: #ty }
}

/// Names of the newtypes that the schemas use.
pub(super) fn newtypes<'a>(nodes: impl Iterator<Item = &'a Node>) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    nodes.for_each(|node| collect_newtypes(node, &mut names));
    names
}

fn collect_newtypes(node: &Node, names: &mut BTreeSet<&'static str>) {
    names.extend(newtype(node));
    node.fields().for_each(|(_, field)| collect_newtypes(field, names));
    node.items.iter().for_each(|items| collect_newtypes(items, names));
}

fn newtype(node: &Node) -> Option<&'static str> {
    let timestamp = node.format.map(|Format::DateTime| TIMESTAMP);
    node.newtype.map(Newtype::name).or(timestamp)
}

fn enums(definitions: &Ordered<Node>) -> Vec<(String, String)> {
    let enums = definitions.iter().filter(|(_, node)| node.is_text_enum());
    enums.map(|(name, _)| (name.to_owned(), name.to_owned())).collect()
}

fn schemas(definitions: &Ordered<Node>) -> Vec<(String, Value)> {
    let objects = definitions.iter().filter(|(_, node)| !node.is_text_enum());
    objects.map(|(name, node)| (name.to_owned(), plain(node))).collect()
}

/// The schema without limits, which would become types of their own that refuse what breaks them.
fn plain(node: &Node) -> Value {
    if let Some(name) = node.reference.as_deref().map(referent).or(newtype(node)) {
        return json!({"$ref": format!("#/definitions/{name}")});
    }
    match node.kind {
        Some(Kind::Object) => {
            let properties: BTreeMap<_, _> = node.fields().map(|(name, field)| (name, plain(field))).collect();
            // Without properties typify would make a map of it, were it open.
            let open = !properties.is_empty();
            json!({
                "type": "object",
                "required": node.required.as_deref().unwrap_or_default(),
                "properties": properties,
                "additionalProperties": open,
            })
        }
        Some(Kind::Array) => json!({"type": "array", "items": node.items.as_deref().map(plain)}),
        kind => json!({"type": kind.map(Kind::name)}),
    }
}

/// The name on the wire: what `#[serde(rename = "…")]` says, or the name of the field.
fn wire_name(field: &syn::Field) -> anyhow::Result<String> {
    let mut wire = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if meta.input.peek(syn::Token![=]) {
                let value: syn::LitStr = meta.value()?.parse()?;
                if meta.path.is_ident("rename") {
                    wire = value.value();
                }
            }
            Ok(())
        })?;
    }
    Ok(wire)
}

fn outer_name(ty: &syn::Type) -> Option<String> {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// `::std::option::Option<::std::string::String>` → `Option<String>`
struct Shorten;

impl VisitMut for Shorten {
    fn visit_path_mut(&mut self, path: &mut syn::Path) {
        if path.leading_colon.is_some() && path.segments.first().is_some_and(|first| first.ident == "std") {
            path.leading_colon = None;
            path.segments = path.segments.last().cloned().into_iter().collect();
        }
        syn::visit_mut::visit_path_mut(self, path);
    }
}

const NEWTYPES: &[Newtype] = &[
    Newtype::StockId,
    Newtype::CouponId,
    Newtype::CouponCode,
    Newtype::OpenId,
    Newtype::AppId,
    Newtype::MchId,
    Newtype::OutRequestNo,
    Newtype::Personal,
    Newtype::Fen,
];
