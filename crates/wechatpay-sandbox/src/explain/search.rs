//! Finds the message that was signed among those that clients are known to build by mistake.
//!
//! The signature shows the hash of the message (see [`Trace`]), so a candidate costs one hash and no RSA. How much is
//! written and hashed is bounded.

use super::cause::Cause;
use super::json;
use super::key::Trace;
use std::borrow::Cow;

/// Most bytes of lines that are written and hashed for one signature.
const BUDGET: usize = 24 << 20;

/// Bodies beyond this are not written anew in other words.
const REWRITTEN: usize = 64 << 10;

/// One way in which a line of the message may have been written.
pub(super) struct Variant {
    /// None for the right one, which stands first.
    cause: Option<Cause>,
    how: Cow<'static, str>,
    bytes: Vec<u8>,
}

/// The ways in which one line may have been written, the right one first.
pub(super) struct Line {
    name: &'static str,
    variants: Vec<Variant>,
}

impl Line {
    pub(super) fn new(name: &'static str, right: &[u8]) -> Self {
        Self { name, variants: vec![Variant { cause: None, how: Cow::Borrowed(""), bytes: right.to_vec() }] }
    }

    fn right(&self) -> &[u8] {
        self.variants.first().map_or(&[], |variant| &variant.bytes)
    }

    /// Adds a way, unless it comes to the same as an earlier one.
    pub(super) fn or(&mut self, cause: Cause, how: impl Into<Cow<'static, str>>, bytes: impl Into<Vec<u8>>) {
        let (how, bytes) = (how.into(), bytes.into());
        if self.variants.iter().all(|variant| variant.bytes != bytes) {
            self.variants.push(Variant { cause: Some(cause), how, bytes });
        }
    }
}

/// A message that fits, and how it deviates from the right one.
pub(super) struct Found {
    pub(super) causes: Vec<(Cause, String)>,
    pub(super) message: Vec<u8>,
}

/// How the lines are put together.
#[derive(Clone, PartialEq)]
enum Frame {
    Right,
    /// Each line with this end, the last one too or not.
    Ends(&'static str, bool),
    Joined(&'static str),
    /// With something behind it.
    Then(&'static str),
    /// Without so many bytes at its end.
    Less(usize),
    /// Some of the lines, in this order.
    Of(Vec<usize>),
}

impl Frame {
    /// How many bytes of the lines are in what is written, which is not shorter.
    fn least(&self, lines: &[&[u8]]) -> usize {
        match self {
            Self::Of(order) => order.iter().filter_map(|index| lines.get(*index)).map(|line| line.len()).sum(),
            _ => lines.iter().map(|line| line.len()).sum(),
        }
    }

    fn write(&self, lines: &[&[u8]]) -> Vec<u8> {
        let ended = |end: &str, last: bool| {
            let mut message = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                message.extend_from_slice(line);
                if last || index + 1 < lines.len() {
                    message.extend_from_slice(end.as_bytes());
                }
            }
            message
        };
        match self {
            Self::Right => ended("\n", true),
            Self::Ends(end, last) => ended(end, *last),
            Self::Joined(separator) => lines.join(separator.as_bytes()),
            Self::Then(end) => [ended("\n", true).as_slice(), end.as_bytes()].concat(),
            Self::Less(bytes) => {
                let mut message = ended("\n", true);
                message.truncate(message.len().saturating_sub(*bytes));
                message
            }
            Self::Of(order) => {
                let chosen: Vec<_> = order.iter().filter_map(|index| lines.get(*index).copied()).collect();
                Self::Right.write(&chosen)
            }
        }
    }
}

/// Puts the right lines together.
pub(super) fn right(lines: &[Line]) -> Vec<u8> {
    Frame::Right.write(&lines.iter().map(Line::right).collect::<Vec<_>>())
}

/// Looks for the message that left this trace.
pub(super) fn find(lines: &[Line], trace: &Trace) -> Option<Found> {
    Search { lines, trace, left: BUDGET }.run()
}

struct Search<'a> {
    lines: &'a [Line],
    trace: &'a Trace,
    /// Bytes of lines that may still be written and hashed.
    left: usize,
}

/// A frame, and what it means if it was used.
type Framed = (Frame, Option<Cause>, String);

impl Search<'_> {
    /// Simple mistakes before double ones.
    fn run(&mut self) -> Option<Found> {
        let right = [(Frame::Right, None, String::new())];
        let (frames, orders) = (self.frames(), self.orders());
        self.singles(&right, false)
            .or_else(|| self.bare(&frames))
            .or_else(|| self.bare(&orders))
            .or_else(|| self.singles(&right, true))
            .or_else(|| self.singles(&frames, false))
            .or_else(|| self.doubles())
            .or_else(|| self.times())
    }

