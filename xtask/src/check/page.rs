//! How a list is read page by page: do its places exist, and are they of the right type?

use super::Findings;
use crate::catalog::Scope;
use crate::schema::{Kind, Node, OperationFile, Page, Turn};

pub(super) fn check(scope: &Scope, data: &OperationFile, page: &Page, findings: &mut Findings) {
    let asked = |findings: &mut Findings, key: &str, name: &str, kind: &str, fits: fn(&Node) -> bool| {
        let field = data.request.fields().find_map(|(field, node)| (field == name).then(|| scope.follow(node)));
        if !field.is_some_and(fits) {
            let what = format!("`{name}` names no plain {kind} of the request");
            findings.add(&format!("/page/{key}"), what, "name the field, without `x-type` and `enum`");
        }
    };
    asked(findings, "limit", &page.limit, "integer", plain_integer);
    match page.turn() {
        Some(Turn::Offset { offset, .. }) => {
            asked(findings, "offset", offset, "integer", plain_integer);
            if offset == page.limit {
                findings.add("/page/limit", "it is the offset too", "name the field that says how many a page holds");
            }
        }
        Some(Turn::Token { token, .. }) => {
            asked(findings, "token", token, "string", plain_string);
            if data.request.requires(token) {
                let what = format!("`{token}` is required, and the first page has no token yet");
                findings.add("/page/token", what, "take it out of `required`");
            }
        }
        None => {
            let what =
                "where a page begins is said by neither of `offset` with `unit` and `token` with `next`, or by both";
            findings.add("/page", what, "write one of the two pairs, whole, and nothing of the other");
        }
    }
    let Some(response) = &data.response else {
        findings.add("/page", "nothing is answered, and so no list", "delete it, or describe the response");
        return;
    };
    let response = scope.follow(response);
    if !field(scope, response, &page.items).is_some_and(|node| node.kind == Some(Kind::Array)) {
        let what = format!("`{}` names no array of the response", page.items);
        findings.add("/page/items", what, "write /field: an array that stands directly in the response");
    }
    if let Some(Turn::Token { next, .. }) = page.turn()
        && !field(scope, response, next).is_some_and(plain_string)
    {
        let what = format!("`{next}` names no plain string of the response");
        findings.add("/page/next", what, "write /field: a string that stands directly in the response");
    }
    if let Some(total) = &page.total
        && !field(scope, response, total).is_some_and(plain_integer)
    {
        let what = format!("`{total}` names no plain integer of the response");
        findings.add("/page/total", what, "write /field: an integer that stands directly in the response");
    }
}

/// The schema of `/field`.
pub(crate) fn field<'a>(scope: &Scope<'a>, response: &'a Node, pointer: &str) -> Option<&'a Node> {
    let name = pointer.strip_prefix('/')?;
    response.properties.as_ref()?.get(name).map(|node| scope.follow(node))
}

fn plain_string(node: &Node) -> bool {
    let plain = node.newtype.is_none() && node.one_of.is_none() && node.format.is_none();
    node.kind == Some(Kind::String) && plain
}

fn plain_integer(node: &Node) -> bool {
    node.kind == Some(Kind::Integer) && node.newtype.is_none() && node.one_of.is_none()
}
