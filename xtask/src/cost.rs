//! What the description that every type carries costs the compiler: the model against plain structs of the same fields.
//!
//! The plain crate is made from the generated files, as somebody would write it by hand: the same structs, fields and
//! documentation, serde derived, no builders, no descriptions, ordinary enums and newtypes.

use crate::codegen;
use crate::source::read_files;
use anyhow::{Context as _, bail};
use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the model may take, as a multiple of the plain crate.
const LIMIT: f64 = 1.3;
/// How often each is checked; the best of them counts.
const ROUNDS: usize = 5;
const NEWTYPES: &[&str] =
    &["StockId", "CouponId", "CouponCode", "OpenId", "AppId", "MchId", "OutRequestNo", "Personal", "Timestamp"];

/// Measures and prints; fails where the model takes too long.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = target.join("model-cost");
    let plain = target.join("plain");
    let families = write_plain(root, &plain)?;
    let all = families.join(",");
    println!("best of {ROUNDS} checks from clean, dependencies at hand, cargo's own time taken off\n");
    println!("{:16} {:>10} {:>10} {:>7}", "families", "model", "plain", "ratio");
    let mut ratio = 0.0;
    for families in families.iter().map(String::as_str).chain([all.as_str()]) {
        let crates = [Check::new("wechatpay-model", root, &target), Check::new("plain", &plain, &target)];
        let [model, plain] = measure(&crates, families)?;
        ratio = model.as_secs_f64() / plain.as_secs_f64();
        let name = if families == all { "all" } else { families };
        println!("{name:16} {:>8} ms {:>8} ms {ratio:>7.2}", model.as_millis(), plain.as_millis());
    }
    if ratio > LIMIT {
        bail!("the model takes {ratio:.2} times as long as plain structs; {LIMIT} is the limit");
    }
    Ok(())
}

/// A crate to be checked.
struct Check<'a> {
    package: &'a str,
    folder: &'a Path,
    target: &'a Path,
}

impl<'a> Check<'a> {
    fn new(package: &'a str, folder: &'a Path, target: &'a Path) -> Self {
        Self { package, folder, target }
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(program)
            .args(arguments)
            .args(["--quiet", "--package", self.package, "--target-dir"])
            .arg(self.target)
            .env("CARGO_INCREMENTAL", "0")
            .current_dir(self.folder)
            .stdout(Stdio::null())
            .status()
            .context("cannot start cargo; is it installed?")?;
        if !status.success() {
            bail!("cargo {} of {} ended with {status}", arguments.join(" "), self.package);
        }
        Ok(())
    }

    fn check(&self, families: &str) -> anyhow::Result<Duration> {
        let start = Time::now();
        self.cargo(&["check", "--lib", "--no-default-features", "--features", families])?;
        Ok(start.elapsed())
    }
}

/// The best time of each, in turns so that a busy machine does no wrong to one of them.
fn measure(crates: &[Check<'_>; 2], families: &str) -> anyhow::Result<[Duration; 2]> {
    let mut best = [Duration::MAX; 2];
    let mut fresh = [Duration::MAX; 2];
    for (krate, fresh) in crates.iter().zip(&mut fresh) {
        krate.check(families)?;
        for _ in 0..ROUNDS {
            *fresh = krate.check(families)?.min(*fresh);
        }
    }
    for _ in 0..ROUNDS {
        for (krate, best) in crates.iter().zip(&mut best) {
            krate.cargo(&["clean"])?;
            *best = krate.check(families)?.min(*best);
        }
    }
    let [model, plain] = best;
    let [model_fresh, plain_fresh] = fresh;
    Ok([model.saturating_sub(model_fresh), plain.saturating_sub(plain_fresh)])
}

/// A moment: the processor time of ended children where the system tells it, which others on the machine hardly
/// change, else the time of day.
enum Time {
    Processor(Duration),
    Day(Instant),
}

impl Time {
    fn now() -> Self {
        children().map_or_else(|| Self::Day(Instant::now()), Self::Processor)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Processor(start) => children().unwrap_or_default().saturating_sub(*start),
            Self::Day(start) => start.elapsed(),
        }
    }
}

/// Processor time of ended children, from Linux; in hundredths of a second.
fn children() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(13)? + ticks(14)?) * 10))
}

