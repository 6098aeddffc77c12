//! Two messages, side by side.

use schemars::JsonSchema;
use serde::Serialize;

/// How many bytes of each side a difference shows.
const SHOWN: usize = 24;

/// Where two messages begin to differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Difference {
    /// Offset in bytes, counted from 0.
    pub at: usize,
    /// The line, counted from 1.
    pub line: usize,
    /// What stands there in the expected message, escaped; empty at its end.
    pub expected: String,
    /// What stands there in the other one, escaped; empty at its end.
    pub received: String,
}

impl Difference {
    /// The first difference; none if the messages are equal.
    pub fn first(expected: &[u8], received: &[u8]) -> Option<Self> {
        if expected == received {
            return None;
        }
        let at = common(expected.iter(), received.iter());
        let show = |message: &[u8]| escaped(message.iter().skip(at).take(SHOWN).copied());
        let line = expected.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Some(Self { at, line, expected: show(expected), received: show(received) })
    }
}

/// A line of both messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// The line of the expected message; none where the other one has a line more.
    pub expected: Option<Piece>,
    /// The line of the other message; none where the expected one has a line more.
    pub received: Option<Piece>,
}

impl Pair {
    /// Whether both lines are the same.
    pub fn same(&self) -> bool {
        self.expected == self.received
    }
}

/// A line in three parts, each escaped, its line feed as `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// What both lines begin with.
    pub before: String,
    /// Where they differ.
    pub differs: String,
    /// What both lines end with.
    pub after: String,
}

/// Lays two messages side by side: lines that both begin or end with stand together.
pub fn side_by_side(expected: &[u8], received: &[u8]) -> Vec<Pair> {
    let (left, right) = (lines(expected), lines(received));
    let head = common(left.iter(), right.iter());
    let rest = |lines: &[&[u8]]| lines.len() - head;
    let tail = common(left.iter().skip(head).rev(), right.iter().skip(head).rev());
    let (left_middle, right_middle) = (rest(&left) - tail, rest(&right) - tail);
    let whole = |line: &&[u8]| Piece { before: text(line), differs: String::new(), after: String::new() };
    let same = |line: &&[u8]| Pair { expected: Some(whole(line)), received: Some(whole(line)) };
    let mut pairs: Vec<_> = left.iter().take(head).map(same).collect();
    for index in 0..left_middle.max(right_middle) {
        let line = |lines: &[&'_ [u8]], middle| {
            (index < middle).then(|| lines.get(head + index).map(|line| line.to_vec())).flatten()
        };
        pairs.push(pair(line(&left, left_middle), line(&right, right_middle)));
    }
    pairs.extend(left.iter().skip(left.len() - tail).map(same));
    pairs
}

fn pair(expected: Option<Vec<u8>>, received: Option<Vec<u8>>) -> Pair {
    let (left, right) = (expected.as_deref().unwrap_or_default(), received.as_deref().unwrap_or_default());
    let head = common(left.iter(), right.iter());
    let tail = common(left.iter().skip(head).rev(), right.iter().skip(head).rev());
    let cut = |line: &[u8]| {
        let (before, rest) = line.split_at_checked(head).unwrap_or_default();
        let (differs, after) = rest.split_at_checked(rest.len() - tail).unwrap_or_default();
        Piece { before: text(before), differs: text(differs), after: text(after) }
    };
    Pair { expected: expected.as_deref().map(cut), received: received.as_deref().map(cut) }
}

/// The lines of a message, each with its line feed.
fn lines(message: &[u8]) -> Vec<&[u8]> {
    message.split_inclusive(|byte| *byte == b'\n').collect()
}

/// How many items both begin with.
fn common<T: PartialEq>(left: impl Iterator<Item = T>, right: impl Iterator<Item = T>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

/// Every byte beyond printable ASCII as an escape.
fn escaped(bytes: impl Iterator<Item = u8>) -> String {
    bytes
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect::<String>()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

/// Text for people: what is UTF-8 stays as it is, the rest is escaped.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push('\\'),
                letter
                    if letter.is_control() || ('\u{200b}'..='\u{200f}').contains(&letter) || letter == '\u{feff}' =>
                {
                    text.extend(letter.escape_debug())
                }
                letter => text.push(letter),
            }
        }
        text.push_str(&escaped(chunk.invalid().iter().copied()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &str, received: &str) -> Vec<String> {
        let piece = |piece: &Option<Piece>| match piece {
            Some(Piece { before, differs, after }) => format!("{before}<{differs}>{after}"),
            None => "-".to_owned(),
        };
        let pairs = side_by_side(expected.as_bytes(), received.as_bytes());
        pairs.iter().map(|pair| format!("{} | {}", piece(&pair.expected), piece(&pair.received))).collect()
    }

    #[test]
    fn lines_stand_beside_their_like_and_differences_are_marked() {
        assert_eq!(shown("GET\n/a\n\n", "GET\n/a\n"), ["GET\\n<> | GET\\n<>", "/a\\n<> | /a\\n<>", "<\\n> | -"]);
        assert_eq!(shown("a\nxyz\nb\n", "a\nxYz\nb\n")[1], "x<y>z\\n | x<Y>z\\n");
        assert_eq!(shown("a\nb\n", "b\n"), ["<a\\n> | -", "b\\n<> | b\\n<>"]);
        assert_eq!(shown("a\n", "a"), ["a<\\n> | a<>"]);
        assert_eq!(shown("", "").len(), 0);
    }

    #[test]
    fn the_first_difference_is_named_to_the_byte() {
        let difference = Difference::first(b"GET\n/a?b=\xE4\xBB\xA3\n", b"GET\n/a\n").unwrap();
        assert_eq!((difference.at, difference.line), (6, 2));
        assert_eq!((difference.expected.as_str(), difference.received.as_str()), ("?b=\\xe4\\xbb\\xa3\\n", "\\n"));
        assert_eq!(Difference::first(b"a", b"a"), None);
        assert_eq!(Difference::first(b"a\n", b"a").unwrap().received, "");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(text("代\r\n\u{feff}\u{0}\"\\".as_bytes()), "代\\r\\n\\u{feff}\\0\"\\");
        assert_eq!(text(b"a\xFFb"), "a\\xffb");
    }
}
