//! The limits of a string, and the one form of `pattern` that is allowed: a character set with lengths.

use crate::schema::Node;

/// Inclusive ranges of characters.
pub(crate) type Charset = Vec<(char, char)>;

/// What a string must be. Lengths count code points.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TextLimits {
    /// Fewest characters.
    pub min: usize,
    /// Most characters.
    pub max: Option<usize>,
    /// The allowed characters.
    pub charset: Option<Charset>,
}

/// Joins `minLength`, `maxLength` and `pattern`; the error says what is wrong with the pattern.
pub(crate) fn text_limits(node: &Node) -> Result<TextLimits, String> {
    let pattern = node.pattern.as_deref().map(parse_pattern).transpose()?.unwrap_or_default();
    Ok(TextLimits {
        min: pattern.min.max(node.min_length.unwrap_or(0)),
        max: match (pattern.max, node.max_length) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        charset: pattern.charset,
    })
}

/// Reads `^[class]{m,n}$`, `^[class]{m,}$` or `^[class]{n}$`.
fn parse_pattern(pattern: &str) -> Result<TextLimits, String> {
    let form = || "it is not of the form ^[class]{m,n}$".to_owned();
    let inner = pattern.strip_prefix("^[").and_then(|rest| rest.strip_suffix("}$")).ok_or_else(form)?;
    let (class, count) = inner.rsplit_once("]{").ok_or_else(form)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<usize>().ok().filter(|_| digits).ok_or_else(form)
    };
    let (min, max) = match count.split_once(',') {
        None => (number(count)?, Some(number(count)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Ok(TextLimits { min, max, charset: Some(parse_class(class)?) })
}

fn parse_class(class: &str) -> Result<Charset, String> {
    let mut ranges = Charset::new();
    let mut chars = class.chars().peekable();
    if chars.peek() == Some(&'^') {
        return Err("it excludes characters where it must list them".to_owned());
    }
    while let Some(c) = chars.next() {
        let first = literal(c, &mut chars)?;
        let last = if chars.next_if_eq(&'-').is_some() {
            let c = chars.next().ok_or_else(|| "it ends in a bare -, which must be written \\-".to_owned())?;
            literal(c, &mut chars)?
        } else {
            first
        };
        if first > last {
            return Err(format!("its range {first}-{last} runs backwards"));
        }
        if ranges.iter().any(|&(a, b)| first <= b && a <= last) {
            return Err(format!("it lists a character of {first}-{last} twice"));
        }
        ranges.push((first, last));
    }
    if ranges.is_empty() { Err("its class is empty".to_owned()) } else { Ok(ranges) }
}

fn literal(c: char, rest: &mut impl Iterator<Item = char>) -> Result<char, String> {
    match c {
        '\\' => match rest.next() {
            Some(escaped @ ('\\' | '-' | ']' | '/')) => Ok(escaped),
            other => {
                Err(format!("its escape \\{} is none of \\\\ \\- \\] \\/", other.map_or(String::new(), String::from)))
            }
        },
        '[' | ']' | '-' => Err(format!("it holds a bare {c}")),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_sets_and_lengths() {
        let limits = parse_pattern(r"^[0-9a-z_ \-\\/|=*]{1,32}$").unwrap();
        assert_eq!((limits.min, limits.max), (1, Some(32)));
        let set = [('0', '9'), ('a', 'z'), ('_', '_'), (' ', ' '), ('-', '-'), ('\\', '\\'), ('/', '/'), ('|', '|')];
        assert_eq!(limits.charset.unwrap()[..8], set);
        assert_eq!(parse_pattern("^[0-9]{6}$").unwrap().max, Some(6));
        assert_eq!(parse_pattern("^[0-9]{6,}$").unwrap().max, None);
    }

    #[test]
    fn other_patterns_are_refused() {
        for pattern in [
            "",
            "[0-9]{1,2}",
            "^[0-9]+$",
            "^[0-9]*$",
            "^[^0-9]{1,2}$",
            "^[9-0]{1,2}$",
            "^[]{1,2}$",
            r"^[\d]{1,2}$",
            "^[0-9-]{1,2}$",
            "^[-0]{1,2}$",
            "^[a&&b]{1,2}$",
            "^[0-95]{1,2}$",
            "^[0-9]{,2}$",
            "^[0-9]{+1,2}$",
            "^[a][b]{1,2}$",
            "^[0-9]{1,2}|x{1}$",
            r"^[\]{1,2}$",
        ] {
            assert!(parse_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