/// Writes the plain crate; gives the names of the families.
fn write_plain(root: &Path, plain: &Path) -> anyhow::Result<Vec<String>> {
    let files = read_files(&root.join("schemas"))?;
    let Ok(generated) = codegen::generate(&files)? else {
        bail!("the schema files have problems; see `cargo xtask codegen`");
    };
    let mut families = Vec::new();
    let mut library = "//! Plain structs.\npub mod types;\n".to_owned();
    let mut put = Vec::new();
    for (path, text) in &generated.files {
        let Some(name) = path.strip_suffix(".rs").filter(|name| !["mod", "error_code"].contains(name)) else {
            continue;
        };
        if name != "common" {
            writeln!(library, "#[cfg(feature = {name:?})]")?;
            families.push(name.to_owned());
        }
        writeln!(library, "/// A family.\npub mod {name};")?;
        put.push((path.clone(), plain_file(text).with_context(|| path.clone())?));
    }
    put.push(("lib.rs".to_owned(), library));
    put.push(("types.rs".to_owned(), newtypes()));

    let mut manifest = "[package]\nname = \"plain\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                        serde = { version = \"1\", features = [\"derive\"] }\n\n[features]\n"
        .to_owned();
    families.iter().try_for_each(|name| writeln!(manifest, "{name} = []"))?;
    let write = |path: &str, text: &str| {
        std::fs::write(plain.join(path), text).with_context(|| format!("cannot write {path} of the plain crate"))
    };
    std::fs::create_dir_all(plain.join("src")).with_context(|| format!("cannot create {}", plain.display()))?;
    write("Cargo.toml", &manifest)?;
    // The same versions of the dependencies; cargo drops what is not needed.
    write("Cargo.lock", &std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?)?;
    put.iter().try_for_each(|(path, text)| write(&format!("src/{path}"), text))?;
    Ok(families)
}

fn newtypes() -> String {
    let mut text = "//! Newtypes.\n".to_owned();
    for (name, inner) in NEWTYPES.iter().map(|name| (*name, "String")).chain([("Fen", "i64")]) {
        text += &format!(
            "/// A newtype.\n#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]\n\
             #[serde(transparent)]\npub struct {name}(pub {inner});\n"
        );
    }
    text
}

/// The types of a generated file, plain.
fn plain_file(text: &str) -> anyhow::Result<String> {
    let mut items = Vec::new();
    for item in syn::parse_file(text)?.items {
        match item {
            syn::Item::Use(item) if item.to_token_stream().to_string().contains("types") => {
                items.push(item.into_token_stream());
            }
            syn::Item::Struct(item) => items.push(plain_struct(item)),
            syn::Item::Macro(item) if item.mac.path.is_ident("open_enum") => {
                items.push(syn::parse2::<Enum>(item.mac.tokens)?.0);
            }
            _ => {}
        }
    }
    let file = syn::parse2(quote!(#(#items)*))?;
    Ok(prettyplease::unparse(&file))
}

fn plain_struct(mut item: syn::ItemStruct) -> TokenStream {
    let ours = |attribute: &syn::Attribute| {
        ["derive", "non_exhaustive", "builder"].iter().any(|name| attribute.path().is_ident(name))
    };
    item.attrs.retain(|attribute| !ours(attribute));
    for field in &mut item.fields {
        field.attrs.retain(|attribute| !ours(attribute));
        for attribute in &mut field.attrs {
            if let syn::Meta::List(list) = &mut attribute.meta
                && list.path.is_ident("serde")
            {
                list.tokens = without_readers(std::mem::take(&mut list.tokens));
            }
        }
    }
    quote! {
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #item
    }
}

/// The arguments of `#[serde(…)]` without `deserialize_with`, which leads to functions of the model.
fn without_readers(tokens: TokenStream) -> TokenStream {
    let text = tokens.to_string();
    let kept: Vec<_> = text.split(',').filter(|argument| !argument.contains("deserialize_with")).collect();
    kept.join(",").parse().unwrap_or(tokens)
}

/// What stands inside of `open_enum!`, as an enum with derived serde.
struct Enum(TokenStream);

impl syn::parse::Parse for Enum {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(syn::Attribute::parse_outer)?;
        input.parse::<syn::Token![pub]>()?;
        input.parse::<syn::Token![enum]>()?;
        let name: syn::Ident = input.parse()?;
        let unknown;
        syn::parenthesized!(unknown in input);
        unknown.parse::<syn::Ident>()?;
        let body;
        syn::braced!(body in input);
        let mut variants = Vec::new();
        while !body.is_empty() {
            let attributes = body.call(syn::Attribute::parse_outer)?;
            let variant: syn::Ident = body.parse()?;
            body.parse::<syn::Token![=]>()?;
            let text: syn::LitStr = body.parse()?;
            let mut aliases = Vec::new();
            while body.parse::<Option<syn::Token![|]>>()?.is_some() {
                let alias: syn::LitStr = body.parse()?;
                aliases.push(quote!(, alias = #alias));
            }
            body.parse::<syn::Token![,]>()?;
            variants.push(quote!(#(#attributes)* #[serde(rename = #text #(#aliases)*)] #variant));
        }
        Ok(Self(quote! {
            #(#attributes)*
            #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
            pub enum #name { #(#variants),* }
        }))
    }
}
