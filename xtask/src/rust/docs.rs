//! What the documentation of the generated items says.

use crate::catalog::{Notification, Operation, Scope};
use crate::limits::{Charset, text_limits};
use crate::schema::{Delivery, FamilyFile, Idempotency, Kind, Method, Newtype, Node, Per, Rate, Variant};
use crate::source::Json;
use proc_macro2::TokenStream;
use quote::quote;

/// Longest line of a comment.
const WIDTH: usize = 100;

/// Paragraphs as lines of a doc comment.
pub(super) fn lines(paragraphs: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        wrap(paragraph, &mut lines);
    }
    lines
}

/// The doc comment as attributes.
pub(super) fn attributes(paragraphs: &[String]) -> TokenStream {
    let lines = lines(paragraphs).into_iter().map(|line| if line.is_empty() { line } else { format!(" {line}") });
    quote!(#(#[doc = #lines])*)
}

/// Breaks at spaces, but not where the next word would begin a list or a heading, nor inside of code.
fn wrap(paragraph: &str, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut code = false;
    for word in paragraph.split_whitespace() {
        let fits = columns(&line) + 1 + columns(word) <= WIDTH;
        if line.is_empty() {
            line = word.to_owned();
        } else if fits || code || word.starts_with(|c: char| "-+*#=>|".contains(c) || c.is_ascii_digit()) {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
        code ^= word.matches('`').count() % 2 == 1;
    }
    lines.push(line);
}

fn columns(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

/// `types.json`
pub(super) fn family(file: &FamilyFile) -> Vec<String> {
    let title = label(&escape(&file.title), Some(&file.title_zh));
    vec![title, file.description.as_deref().map(escape).unwrap_or_default()]
}

/// The request type of an operation.
pub(super) fn request(operation: &Operation) -> Vec<String> {
    let data = &operation.data;
    let repeat = match &data.idempotency {
        Idempotency::Safe {} => "safe to repeat".to_owned(),
        Idempotency::Key { field } => format!("a repeat with the same `{field}` and parameters has one effect"),
        Idempotency::None {} => "a repeat may act twice".to_owned(),
    };
    vec![
        sentence(&escape(&data.title)),
        format!("{} · `{} {}` · {repeat}", escape(&data.title_zh), method(data.method), data.path),
        data.brand_path.as_ref().map(|path| format!("A brand calls `{path}`, without `brand_id`.")).unwrap_or_default(),
        rates(&data.rate),
        data.note.as_deref().map(escape).unwrap_or_default(),
        documents(&data.source),
    ]
}

fn documents(source: &[String]) -> String {
    let links: Vec<_> = source.iter().map(|source| format!("<{source}>")).collect();
    format!("{}: {}", if links.len() == 1 { "Document" } else { "Documents" }, links.join(", "))
}

/// `At most 60 calls a minute for each merchant, 1000 a minute.`
fn rates(rates: &[Rate]) -> String {
    let rates = rates.iter().enumerate().map(|(i, rate)| {
        let calls = match (i, rate.calls) {
            (0, 1) => "1 call".to_owned(),
            (0, calls) => format!("{calls} calls"),
            (_, calls) => calls.to_string(),
        };
        let time = match rate.seconds {
            1 => "a second".to_owned(),
            60 => "a minute".to_owned(),
            3600 => "an hour".to_owned(),
            86400 => "a day".to_owned(),
            seconds => format!("in {seconds} seconds"),
        };
        let per = match rate.per {
            Per::Merchant => " for each merchant",
            Per::Ip => " from each address",
            Per::All => "",
        };
        format!("{calls} {time}{per}")
    });
    let rates: Vec<_> = rates.collect();
    if rates.is_empty() { String::new() } else { format!("At most {}.", rates.join(", ")) }
}

/// The payload of a notification.
pub(super) fn payload(notification: &Notification) -> Vec<String> {
    let data = &notification.data;
    let delivery = data.delivery.map(|Delivery { attempts, every_seconds }| {
        format!(" · sent up to {attempts} times, every {every_seconds} seconds")
    });
    vec![
        sentence(&escape(&data.title)),
        format!("{} · `{}`{}", escape(&data.title_zh), data.event_type, delivery.unwrap_or_default()),
        data.payload.description.as_deref().map(|text| sentence(&escape(text))).unwrap_or_default(),
        data.note.as_deref().map(escape).unwrap_or_default(),
        documents(&data.source),
    ]
}

/// The method as it is written in a request line.
pub(crate) fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// The answer of an operation.
pub(super) fn response(operation: &Operation, node: &Node) -> Vec<String> {
    let mut paragraphs = vec![format!("The answer to [`{}`].", operation.request_type())];
    paragraphs.extend(node.description.as_deref().map(escape));
    paragraphs
}

/// A definition.
pub(super) fn definition(node: &Node) -> Vec<String> {
    vec![described(node.description.as_deref(), node.title.as_deref())]
}

/// One value of an enum.
pub(super) fn variant(wire: &str, variant: &Variant) -> Vec<String> {
    let text = described(variant.description.as_deref(), variant.title.as_deref());
    let alias: Vec<_> = variant.alias.iter().map(|alias| code(alias)).collect();
    let alias = if alias.is_empty() { String::new() } else { format!("Also read from {}.", alias.join(", ")) };
    vec![if text.is_empty() { code(wire) } else { text }, alias]
}

/// One field of an object.
pub(super) fn field(scope: &Scope, node: &Node, required: bool) -> Vec<String> {
    let target = scope.follow(node);
    let title = node.title.as_deref().or(target.title.as_deref());
    let mut text = vec![described(node.description.as_deref().or(target.description.as_deref()), title)];
    text.extend(limits(scope, node).map(|limits| sentence(&limits)));
    text.push(if required { "Required." } else { "Optional." }.to_owned());
    if let Some(default) = &node.default {
        text.push(format!("Default: {}.", value(default)));
    }
    if let Some(example) = node.examples.iter().flatten().next() {
        text.push(format!("Example: {}.", value(example)));
    }
    text.retain(|part| !part.is_empty());
    let mut paragraphs = vec![text.join(" ")];
    if let Some(alias) = &node.alias {
        paragraphs.push(format!("Also read as {}, a misspelling in a published document.", code(alias)));
    }
    if node.blank == Some(true) {
        paragraphs.push("An empty text is read as absence.".to_owned());
    }
    if node.sensitive == Some(true) {
        paragraphs.push("It travels encrypted.".to_owned());
    }
    paragraphs
}

fn limits(scope: &Scope, node: &Node) -> Option<String> {
    let target = scope.follow(node);
    let text = match target.kind? {
        Kind::String => {
            let limits = text_limits(target).ok()?;
            let length = range(limits.min, limits.max, "character");
            [length, limits.charset.as_ref().and_then(charset)].into_iter().flatten().collect::<Vec<_>>().join(" of ")
        }
        Kind::Integer | Kind::Number => {
            let unit = target.unit.as_deref().or((target.newtype == Some(Newtype::Fen)).then_some("fen"));
            let values: Vec<_> = target.one_of.iter().flatten().map(value).collect();
            let bounds = match (target.minimum, target.maximum) {
                (Some(min), Some(max)) if min == max => Some(format!("exactly {min}")),
                (Some(min), Some(max)) => Some(format!("{min} to {max}")),
                (Some(min), None) => Some(format!("at least {min}")),
                (None, Some(max)) => Some(format!("at most {max}")),
                (None, None) => None,
            };
            match (bounds, unit) {
                _ if !values.is_empty() => format!("one of {}", values.join(", ")),
                // `at least 1 day`, but `0 to 1 days`.
                (Some(bounds), Some(unit)) if bounds.ends_with(" 1") && !bounds.contains(" to ") => {
                    format!("{bounds} {}", escape(unit.strip_suffix('s').unwrap_or(unit)))
                }
                (Some(bounds), Some(unit)) => format!("{bounds} {}", escape(unit)),
                (Some(bounds), None) => bounds,
                (None, Some(unit)) => format!("in {}", escape(unit)),
                (None, None) => String::new(),
            }
        }
        Kind::Array => {
            let count = range(target.min_items.unwrap_or(0), target.max_items, "item");
            let each =
                target.items.as_ref().and_then(|items| limits(scope, items)).map(|limits| format!("each {limits}"));
            [count, each].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        Kind::Object | Kind::Boolean => String::new(),
    };
    (!text.is_empty()).then_some(text)
}

fn range(min: usize, max: Option<usize>, noun: &str) -> Option<String> {
    let plural = |n: usize| if n == 1 { noun.to_owned() } else { format!("{noun}s") };
    Some(match (min, max) {
        (0, None) => return None,
        (min, None) => format!("at least {min} {}", plural(min)),
        (min, Some(max)) if min == max => format!("exactly {max} {}", plural(max)),
        (0, Some(max)) => format!("at most {max} {}", plural(max)),
        (min, Some(max)) => format!("{min}–{max} {}", plural(max)),
    })
}

/// The characters, unless it is easier to say which are left out: then the description does.
fn charset(ranges: &Charset) -> Option<String> {
    if ranges.iter().any(|(_, last)| !last.is_ascii()) {
        return None;
    }
    let ranges = ranges.iter().map(|&(first, last)| match (first, last) {
        (' ', ' ') => "space".to_owned(),
        (first, last) if first == last => code(&first.to_string()),
        (first, last) => code(&format!("{first}-{last}")),
    });
    Some(ranges.collect::<Vec<_>>().join(" "))
}

/// The description with the label behind its first sentence.
fn described(description: Option<&str>, title: Option<&str>) -> String {
    let Some(description) = description.map(str::trim).filter(|text| !text.is_empty()) else {
        return title.map(|title| sentence(&escape(title))).unwrap_or_default();
    };
    match description.split_once(". ").filter(|(_, rest)| rest.starts_with(char::is_uppercase)) {
        Some((first, rest)) => format!("{} {}", label(&escape(first), title), sentence(&escape(rest))),
        None => label(&escape(description), title),
    }
}

fn label(text: &str, title: Option<&str>) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    match title {
        Some(title) => format!("{text} ({}).", escape(title)),
        None => format!("{text}."),
    }
}

/// Capital first, full stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    out.push_str(chars.as_str());
    if !out.ends_with(['.', '。', '?', '!']) {
        out.push('.');
    }
    out
}

fn value(json: &Json) -> String {
    match json.as_str() {
        Some(text) => code(text),
        None => code(&serde_json::to_string(json).unwrap_or_default()),
    }
}

fn code(text: &str) -> String {
    match text {
        "" => "`\"\"`".to_owned(),
        text if text.contains('`') => format!("`` {text} ``"),
        text => format!("`{text}`"),
    }
}

/// Makes plain text safe for Markdown: code in backticks stays, addresses become links, the rest means itself.
pub(crate) fn escape(text: &str) -> String {
    let balanced = text.matches('`').count().is_multiple_of(2);
    let mut out = String::new();
    let mut code = false;
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let address = if code { 0 } else { address(rest) };
        if address > 0 {
            let (link, tail) = rest.split_at(address);
            out.push_str(&format!("<{link}>"));
            (rest, before) = (tail, ' ');
            continue;
        }
        rest = rest.split_at(c.len_utf8()).1;
        let inside_word = before.is_alphanumeric() && rest.starts_with(char::is_alphanumeric);
        match c {
            '`' if balanced => code = !code,
            '`' | '[' | ']' | '<' | '>' | '*' | '\\' if !code => out.push('\\'),
            '_' if !code && !inside_word => out.push('\\'),
            _ => {}
        }
        out.push(c);
        before = c;
    }
    out
}

/// Length of the address that the text begins with; 0 if it begins with none.
fn address(text: &str) -> usize {
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return 0;
    }
    let end = text.find(|c: char| !c.is_ascii() || c.is_ascii_whitespace() || "<>()[]\"'`".contains(c));
    let (link, _) = text.split_at(end.unwrap_or(text.len()));
    link.trim_end_matches(['.', ',', ';', ':', '!', '?']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_means_itself() {
        for (text, markdown) in [
            ("a [b] <c> `[d]` e_f _g_", r"a \[b\] \<c\> `[d]` e_f \_g\_"),
            ("see https://a.b/c_d?e=f.", "see <https://a.b/c_d?e=f>."),
            ("(http://a.b)，c", "(<http://a.b>)，c"),
            ("one ` alone", r"one \` alone"),
            ("`https://a.b`", "`https://a.b`"),
        ] {
            assert_eq!(escape(text), markdown);
        }
    }

    #[test]
    fn long_lines_break_at_harmless_places() {
        let mut lines = Vec::new();
        let (a, b) = ("a".repeat(WIDTH), "b".repeat(WIDTH));
        wrap(&format!("{a} - {b} 1. c `x y` d"), &mut lines);
        assert_eq!(lines, [format!("{a} -"), format!("{b} 1."), "c `x y` d".to_owned()]);
    }
}