    fn frames(&self) -> Vec<Framed> {
        let empty = self.lines.last().is_some_and(|line| line.right().is_empty());
        let end = if empty { Cause::EmptyLine } else { Cause::FinalNewline };
        let frame = |frame, cause, how: &str| (frame, Some(cause), how.to_owned());
        let mut frames = vec![frame(Frame::Less(1), end, "")];
        if empty {
            frames.push(frame(Frame::Less(2), end, "The line feed before it is missing too."));
        }
        frames.extend([
            frame(Frame::Then("\n"), Cause::ExtraNewline, ""),
            frame(Frame::Then("\r\n"), Cause::ExtraNewline, "It is \\r\\n."),
            frame(Frame::Ends("\r\n", true), Cause::Crlf, ""),
            frame(Frame::Ends("\r\n", false), Cause::Crlf, "The last one is missing."),
            frame(Frame::Ends("\\n", true), Cause::LiteralNewlines, ""),
            frame(Frame::Ends("\\n", false), Cause::LiteralNewlines, "The last one is missing."),
        ]);
        for separator in ["", " ", ",", "&", "|", ":", ";"] {
            frames.push(frame(Frame::Joined(separator), Cause::Separators, ""));
        }
        frames
    }

    /// The lines in any order, or without some.
    fn orders(&self) -> Vec<Framed> {
        let count = self.lines.len();
        let name = |index: usize| self.lines.get(index).map_or("", |line| line.name);
        let mut orders: Vec<Framed> = Vec::new();
        for left_out in 0..count {
            let rest = (0..count).filter(|index| *index != left_out).collect();
            let how = format!("It is the line of the {}.", name(left_out));
            orders.push((Frame::Of(rest), Some(Cause::LineMissing), how));
        }
        if count == 5 {
            orders.push((Frame::Of(vec![2, 3, 4]), Some(Cause::ReplyMessage), String::new()));
        }
        for order in permutations(count) {
            let names: Vec<_> = order.iter().map(|index| name(*index)).collect();
            let how = format!("It is {}.", names.join(", "));
            orders.push((Frame::Of(order), Some(Cause::LineOrder), how));
        }
        orders
    }

    /// The right lines in other frames.
    fn bare(&mut self, frames: &[Framed]) -> Option<Found> {
        let lines = self.lines;
        let right: Vec<_> = lines.iter().map(Line::right).collect();
        frames.iter().find_map(|(frame, cause, how)| {
            let message = self.fits(frame, &right, false)?;
            Some(Found { causes: cause.map(|cause| (cause, how.clone())).into_iter().collect(), message })
        })
    }

    /// One line, or none, in another way.
    fn singles(&mut self, frames: &[Framed], twice: bool) -> Option<Found> {
        let lines = self.lines;
        for (frame, cause, how) in frames {
            let framed = cause.map(|cause| (cause, how.clone()));
            for (index, line) in lines.iter().enumerate() {
                for variant in &line.variants {
                    if variant.cause.is_none() && index > 0 {
                        continue;
                    }
                    if let Some(message) = self.fits(frame, &chosen(lines, &[(index, variant)]), twice) {
                        let mut causes: Vec<_> = framed.clone().into_iter().collect();
                        causes.extend(variant.told());
                        if twice {
                            causes.insert(0, (Cause::HashedTwice, String::new()));
                        }
                        return Some(Found { causes, message });
                    }
                }
            }
        }
        None
    }

    /// Two lines in another way.
    fn doubles(&mut self) -> Option<Found> {
        let lines = self.lines;
        for (first, one) in lines.iter().enumerate() {
            for (second, other) in lines.iter().enumerate().skip(first + 1) {
                for variant in one.variants.iter().skip(1) {
                    for another in other.variants.iter().skip(1) {
                        let chosen = chosen(lines, &[(first, variant), (second, another)]);
                        if let Some(message) = self.fits(&Frame::Right, &chosen, false) {
                            return Some(Found {
                                causes: variant.told().into_iter().chain(another.told()).collect(),
                                message,
                            });
                        }
                    }
                }
            }
        }
        None
    }

