//! `wechatpay describe`: everything that the catalogue knows about one operation, or one notification.

mod schema;
mod words;

use crate::args::Describe;
use crate::catalog;
use crate::output::{DIM, Output, Result, STRONG};
use schema::{Document, Example, Node};
use serde_json::Value;
use wechatpay_model::operation::{Audience, Body, Field, Idempotency, Shape};
use wechatpay_model::{EventSpec, Spec};

pub(crate) fn run(args: &Describe, output: &Output) -> Result {
    match catalog::event(&args.id) {
        Some(event) => describe_event(event, output),
        None => describe_operation(catalog::operation(&args.id)?, output),
    }
}

fn describe_operation(spec: &Spec, output: &Output) -> Result {
    if output.json {
        return output.line(format_args!("{}", spec.schema().trim_end()));
    }
    let document: Document = catalog::schema(spec.id(), spec.schema())?;
    let page = Page { output, document: &document };
    page.head(spec)?;
    if let Some(request) = &document.request {
        page.section("Request")?;
        page.fields(request, Some(spec.request()), Some(spec), 1)?;
    }
    page.rules(spec)?;
    page.section("Answer")?;
    match &document.response {
        Some(response) => page.fields(response, None, None, 1)?,
        None => output.line(format_args!("  204, nothing in it"))?,
    }
    page.refusals(spec)?;
    page.examples()?;
    page.tail(spec.source())
}

fn describe_event(event: &EventSpec, output: &Output) -> Result {
    if output.json {
        return output.line(format_args!("{}", event.schema().trim_end()));
    }
    let document: Document = catalog::schema(event.id(), event.schema())?;
    let page = Page { output, document: &document };
    let (id, title, title_zh) = (event.id(), event.title(), event.title_zh());
    output.line(format_args!("{STRONG}{id}{STRONG:#}  {title} ({title_zh})"))?;
    let (kind, about) = (event.event_type(), event.original_type());
    output.line(format_args!("notification {kind}, about: {about}"))?;
    if let Some(delivery) = event.delivery() {
        output.line(format_args!("sent until it is acknowledged: {}", words::delivery(delivery)))?;
    }
    if let Some(payload) = &document.payload {
        page.section("Resource, once it is decrypted")?;
        page.fields(payload, None, None, 1)?;
    }
    page.examples()?;
    page.tail(event.source())
}

/// Writes one operation or notification, section by section.
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
        let repeat = match spec.idempotency() {
            Idempotency::Safe => "safe".to_owned(),
            Idempotency::Key(field) => format!("with the same `{field}` and parameters it has one effect"),
            _ => "may act twice".to_owned(),
        };
        self.output.line(format_args!("repeat: {repeat}"))?;
        if !spec.rate().is_empty() {
            let limits: Vec<_> = spec.rate().iter().map(words::rate).collect();
            self.output.line(format_args!("rate: {}", limits.join(", ")))?;
        }
        if let Some(page) = spec.page() {
            self.output.line(format_args!("pages: {}", words::pages(spec, page)))?;
        }
        if spec.body() == Body::Multipart {
            let id = spec.id();
            self.output.line(format_args!("file: `wechatpay call {id} --file PATH` sends it"))?;
        }
        Ok(())
    }

    /// The fields of an object, and those of the objects in it, each level further in.
    ///
    /// The shape has the limits that are checked; what is only read has none, as reading never enforces limits. The
    /// outer fields of a request travel where its spec says.
    fn fields(&self, node: &Node, shape: Option<&Shape>, spec: Option<&Spec>, depth: usize) -> Result {
        let node = self.document.resolve(node);
        if node.properties.is_empty() && depth == 1 {
            self.output.line(format_args!("  no fields"))?;
        }
        let shapes = match shape {
            Some(Shape::Object(fields)) => *fields,
            _ => &[],
        };
        for (name, reference) in &node.properties {
            let place = spec.map_or("", |spec| place(spec, name));
            let field = shapes.iter().find(|field| field.name() == name);
            let mut facts = vec![if node.required.contains(name) { "required" } else { "optional" }.to_owned()];
            facts.extend((!place.is_empty()).then(|| place.to_owned()));
            facts.extend(field.and_then(Field::alias).map(|alias| format!("also read as {alias}")));
            let shape = field.map(Field::shape);
            self.field(name, reference, shape, facts, depth)?;
            if let (Some(inner), shape) = self.inside(reference, shape) {
                self.fields(inner, shape, None, depth + 1)?;
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
            for (label, value) in [("  request", &example.request), ("  resource", &example.payload)] {
                value.as_ref().map_or(Ok(()), |value| self.json(label, value))?;
            }
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

    fn tail(&self, sources: &[&str]) -> Result {
        if let Some(note) = &self.document.note {
            self.section("Note")?;
            self.wrapped(2, note)?;
        }
        self.section("Source")?;
        sources.iter().try_for_each(|source| self.output.line(format_args!("  {source}")))
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
fn place(spec: &Spec, name: &str) -> &'static str {
    let parameter = |segment: &str| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) == Some(name);
    if spec.path().split('/').any(parameter) {
        "in the path"
    } else if spec.query().contains(&name) {
        "in the query"
    } else if spec.header().contains(&name) {
        "in a header"
    } else {
        ""
    }
}
