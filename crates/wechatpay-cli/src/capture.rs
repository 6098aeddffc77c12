//! HTTP messages that were kept in a file.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

/// A message as it was kept: perhaps its first line, headers, an empty line, the body.
#[derive(Debug)]
pub(crate) struct Capture<'a> {
    /// The request line or the status line, if it is there.
    pub(crate) start: Option<&'a str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: &'a [u8],
}

impl<'a> Capture<'a> {
    /// Reads it; the message of a mistake begins with its line.
    pub(crate) fn read(bytes: &'a [u8]) -> std::result::Result<Self, String> {
        let mut rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let (mut start, mut headers) = (None, HeaderMap::new());
        for number in 1.. {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return Err(format!(":{number}: no empty line stands between headers and body"));
            };
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let line = line.trim_ascii_end();
            if line.is_empty() {
                break;
            }
            match header(line) {
                Some((name, value)) => {
                    headers
                        .try_append(name, value)
                        .map_err(|_| format!(":{number}: more headers than any message of WeChat Pay has"))?;
                }
                None if number == 1 && start_line(line).is_some() => start = start_line(line),
                None => {
                    return Err(format!(
                        ":{number}: no header; write `Name: value`, and an empty line before the body"
                    ));
                }
            }
        }
        let body = match length(&headers)? {
            Some(length) => rest.get(..length).ok_or_else(|| {
                format!(": the body has {} bytes, but Content-Length says {length}; keep it byte for byte", rest.len())
            })?,
            None => rest,
        };
        Ok(Self { start, headers, body })
    }
}

/// A header as `Name: value`.
pub(crate) fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..)?.trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// `POST /notify HTTP/1.1` or `HTTP/1.1 200 OK`.
fn start_line(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let request = line.rsplit(' ').next().is_some_and(|last| last.starts_with("HTTP/"));
    (request || line.starts_with("HTTP/")).then_some(line)
}

fn length(headers: &HeaderMap) -> std::result::Result<Option<usize>, String> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| ": its Content-Length is no number; put it right, or take it away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<(Vec<(String, String)>, String), String> {
        let Capture { headers, body, .. } = Capture::read(text.as_bytes())?;
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Ok((headers.collect(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn a_capture_is_headers_an_empty_line_and_the_body_byte_for_byte() {
        for (text, headers, body) in [
            ("A: 1\nB:2\n\n{}\n", &[("a", "1"), ("b", "2")][..], "{}\n"),
            ("A: 1\r\n\r\n{}\r\n\r\n", &[("a", "1")], "{}\r\n\r\n"),
            ("POST /n?a=b: HTTP/1.1\r\nA: x:y\r\n\r\n", &[("a", "x:y")], ""),
            ("\u{FEFF}A: 1\nA: 2\n\n{}", &[("a", "1"), ("a", "2")], "{}"),
            ("Content-Length: 2\n\n{}\n", &[("content-length", "2")], "{}"),
            ("\n{}", &[], "{}"),
        ] {
            let wanted: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(read(text), Ok((wanted, body.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn what_is_none_says_where() {
        for (text, problem) in [
            ("", ":1: no empty line"),
            ("A: 1\n{}", ":2: no empty line"),
            ("{\n\n}", ":1: no header"),
            ("A: 1\nPOST / HTTP/1.1\n\n", ":2: no header"),
            ("Content-Length: 3\n\n{}", "2 bytes, but Content-Length says 3"),
            ("Content-Length: x\n\n{}", "no number"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(problem), "{text:?}: {found}");
        }
    }
}