    /// Ten minutes before and after the timestamp, and each of its milliseconds.
    fn times(&mut self) -> Option<Found> {
        let lines = self.lines;
        let index = lines.iter().position(|line| line.name == "timestamp")?;
        let text = std::str::from_utf8(lines.get(index)?.right()).ok()?;
        let stated: i64 = text.parse().ok().filter(|stated| (0..100_000_000_000).contains(stated))?;
        let near = (1..=600).flat_map(|off| [stated - off, stated + off]);
        let fine = (0..1000).map(|milli| stated * 1000 + milli);
        near.chain(fine).find_map(|time| {
            let how = format!("It is {time}.").into();
            let variant = Variant { cause: Some(Cause::OtherTimestamp), how, bytes: time.to_string().into_bytes() };
            let message = self.fits(&Frame::Right, &chosen(lines, &[(index, &variant)]), false)?;
            Some(Found { causes: variant.told().into_iter().collect(), message })
        })
    }

    /// The lines in a frame, if that is what was signed. What is longer than may be hashed is not even written.
    fn fits(&mut self, frame: &Frame, lines: &[&[u8]], twice: bool) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(frame.least(lines))?;
        let message = frame.write(lines);
        let fits = if twice { self.trace.fits_twice(&message) } else { self.trace.fits(&message) };
        fits.then_some(message)
    }
}

impl Variant {
    fn told(&self) -> Option<(Cause, String)> {
        self.cause.map(|cause| (cause, self.how.clone().into_owned()))
    }
}

/// The right lines, but for those that are given.
fn chosen<'a>(lines: &'a [Line], instead: &[(usize, &'a Variant)]) -> Vec<&'a [u8]> {
    let line = |(index, line): (usize, &'a Line)| {
        let other = instead.iter().find(|(at, _)| *at == index);
        other.map_or(line.right(), |(_, variant)| variant.bytes.as_slice())
    };
    lines.iter().enumerate().map(line).collect()
}

/// All orders of so many things but the natural one; swaps of neighbours come early.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|begun: Vec<usize>| {
                let rest = (0..count).filter(|next| !begun.contains(next)).collect::<Vec<_>>();
                rest.into_iter().map(move |next| begun.iter().copied().chain([next]).collect())
            })
            .collect();
    }
    all.into_iter().skip(1).collect()
}

/// The other ways in which the line of a method may have been written.
pub(super) fn methods(line: &mut Line, method: &str) {
    line.or(Cause::MethodCase, "", method.to_lowercase());
    let (first, rest) = method.split_at_checked(1).unwrap_or_default();
    line.or(Cause::MethodCase, "", format!("{first}{}", rest.to_lowercase()));
    line.or(Cause::MethodCase, "", method.to_uppercase());
    for other in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        line.or(Cause::OtherMethod, format!("It is {other}."), other);
    }
}

/// The other ways in which the line of a target may have been written.
pub(super) fn targets(line: &mut Line, target: &str, hosts: &[&str], template: Option<&str>) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let with =
        |path: &str, query: Option<&str>| query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if query.is_some() {
        line.or(Cause::QueryLeftOut, "", path);
        line.or(Cause::QueryLeftOut, "The question mark was.", format!("{path}?"));
    }
    for host in hosts {
        for scheme in ["https://", "http://", "//", ""] {
            line.or(Cause::HostIncluded, format!("It is {scheme}{host}."), format!("{scheme}{host}{target}"));
            line.or(Cause::HostIncluded, "The query is missing too.", format!("{scheme}{host}{path}"));
        }
    }
    if let Some(template) = template {
        line.or(Cause::PathTemplate, "", template);
        line.or(Cause::PathTemplate, "", with(template, query));
    }
    line.or(Cause::TrailingSlash, "", with(&format!("{path}/"), query));
    line.or(Cause::TrailingSlash, "", with(path.trim_end_matches('/'), query));
    line.or(Cause::PathPrefix, "It is the slash.", target.trim_start_matches('/'));
    for prefix in ["/v3", "/brand"] {
        if let Some(rest) = target.strip_prefix(prefix) {
            line.or(Cause::PathPrefix, format!("It is {prefix}."), rest);
        }
    }
    let paths: Vec<_> =
        codings().map(|(how, code)| (how, path.split('/').map(code).collect::<Vec<_>>().join("/"))).collect();
    let queries: Vec<_> =
        query.into_iter().flat_map(|query| codings().map(move |(how, code)| (how, recode(query, code)))).collect();
    for (how, path) in &paths {
        line.or(Cause::PathEncoding, format!("It is {how}."), with(path, query));
    }
    for (how, query) in &queries {
        line.or(Cause::QueryEncoding, format!("It is {how}."), with(path, Some(query)));
    }
    for ((how, path), (_, query)) in paths.iter().zip(&queries) {
        line.or(Cause::PathEncoding, format!("It is {how}, and so is the query."), with(path, Some(query)));
    }
    if let Some(query) = query {
        let mut pairs: Vec<_> = query.split('&').collect();
        pairs.reverse();
        line.or(Cause::QueryOrder, "They are reversed.", with(path, Some(&pairs.join("&"))));
        pairs.sort_unstable();
        line.or(Cause::QueryOrder, "They are sorted.", with(path, Some(&pairs.join("&"))));
    }
}

