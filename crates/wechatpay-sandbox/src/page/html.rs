//! HTML in which every text is escaped.

use serde_json::Value;
use std::fmt::{Display, Write as _};

/// HTML that is being written.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds HTML of our own.
    pub(super) fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Adds a text, which may hold anything; it is safe between tags and in double quotes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(Escaping(&mut self.0), "{text}");
        self
    }

    /// Adds other HTML.
    pub(super) fn append(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Adds a button that posts an object.
    pub(super) fn button(&mut self, action: &'static str, object: &Value, label: &'static str) -> &mut Self {
        self.raw("<form method=post action=\"").raw(action).raw("\"><button name=json value=\"").text(object);
        self.raw("\">").raw(label).raw("</button></form>")
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl std::fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                letter => self.0.push(letter),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_escaped() {
        let mut html = Html::default();
        html.raw("<b>").text("<script>\"&'").raw("</b>").text(7);
        assert_eq!(html.as_str(), "<b>&lt;script&gt;&quot;&amp;&#39;</b>7");
    }
}
