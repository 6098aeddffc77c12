//! The tables of operations in the READMEs.

use crate::catalog::{Catalog, Family};
use crate::rust::method;
use anyhow::Context as _;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- operations -->\n";
const END: &str = "<!-- /operations -->";

/// The files that have them, and how each is written.
pub(crate) const READMES: [(&str, Words); 2] = [
    (
        "README.md",
        Words {
            summary: |title, title_zh, count| {
                format!("{title} ({title_zh}), {}", crate::codegen::count(count, "operation"))
            },
            head: "| id | method and path | what it does | 标题 |\n|---|---|---|---|",
            titles: |title, title_zh| format!("{title} | {title_zh}"),
        },
    ),
    (
        "README.zh-CN.md",
        Words {
            summary: |_, title_zh, count| format!("{title_zh}，{count} 个接口"),
            head: "| id | 方法和路径 | 接口 |\n|---|---|---|",
            titles: |_, title_zh| title_zh.to_owned(),
        },
    ),
];

/// What differs between the languages.
pub(crate) struct Words {
    /// A family: its two titles, and how many operations it has.
    summary: fn(&str, &str, usize) -> String,
    head: &'static str,
    /// The last cells of an operation, from its two titles.
    titles: fn(&str, &str) -> String,
}

/// The text of the file `name` with the tables between the two marks.
pub(crate) fn with_operations(name: &str, text: &str, tables: &str) -> anyhow::Result<String> {
    between(name, text, (BEGIN, END), tables)
}

/// The text of a file with this between two marks.
pub(crate) fn between(name: &str, text: &str, marks: (&str, &str), inside: &str) -> anyhow::Result<String> {
    let (begin, end) = marks;
    let missing =
        || format!("{name} has no line `{}` with a line `{end}` below it; add both where it belongs", begin.trim());
    let (before, rest) = text.split_once(begin).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    Ok(format!("{before}{begin}{inside}{end}{after}"))
}

/// One table for each family.
pub(crate) fn operations(catalog: &Catalog, words: &Words) -> String {
    let families = catalog.families.iter().filter(|family| !family.operations.is_empty());
    families.map(|family| table(family, words)).collect()
}

fn table(family: &Family, words: &Words) -> String {
    let summary = (words.summary)(&cell(&family.types.title), &cell(&family.types.title_zh), family.operations.len());
    let mut out = format!("\n<details><summary><code>{}</code>: {summary}</summary>\n\n{}\n", family.name, words.head);
    for operation in &family.operations {
        let data = &operation.data;
        let titles = (words.titles)(&cell(&data.title), &cell(&data.title_zh));
        // Writing to a string does not fail.
        let _ = writeln!(out, "| `{}` | `{} {}` | {titles} |", data.id, method(data.method), data.path);
    }
    out + "\n</details>\n"
}

/// Plain text for a cell.
fn cell(text: &str) -> String {
    crate::rust::escape(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_stand_between_the_marks() {
        let text = "# a\n<!-- operations -->\nold\n<!-- /operations -->\nb\n";
        let new = with_operations("a.md", text, "new\n").unwrap();
        assert_eq!(new, "# a\n<!-- operations -->\nnew\n<!-- /operations -->\nb\n");
        assert_eq!(with_operations("a.md", &new, "new\n").unwrap(), new);
        for text in ["", "<!-- operations -->\n", "<!-- /operations -->\n<!-- operations -->\n"] {
            let error = with_operations("a.md", text, "new").unwrap_err().to_string();
            assert!(error.starts_with("a.md has no line `<!-- operations -->`"), "{error}");
        }
    }
}
