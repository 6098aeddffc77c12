//! `wechatpay describe`: everything that the catalogue knows about one operation.

mod schema;
mod words;

use crate::args::Describe;
use crate::catalog;
use crate::output::{DIM, Output, Result, STRONG};
use schema::{Document, Example, Node};
use serde_json::Value;
use wechatpay_model::Spec;
use wechatpay_model::operation::{Audience, Field, Idempotency, Shape};

pub(crate) fn run(args: &Describe, output: &Output) -> Result {
    let spec = catalog::operation(&args.id)?;
    if output.json {
        return output.line(format_args!("{}", spec.schema().trim_end()));
    }
    let document: Document = serde_json::from_str(spec.schema()).map_err(|error| catalog::damaged(spec, &error))?;
    let page = Page { output, document: &document };
    page.head(spec)?;
    page.section("Request")?;
    page.fields(&document.request, Some(spec.request()), spec, 1)?;
    page.rules(spec)?;
    page.section("Answer")?;
    match &document.response {
        Some(response) => page.fields(response, None, spec, 1)?,
        None => output.line(format_args!("  204, nothing in it"))?,
    }
    page.refusals(spec)?;
    page.examples()?;
    page.tail(spec)
}

/// Writes one operation, section by section.
struct Page<'a> {
    output: &'a Output,
    document: &'a Document,
}

