//! The tables of operations in the README.

use crate::catalog::{Catalog, Family};
use crate::codegen::count;
use crate::rust::method;
use anyhow::Context as _;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- operations -->\n";
const END: &str = "<!-- /operations -->";

/// The text with the tables between the two marks.
pub(crate) fn with_operations(text: &str, tables: &str) -> anyhow::Result<String> {
    let missing = || {
        format!(
            "README.md has no line `{}` with a line `{END}` below it; add both where the tables belong",
            BEGIN.trim()
        )
    };
    let (before, rest) = text.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}{tables}{END}{after}"))
}

/// One table for each family.
pub(crate) fn operations(catalog: &Catalog) -> String {
    catalog.families.iter().filter(|family| !family.operations.is_empty()).map(table).collect()
}

fn table(family: &Family) -> String {
    let (title, title_zh) = (cell(&family.types.title), cell(&family.types.title_zh));
    let operations = count(family.operations.len(), "operation");
    let mut out = format!(
        "\n<details><summary><code>{}</code>: {title} ({title_zh}), {operations}</summary>\n\n\
         | id | method and path | what it does | 标题 |\n|---|---|---|---|\n",
        family.name
    );
    for operation in &family.operations {
        let data = &operation.data;
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| `{}` | `{} {}` | {} | {} |",
            data.id,
            method(data.method),
            data.path,
            cell(&data.title),
            cell(&data.title_zh)
        );
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
        let new = with_operations(text, "new\n").unwrap();
        assert_eq!(new, "# a\n<!-- operations -->\nnew\n<!-- /operations -->\nb\n");
        assert_eq!(with_operations(&new, "new\n").unwrap(), new);
        for text in ["", "<!-- operations -->\n", "<!-- /operations -->\n<!-- operations -->\n"] {
            let error = with_operations(text, "new").unwrap_err().to_string();
            assert!(error.starts_with("README.md has no line `<!-- operations -->`"), "{error}");
        }
    }
}