/// Names and values of a query in another encoding.
fn recode(query: &str, code: fn(&str) -> String) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{}={}", code(name), code(value)),
        None => code(pair),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

/// A way to percent-encode, with its name.
type Coding = (&'static str, fn(&str) -> String);

/// How libraries percent-encode.
fn codings() -> impl Iterator<Item = Coding> {
    const ALL: [Coding; 8] = [
        ("decoded", |text| decode(text, false)),
        ("decoded, + as a space", |text| decode(text, true)),
        ("encoded strictly, as by RFC 3986", |text| encode(text, "-_.~", false)),
        ("encoded strictly, in lower-case hex", |text| {
            encode(text, "-_.~", false).split('%').enumerate().map(lower_hex).collect()
        }),
        ("encoded as a form, a space as +", |text| encode(text, "-_.*", true)),
        ("encoded as by encodeURIComponent", |text| encode(text, "-_.~!*'()", false)),
        ("encoded as by encodeURI", |text| encode(text, "-_.~!*'();/?:@=+$,", false)),
        ("encoded twice", |text| text.replace('%', "%25")),
    ];
    ALL.into_iter()
}

fn lower_hex((index, piece): (usize, &str)) -> String {
    match piece.split_at_checked(2) {
        Some((hex, rest)) if index > 0 => format!("%{}{rest}", hex.to_lowercase()),
        _ => piece.to_owned(),
    }
}

fn decode(text: &str, plus: bool) -> String {
    let text = if plus { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// Encodes the decoded text, but for letters, digits and some others.
fn encode(text: &str, plain: &str, plus: bool) -> String {
    let byte = |byte: u8| match byte {
        b' ' if plus => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    decode(text, false).bytes().map(byte).collect()
}

/// The other ways in which the line of a body may have been written.
pub(super) fn bodies(line: &mut Line, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    if body.is_empty() {
        for placeholder in ["{}", "null", "[]", "\"\"", "undefined", "None", "nil", "false", " "] {
            line.or(Cause::BodyOfGet, format!("It is {placeholder}."), placeholder);
        }
        return;
    }
    line.or(Cause::BodyLeftOut, "", "");
    line.or(Cause::BodyWhitespace, "It was trimmed.", body.trim_ascii());
    for end in ["\n", "\r\n"] {
        line.or(Cause::BodyWhitespace, "A line break stands behind it.", [body, end.as_bytes()].concat());
    }
    line.or(Cause::BodyWhitespace, "It is \\n in place of \\r\\n.", text.replace("\r\n", "\n"));
    line.or(Cause::BodyWhitespace, "It is \\r\\n in place of \\n.", text.replace("\r\n", "\n").replace('\n', "\r\n"));
    line.or(Cause::BodyWhitespace, "A byte order mark stands before it.", format!("\u{feff}{text}"));
    line.or(Cause::BodyWhitespace, "A byte order mark is missing.", text.trim_start_matches('\u{feff}'));
    let ascii = text.chars().map(|letter| if letter.is_ascii() { letter } else { '?' });
    line.or(Cause::BodyCharset, "What is not ASCII became question marks.", ascii.collect::<String>());
    let twice = body.iter().map(|byte| char::from(*byte));
    line.or(Cause::BodyCharset, "UTF-8 was taken for Latin-1 and encoded again.", twice.collect::<String>());
    if body.len() > REWRITTEN {
        return;
    }
    for (how, bytes) in json::variants(body) {
        line.or(Cause::BodyReserialised, format!("The signed one is {how}."), bytes);
    }
    if let Ok(quoted) = serde_json::to_string(&text) {
        line.or(Cause::BodyQuoted, "", quoted);
    }
    if let Some(form) = json::form(body) {
        line.or(Cause::BodyAsForm, "", form);
    }
}

/// The other ways in which the lines of timestamp and nonce may have been written.
pub(super) fn stamps(timestamp: &mut Line, nonce: &mut Line) {
    let text = |line: &Line| String::from_utf8_lossy(line.right()).into_owned();
    let stated = text(timestamp);
    if let Ok(number) = stated.parse::<i64>() {
        timestamp.or(Cause::OtherTimestamp, "It is in milliseconds.", format!("{number}000"));
        timestamp.or(Cause::OtherTimestamp, "It is in seconds.", (number / 1000).to_string());
    }
    timestamp.or(Cause::OtherTimestamp, "It is empty.", "");
    let stated = text(nonce);
    nonce.or(Cause::OtherNonce, "It is in capitals.", stated.to_uppercase());
    nonce.or(Cause::OtherNonce, "It is in small letters.", stated.to_lowercase());
    nonce.or(Cause::OtherNonce, "It has no hyphens.", stated.replace('-', ""));
    nonce.or(Cause::OtherNonce, "It is empty.", "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::key::Kind;

    fn trace(message: &[u8]) -> Trace {
        Trace::Digest { name: "SHA-256", kind: Some(Kind::Sha256), digest: Kind::Sha256.of(message) }
    }

    #[test]
    fn the_work_is_bounded() {
        let body = vec![b'x'; 4 << 20];
        let mut lines = [Line::new("method", b"POST"), Line::new("body", &body)];
        let [method, line] = &mut lines;
        methods(method, "POST");
        bodies(line, &body);
        let mut search = Search { lines: &lines, trace: &trace(b"nothing like it"), left: BUDGET };
        assert!(search.run().is_none());
        assert!(search.left < 5 << 20, "{}", search.left);
    }

    /// Where the body is too large for all ways to be tried, those without it still are, and the others cost nothing.
    #[test]
    fn what_is_too_long_is_not_even_written() {
        let body = vec![b'x'; 4 << 20];
        let target = "/v3/a%20b/c?d=e+f";
        let right = ["POST", target, "1767578400", "a-nonce"].map(str::as_bytes);
        let [method, path, timestamp, nonce] = right;
        let mut lines =
            [("method", method), ("target", path), ("timestamp", timestamp), ("nonce", nonce), ("body", &body)]
                .map(|(name, right)| Line::new(name, right));
        let [method, path, timestamp, nonce, line] = &mut lines;
        methods(method, "POST");
        targets(path, target, &["a.example", "b.example"], None);
        stamps(timestamp, nonce);
        bodies(line, &body);
        let trace = trace(b"post\n/v3/a%20b/c?d=e+f\n1767578400\na-nonce\n\n");
        let found = Search { lines: &lines, trace: &trace, left: BUDGET }.run().unwrap();
        assert_eq!(
            found.causes.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(),
            [Cause::MethodCase, Cause::BodyLeftOut]
        );
        let other = self::trace(b"nothing like it");
        let mut search = Search { lines: &lines, trace: &other, left: BUDGET };
        assert!(search.run().is_none());
        let right: Vec<_> = lines.iter().map(Line::right).collect();
        for frame in search.frames().into_iter().chain(search.orders()).map(|(frame, ..)| frame) {
            let length = frame.write(&right).len();
            assert!((length..=length + 10).contains(&(frame.least(&right) + 10)), "{length}");
            search.left = frame.least(&right) - 1;
            assert!(search.fits(&frame, &right, false).is_none() && search.left + 1 == frame.least(&right));
        }
    }

    #[test]
    fn all_orders_are_tried_once() {
        let all = permutations(5);
        assert_eq!(all.len(), 119);
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 119);
        assert_eq!(all[0], [0, 1, 2, 4, 3]);
    }
}
