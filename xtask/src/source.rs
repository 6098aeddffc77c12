//! The text of the schema files: reading it, keeping the order of keys, and saying where a mistake is.

use anyhow::Context as _;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_path_to_error::{Path as TracePath, Segment};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A mistake in a schema file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file, relative to `schemas/`.
    pub file: String,
    /// JSON pointer into it.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A mistake at this place: what it is, and what to do about it.
    pub(crate) fn new(file: &str, pointer: &str, what: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), pointer: pointer.to_owned(), message: format!("{what}; {remedy}") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "(whole file)" } else { &self.pointer };
        write!(f, "schemas/{}: {pointer}: {}", self.file, self.message)
    }
}

/// The schema files: path relative to `schemas/` → text.
pub(crate) type Files = BTreeMap<String, String>;

/// Reads `common.json` and all files of all family folders; what describes the files is output, not input.
pub(crate) fn read_files(schemas: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    collect(schemas, "", &mut files)?;
    files.retain(|path, _| path != crate::OPERATION_SCHEMA && path != crate::NOTIFICATION_SCHEMA);
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> anyhow::Result<()> {
    for entry in list(folder)? {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else if name.ends_with(".json") {
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

fn list(folder: &Path) -> anyhow::Result<Vec<std::fs::DirEntry>> {
    std::fs::read_dir(folder)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot list {}; check that the folder exists and is readable", folder.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; it must be a readable UTF-8 file", path.display()))
}

/// Parses a file into its strict struct. Keys that stand twice are all reported; of other mistakes the first.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Vec<Problem>> {
    let tree: Json = from_str(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    tree.duplicates(&mut String::new(), &mut |pointer| {
        problems.push(Problem::new(file, pointer, "the key stands twice in its object", "keep one of the two"));
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    from_str(file, text).map_err(|problem| vec![problem])
}

fn from_str<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        Problem::new(file, &pointer, error.inner(), "see schemas/README.md for what may stand here")
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::new(file, "", error, "one file holds one JSON object and nothing after it"))?;
    Ok(value)
}

fn pointer(path: &TracePath) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // The variant of `{"product": […]}` is its key.
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => push(&mut pointer, "?"),
        }
    }
    pointer
}

/// Appends one token to a JSON pointer.
pub(crate) fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// The pointer to `token` below `pointer`.
pub(crate) fn below(pointer: &str, token: impl fmt::Display) -> String {
    let mut pointer = pointer.to_owned();
    push(&mut pointer, &token.to_string());
    pointer
}

/// A JSON object that keeps the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Ordered<T> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Whether there is such a key.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Pairs in the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Keys in the order of the file.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(std::marker::PhantomData))
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Ordered<T> {
    fn schema_name() -> String {
        format!("Map_of_{}", T::schema_name())
    }

    fn is_referenceable() -> bool {
        false
    }

    fn json_schema(generator: &mut schemars::r#gen::SchemaGenerator) -> schemars::schema::Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// Any JSON value; objects keep the order of the file, and keys that stand twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Ordered<Json>),
}

impl Json {
    /// The text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    fn duplicates(&self, pointer: &mut String, found: &mut impl FnMut(&str)) {
        let len = pointer.len();
        match self {
            Self::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    push(pointer, &i.to_string());
                    item.duplicates(pointer, found);
                    pointer.truncate(len);
                }
            }
            Self::Object(pairs) => {
                let mut seen = std::collections::BTreeSet::new();
                for (key, value) in pairs.iter() {
                    push(pointer, key);
                    if !seen.insert(key) {
                        found(pointer);
                    }
                    value.duplicates(pointer, found);
                    pointer.truncate(len);
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
                serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
            }
            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::String(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Json, E> {
                Ok(Json::String(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Json::Object(Ordered(pairs)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(pairs) => pairs.serialize(serializer),
        }
    }
}

impl schemars::JsonSchema for Json {
    fn schema_name() -> String {
        "Any".to_owned()
    }

    fn is_referenceable() -> bool {
        false
    }

    fn json_schema(_: &mut schemars::r#gen::SchemaGenerator) -> schemars::schema::Schema {
        schemars::schema::Schema::Bool(true)
    }
}
