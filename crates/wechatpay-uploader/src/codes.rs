//! Many codes in one piece of memory: a call has two hundred of them, an upload millions.

use sha2::{Digest as _, Sha256};

/// Codes in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Codes {
    /// Each with a line feed behind it.
    text: String,
    /// Where each line ends, behind the line feed.
    ends: Vec<usize>,
}

impl Codes {
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(count) }
    }

    pub(crate) fn push(&mut self, code: &str) {
        self.text.push_str(code);
        self.text.push('\n');
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            // Every end is behind the line feed of a text that was pushed as a whole.
            let code = self.text.get(start..*end - 1).unwrap_or_default();
            start = *end;
            code
        })
    }

    /// Digest of the codes, each with a line feed behind it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Codes {
    fn from_iter<I: IntoIterator<Item = S>>(codes: I) -> Self {
        let mut all = Self::default();
        codes.into_iter().for_each(|code| all.push(code.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        let cases: [&[&str]; 4] = [&[], &[""], &["A", "", "券", "B B"], &["", "", "X"]];
        for codes in cases {
            let packed: Codes = codes.iter().collect();
            assert_eq!(packed.iter().collect::<Vec<_>>(), codes);
            assert_eq!((packed.len(), packed.is_empty()), (codes.len(), codes.is_empty()));
            let lines: String = codes.iter().map(|code| format!("{code}\n")).collect();
            assert_eq!(packed.digest(), <[u8; 32]>::from(Sha256::digest(lines)));
        }
    }
}
