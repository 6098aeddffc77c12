//! Reads the two parts of an upload: `meta`, which is what gets signed, and `file`.

/// The parts of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upload<'a> {
    /// The exact bytes of the part `meta`.
    pub(crate) meta: &'a [u8],
    /// The exact bytes of the part `file`.
    pub(crate) file: &'a [u8],
}

/// What separates the parts of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Boundary<'a> {
    pub(crate) text: &'a str,
    /// Whether `Content-Type` names it, as it should.
    pub(crate) named: bool,
}

/// The boundary of a body that comes as `multipart/form-data`.
///
/// A client in use (`wechatpayv3` of Python) sends the bare type, without its parameter; then it is what the first line of the
/// body says. That WeChat Pay reads it like this is a guess.
pub(crate) fn boundary<'a>(content_type: &'a str, body: &'a [u8]) -> Option<Boundary<'a>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    });
    let text = named.or_else(|| first_line(body)?.strip_prefix("--"))?;
    (1..=70).contains(&text.len()).then_some(Boundary { text, named: named.is_some() })
}

/// The first line of a body, if it is text.
fn first_line(body: &[u8]) -> Option<&str> {
    let (line, _) = body.split_at_checked(find(body, b"\r\n")?)?;
    std::str::from_utf8(line).ok()
}

/// Takes a body apart.
///
/// # Errors
/// What is missing or not in the form of RFC 7578.
pub(crate) fn parse<'a>(boundary: &str, body: &'a [u8]) -> Result<Upload<'a>, String> {
    let delimiter = format!("--{boundary}").into_bytes();
    let (mut meta, mut file) = (None, None);
    let start = find(body, &delimiter).ok_or("the boundary of Content-Type is not in the body")?;
    let mut rest = body.get(start + delimiter.len()..).unwrap_or_default();
    let separator = [b"\r\n".as_slice(), &delimiter].concat();
    while !rest.starts_with(b"--") {
        let after = rest.strip_prefix(b"\r\n").ok_or("a boundary is not followed by a line end")?;
        let end = find(after, &separator).ok_or("a part does not end with the boundary")?;
        let (part, next) = after.split_at_checked(end).unwrap_or_default();
        let head_end = find(part, b"\r\n\r\n").ok_or("a part has no empty line after its headers")?;
        let (head, content) = part.split_at_checked(head_end).unwrap_or_default();
        let content = content.get(4..).unwrap_or_default();
        match name(head) {
            Some("meta") => meta = Some(content),
            Some("file") => file = Some(content),
            _ => {}
        }
        rest = next.get(separator.len()..).unwrap_or_default();
    }
    let meta = meta.ok_or("there is no part named meta")?;
    Ok(Upload { meta, file: file.ok_or("there is no part named file")? })
}

/// The name in the `Content-Disposition` of a part.
fn name(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let (_, after) = line.split_once(" name=\"").or_else(|| line.split_once(";name=\""))?;
    after.split('"').next()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--B\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n\
        {\"filename\":\"a.png\"}\r\n--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n\
        \r\n--\0-B\r\n--B--\r\n";

    #[test]
    fn the_parts_are_found_to_the_byte() {
        let upload = parse("B", BODY.as_bytes()).unwrap();
        assert_eq!(upload, Upload { meta: b"{\"filename\":\"a.png\"}", file: b"\r\n--\0-B" });
    }

    #[test]
    fn broken_bodies_are_refused() {
        for body in ["", "--B", "--B--", "--B\r\n\r\n--B--", &BODY[..BODY.len() - 7], &BODY.replace("meta", "data")] {
            assert!(parse("B", body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn boundaries_are_read() {
        let named = |text| Some(Boundary { text, named: true });
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\"", b""), named("a b"));
        assert_eq!(boundary("Multipart/Form-Data;charset=x;Boundary=abc", b"--B\r\n"), named("abc"));
        for other in ["application/json", "multipart/form-data; boundary=", "multipart/mixed"] {
            assert_eq!(boundary(other, BODY.as_bytes()), None);
        }
    }

    #[test]
    fn a_boundary_that_is_not_named_is_that_of_the_body() {
        for bare in ["multipart/form-data", "multipart/form-data; charset=utf-8"] {
            assert_eq!(boundary(bare, BODY.as_bytes()), Some(Boundary { text: "B", named: false }));
            for body in ["", "--B", "B\r\n", "--\r\n"] {
                assert_eq!(boundary(bare, body.as_bytes()), None, "{body:?}");
            }
        }
    }
}