impl Page<'_> {
    fn section(&self, title: &str) -> Result {
        self.output.line(format_args!("\n{STRONG}{title}{STRONG:#}"))
    }

    fn head(&self, spec: &Spec) -> Result {
        let (id, title, title_zh) = (spec.id(), spec.title(), spec.title_zh());
        self.output.line(format_args!("{STRONG}{id}{STRONG:#}  {title} ({title_zh})"))?;
        self.output.line(format_args!("{} {}", spec.method().as_str(), spec.path()))?;
        let audience: Vec<_> = spec.audience().iter().copied().map(Audience::as_str).collect();
        self.output.line(format_args!("for: {}", audience.join(", ")))?;
        match spec.idempotency() {
            Idempotency::Safe => self.output.line(format_args!("repeat: safe")),
            Idempotency::Key(field) => {
                self.output.line(format_args!("repeat: with the same `{field}` and parameters it has one effect"))
            }
            _ => self.output.line(format_args!("repeat: may act twice")),
        }
    }

    /// The fields of an object, and those of the objects in it, each level further in.
    ///
    /// The shape has the limits that are checked; answers have none, as reading never enforces limits.
    fn fields(&self, node: &Node, shape: Option<&Shape>, spec: &Spec, depth: usize) -> Result {
        let node = self.document.resolve(node);
        if node.properties.is_empty() && depth == 1 {
            self.output.line(format_args!("  no fields"))?;
        }
        let shapes = match shape {
            Some(Shape::Object(fields)) => *fields,
            _ => &[],
        };
        for (name, reference) in &node.properties {
            let place = if depth == 1 { place(spec, name, shape.is_some()) } else { "" };
            let field = shapes.iter().find(|field| field.name() == name);
            let mut facts = vec![if node.required.contains(name) { "required" } else { "optional" }.to_owned()];
            facts.extend((!place.is_empty()).then(|| place.to_owned()));
            facts.extend(field.and_then(Field::alias).map(|alias| format!("also read as {alias}")));
            let shape = field.map(Field::shape);
            self.field(name, reference, shape, facts, depth)?;
            if let (Some(inner), shape) = self.inside(reference, shape) {
                self.fields(inner, shape, spec, depth + 1)?;
            }
        }
        Ok(())
    }

    fn field(
        &self,
        name: &str,
        reference: &Node,
        shape: Option<&Shape>,
        mut facts: Vec<String>,
        depth: usize,
    ) -> Result {
        let indent = depth * 2;
        let node = self.document.resolve(reference);
        facts.extend(words::limits(self.document, node, shape));
        let kind = words::kind(self.document, node);
        self.output.line(format_args!(
            "{:indent$}{STRONG}{name}{STRONG:#}  {kind} {DIM}·{DIM:#} {}",
            "",
            facts.join(&format!(" {DIM}·{DIM:#} "))
        ))?;
        let title = reference.title.as_ref().or(node.title.as_ref());
        let description = reference.description.as_ref().or(node.description.as_ref());
        let text: Vec<_> = [title, description].into_iter().flatten().map(String::as_str).collect();
        if !text.is_empty() {
            self.wrapped(indent + 4, &text.join(". "))?;
        }
        for value in words::values(self.document, node) {
            self.wrapped(indent + 4, &value)?;
        }
        Ok(())
    }

    /// The object that a field holds, alone or as the items of an array.
    fn inside<'n, 's>(&'n self, node: &'n Node, shape: Option<&'s Shape>) -> (Option<&'n Node>, Option<&'s Shape>) {
        let node = self.document.resolve(node);
        match (&node.items, shape) {
            (Some(items), Some(Shape::Array { items: shape, .. })) => self.inside(items, Some(shape)),
            (Some(items), _) => self.inside(items, None),
            (None, shape) => ((!node.properties.is_empty()).then_some(node), shape),
        }
    }

    fn rules(&self, spec: &Spec) -> Result {
        if spec.rules().is_empty() {
            return Ok(());
        }
        self.section("Rules")?;
        spec.rules().iter().try_for_each(|rule| self.output.line(format_args!("  {}", words::rule(rule))))
    }

    fn refusals(&self, spec: &Spec) -> Result {
        if spec.errors().is_empty() {
            return Ok(());
        }
        self.section("Refusals")?;
        spec.errors().iter().try_for_each(|row| {
            let (status, code, message) = (row.status(), row.code(), row.message());
            self.output.line(format_args!("  {status} {STRONG}{code}{STRONG:#}  {message}"))?;
            self.wrapped(6, &format!("{} {}", row.meaning(), row.remedy()))
        })
    }

    fn examples(&self) -> Result {
        let name = |example: &Example| example.name.clone().unwrap_or_else(|| "example".to_owned());
        self.document.examples.iter().try_for_each(|example| {
            self.section(&format!("Example: {}", name(example)))?;
            self.json("  request", &example.request)?;
            for violation in &example.violations {
                self.output.line(format_args!("  refused at {}: {}", violation.at, violation.rule))?;
            }
            if let Some(put_right) = &example.put_right {
                self.json("  accepted with", put_right)?;
            }
            if let Some(response) = &example.response {
                self.json("  answer", response)?;
            }
            example.note.as_ref().map_or(Ok(()), |note| self.wrapped(2, note))
        })
    }

    fn json(&self, label: &str, value: &Value) -> Result {
        self.output.line(format_args!("{DIM}{label}{DIM:#}"))?;
        format!("{value:#}").lines().try_for_each(|line| self.output.line(format_args!("    {line}")))
    }

    fn tail(&self, spec: &Spec) -> Result {
        if let Some(note) = &self.document.note {
            self.section("Note")?;
            self.wrapped(2, note)?;
        }
        self.section("Source")?;
        spec.source().iter().try_for_each(|source| self.output.line(format_args!("  {source}")))
    }

    /// A paragraph, broken at spaces to a width that is pleasant to read.
    fn wrapped(&self, indent: usize, text: &str) -> Result {
        const WIDTH: usize = 100;
        let (mut line, mut columns) = (String::new(), 0);
        for word in text.split_whitespace() {
            let width = words::columns(word);
            if columns > 0 && indent + columns + 1 + width > WIDTH {
                self.output.line(format_args!("{:indent$}{line}", ""))?;
                (line, columns) = (String::new(), 0);
            }
            if columns > 0 {
                line.push(' ');
                columns += 1;
            }
            line.push_str(word);
            columns += width;
        }
        if line.is_empty() { Ok(()) } else { self.output.line(format_args!("{:indent$}{line}", "")) }
    }
}

/// Where an outer field of the request travels, if not in the body.
fn place(spec: &Spec, name: &str, request: bool) -> &'static str {
    let parameter = |segment: &str| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) == Some(name);
    if !request {
        ""
    } else if spec.path().split('/').any(parameter) {
        "in the path"
    } else if spec.query().contains(&name) {
        "in the query"
    } else if spec.header().contains(&name) {
        "in a header"
    } else {
        ""
    }
}
