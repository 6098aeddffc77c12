//! `wechatpay codes`

mod upload;

use crate::args::{Codes, CodesCommand, CodesReport, CodesStatus};
use crate::output::{DIM, Failure, Operation, Output, Result, STRONG, wrote};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use wechatpay_model::Operation as _;
use wechatpay_model::busifavor::{ListCouponCodes, UploadCouponCodes};
use wechatpay_uploader::{Endpoint, Journal, JournalError, Row, Totals, UploadError};

pub(crate) fn run(args: &Codes, output: &Output) -> Result {
    match &args.command {
        CodesCommand::Upload(args) => upload::run(args, output),
        CodesCommand::Status(args) => status(args, output),
        CodesCommand::Report(args) => report(args, output),
    }
}

/// The operation that takes codes, for messages.
fn operation() -> Operation {
    Operation::known(UploadCouponCodes::SPEC)
}

/// What an error of the uploader means for the exit code.
fn failed(error: UploadError) -> Failure {
    match error {
        UploadError::Input(error) => Failure::Input(error.to_string()),
        UploadError::Invalid(error) => operation().failed(error),
        UploadError::Listing(error) => Operation::known(ListCouponCodes::SPEC).failed(error),
        UploadError::Unsupported(message) => Failure::Usage(message),
        other => Failure::Local(other.to_string()),
    }
}

fn unusable(error: JournalError) -> Failure {
    Failure::Local(error.to_string())
}

fn status(args: &CodesStatus, output: &Output) -> Result {
    let journal = Journal::open(&args.journal).map_err(unusable)?;
    summary(&journal, output, "status")
}

/// Prints where an upload stands.
fn summary(journal: &Journal, output: &Output, event: &str) -> Result {
    let (totals, header) = (journal.totals(), journal.header());
    let target = header.target.get("stock_id").and_then(Value::as_str).unwrap_or_default();
    if output.json {
        let mut line = json!(totals);
        if let Some(line) = line.as_object_mut() {
            line.insert("event".to_owned(), event.into());
            line.insert("complete".to_owned(), totals.complete().into());
            line.insert("stock_id".to_owned(), target.into());
            line.insert("digest".to_owned(), header.digest.as_str().into());
            line.insert("journal".to_owned(), journal.path().map(|path| path.display().to_string()).into());
        }
        return output.value(&line);
    }
    let Totals { codes, batches, batches_done, attempts, .. } = totals;
    output.line(format_args!(
        "{STRONG}stock {target}{STRONG:#}: {codes} codes in {batches} batches, {batches_done} answered, {attempts} calls"
    ))?;
    for (name, count, meaning) in [
        ("uploaded", totals.uploaded, ""),
        ("existed", totals.existed, "there before this upload"),
        ("refused", totals.refused, "the report says why"),
        ("unclear", totals.unclear, "the answer does not name them"),
        ("unknown", totals.unknown, "their calls may have been executed; run the upload again"),
        ("not sent", totals.not_sent, "run the upload again"),
    ] {
        if count > 0 || name == "uploaded" {
            output.line(format_args!("  {name:<9} {count:>10}  {DIM}{meaning}{DIM:#}"))?;
        }
    }
    if totals.duplicates > 0 {
        let meaning = "lines that repeat a code; it was sent once";
        output.line(format_args!("  {:<9} {:>10}  {DIM}{meaning}{DIM:#}", "repeated", totals.duplicates))?;
    }
    if totals.differences > 0 {
        output.hint(format_args!("{} differences between requests and answers", totals.differences));
    }
    Ok(())
}

fn report(args: &CodesReport, output: &Output) -> Result {
    let journal = Journal::open(&args.journal).map_err(unusable)?;
    let mut counts = BTreeMap::new();
    let mut lines = wrote(Lines::new(output.json))?;
    let written = journal.report(&Endpoint::BUSIFAVOR, |row| {
        *counts.entry(row.state.as_str()).or_insert(0u64) += 1;
        lines.write(&row)
    });
    let written = written.map_err(failed)?;
    wrote(written.and_then(|()| lines.finish()))?;
    let total: u64 = counts.values().sum();
    let parts: Vec<_> = counts.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
    output.hint(format_args!("{total} lines = {}", parts.join(" + ")));
    Ok(())
}

/// The lines of a report.
enum Lines {
    Csv(Box<csv::Writer<io::Stdout>>),
    Json(BufWriter<io::Stdout>),
}

impl Lines {
    fn new(json: bool) -> io::Result<Self> {
        if json {
            return Ok(Self::Json(BufWriter::new(io::stdout())));
        }
        let mut lines = csv::Writer::from_writer(io::stdout());
        lines.write_record(["code", "file", "line", "state", "reason"])?;
        Ok(Self::Csv(Box::new(lines)))
    }

    fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        match self {
            Self::Json(lines) => {
                serde_json::to_writer(&mut *lines, row)?;
                lines.write_all(b"\n")
            }
            Self::Csv(lines) => {
                let line = row.line.to_string();
                let reason = row.reason.as_deref().unwrap_or_default();
                Ok(lines.write_record([row.code, row.file, &line, row.state.as_str(), reason])?)
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Json(lines) => lines.flush(),
            Self::Csv(lines) => lines.flush(),
        }
    }
}
