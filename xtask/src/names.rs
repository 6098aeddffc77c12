//! How wire texts and definitions are called in Rust.

/// Names that a definition may not take, because the generated module uses them otherwise.
const RESERVED: &[&str] = &[
    "Box",
    "Clone",
    "Debug",
    "Default",
    "Eq",
    "EventSpec",
    "From",
    "Hash",
    "NoContent",
    "None",
    "Ok",
    "Operation",
    "Option",
    "Ord",
    "Paginated",
    "PartialEq",
    "Payload",
    "Result",
    "Self",
    "Some",
    "Spec",
    "Start",
    "String",
    "Timestamp",
    "Vec",
];

/// Whether the generated module needs this name for something else.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether the text can stand as an identifier in Rust as it is.
pub(crate) fn is_identifier(text: &str) -> bool {
    syn::parse_str::<syn::Ident>(text).is_ok()
}

/// Whether a definition may be called so: `UpperCamelCase` in ASCII, an abbreviation written like a word.
pub(crate) fn is_type_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
        && !name.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_uppercase))
}

/// Whether an id may be called so: `snake_case` in ASCII.
pub(crate) fn is_snake(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('_').all(word)
}

/// `start_stock`, `START_STOCK`, `start-stock` → `StartStock`; a word of mixed case keeps its capitals.
pub(crate) fn upper_camel(text: &str) -> String {
    let mut name = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let shouted = !word.chars().any(char::is_lowercase);
        let mut chars = word.chars();
        name.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        if shouted {
            name.extend(chars.flat_map(char::to_lowercase));
        } else {
            name.extend(chars);
        }
    }
    name
}

/// `StockUseRule` → `STOCK_USE_RULE`, `start_stock` → `START_STOCK`.
pub(crate) fn screaming(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_texts_become_variants() {
        for (wire, rust) in [
            ("COLOR010", "Color010"),
            ("Color010", "Color010"),
            ("unactivated", "Unactivated"),
            ("MINI_PROGRAM", "MiniProgram"),
            ("start_stock", "StartStock"),
            ("miniProgram", "MiniProgram"),
            ("a-b c", "ABC"),
        ] {
            assert_eq!(upper_camel(wire), rust);
        }
        assert_eq!(screaming("StockUseRule"), "STOCK_USE_RULE");
        assert_eq!(screaming("start_stock"), "START_STOCK");
    }

    #[test]
    fn type_names() {
        assert!(is_type_name("StockUseRule") && is_type_name("Rule2"));
        assert!(!is_type_name("URLLink") && !is_type_name("stock") && !is_type_name("A_b") && !is_type_name(""));
        assert!(is_snake("start_stock") && !is_snake("start__stock") && !is_snake("Start") && !is_snake(""));
    }
}
