//! How a list is read page by page: do its places exist, and are they of the right type?

use super::Findings;
use crate::catalog::Scope;
use crate::schema::{Kind, Node, OperationFile, Page};

pub(super) fn check(scope: &Scope, data: &OperationFile, page: &Page, findings: &mut Findings) {
    for (key, name) in [("offset", &page.offset), ("limit", &page.limit)] {
        let field = data.request.fields().find_map(|(field, node)| (field == name).then(|| scope.follow(node)));
        if !field.is_some_and(plain_integer) {
            let what = format!("`{name}` names no plain integer of the request");
            findings.add(&format!("/page/{key}"), what, "name the field, without `x-type` and `enum`");
        }
    }
    if page.offset == page.limit {
        findings.add("/page/limit", "it is the offset too", "name the field that says how many a page holds");
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

fn plain_integer(node: &Node) -> bool {
    node.kind == Some(Kind::Integer) && node.newtype.is_none() && node.one_of.is_none()
}
