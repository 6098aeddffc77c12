//! `wechatpay codes upload`

use super::{failed, operation, summary};
use crate::args::{CodesFormat, CodesUpload};
use crate::config::{self, Account};
use crate::output::{Exit, Failure, Output, Rejection, Result, Signal};
use crate::wire::{self, Signals, Way, Wire};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::io::{IsTerminal, StdinLock};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use wechatpay_protocol::Error;
use wechatpay_protocol::retry::Sleep;
use wechatpay_uploader::{
    Ended, Endpoint, Event, Finished, Format, Input, Job, Journal, Options, Source, State, Totals, UploadError,
    Uploader, Verification,
};

/// Time between two lines of progress with `--json`.
const BEAT: Duration = Duration::from_secs(1);
/// What to do where the list could not be read: it is told where nothing else is to be said of the upload.
const ONLY_COMPARED: &str =
    "the upload is complete, and only the comparison with the list failed; run the same line again to compare";
/// Shortest pause that people are told of.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

pub(super) fn run(args: &CodesUpload, output: &Output) -> Result {
    let format = format(args)?;
    let (endpoint, target) = target(args);
    if args.verify && endpoint.listing.is_none() {
        let id = endpoint.spec.id();
        return Err(Failure::Usage(format!(
            "what {id} took cannot be listed, so leave --verify out; nothing was sent"
        )));
    }
    if args.dry_run {
        return dry_run(args, format, endpoint, target, output);
    }
    let account = Account::load(&args.account)?;
    let journal = journal_path(args)?;
    let sources = sources(args, output, |stdin| Source::keep(stdin, &journal, "stdin"))?;
    let input = Input { sources, format };
    let runtime = wire::runtime(Builder::new_current_thread())?;
    let (args, output) = (args.clone(), *output);
    // A task of its own: to wake what the runtime itself waits for is a system call each time.
    let task = runtime.spawn(async move { upload(&args, account, endpoint, target, &input, &journal, &output).await });
    let uploaded = runtime.block_on(task);
    let uploaded = uploaded.unwrap_or_else(|error| Err(Failure::Local(format!("the upload ended early: {error}"))));
    // A name that is still being looked up must not keep an interrupted command alive.
    runtime.shutdown_background();
    uploaded
}

/// Which operation takes the codes, and for what.
fn target(args: &CodesUpload) -> (Endpoint, Map<String, Value>) {
    let named = [
        ("stock_id", Some(&args.stock_id)),
        ("product_coupon_id", args.product_coupon_id.as_ref()),
        ("brand_id", args.brand_id.as_ref()),
    ];
    let fields = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    let endpoint = if args.product_coupon_id.is_some() { Endpoint::PRODUCT_COUPON } else { Endpoint::BUSIFAVOR };
    (endpoint, fields)
}

fn format(args: &CodesUpload) -> Result<Format> {
    match (args.format, &args.column) {
        (Some(CodesFormat::Text), Some(_)) => {
            Err(Failure::Usage("text has no columns; leave --column or --format text out".to_owned()))
        }
        (Some(CodesFormat::Csv), None) => Err(Failure::Usage("name the column of the codes with --column".to_owned())),
        (_, Some(column)) => Ok(Format::Csv { column: column.clone() }),
        (_, None) => Ok(Format::Text),
    }
}

/// Where the journal lies: where it is wanted, else beside the first file.
fn journal_path(args: &CodesUpload) -> Result<PathBuf> {
    if let Some(path) = &args.journal {
        return Ok(path.clone());
    }
    match args.files.first() {
        Some(file) if file != "-" => Ok(suffixed(Path::new(file), ".wechatpay-journal")),
        _ => Err(Failure::Usage("stdin has no name; say with --journal where the journal shall be".to_owned())),
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The files of an input; `keep` puts what stdin holds into one.
fn sources(
    args: &CodesUpload,
    output: &Output,
    keep: impl FnOnce(StdinLock<'static>) -> std::result::Result<Source, UploadError>,
) -> Result<Vec<Source>> {
    if !args.files.iter().any(|file| file == "-") {
        return Ok(args.files.iter().map(|file| source(file)).collect());
    }
    if args.files.len() > 1 {
        return Err(Failure::Usage("`-` stands alone: what stdin holds is one input".to_owned()));
    }
    if std::io::stdin().is_terminal() {
        output.hint(format_args!("reading codes from the terminal; end them with Ctrl-D"));
    }
    let kept = keep(std::io::stdin().lock()).map_err(|error| Failure::Local(error.to_string()))?;
    Ok(vec![kept])
}

/// A file by its absolute path, so that the report finds it from anywhere.
fn source(file: &str) -> Source {
    let path = std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
    Source { path, name: file.to_owned() }
}

fn dry_run(
    args: &CodesUpload,
    format: Format,
    endpoint: Endpoint,
    target: Map<String, Value>,
    output: &Output,
) -> Result {
    let (base_url, caller) = config::sender(&args.account)?;
    let job = Job { endpoint, target, base_url: base_url.to_string(), mchid: caller.into_id() };
    let folder = tempfile::tempdir().map_err(|error| Failure::Local(format!("no temporary directory: {error}")))?;
    let spool = |stdin| Ok(Source::spool(stdin, folder.path().join("stdin"), "stdin")?);
    let sources = sources(args, output, spool)?;
    let planned = job.plan(&Input { sources, format }, folder.path()).map_err(failed)?;
    planned.notes.iter().for_each(|note| output.hint(format_args!("{note}")));
    if output.json {
        let repeated: Vec<_> = planned.repeated.iter().map(|(at, first)| json!({ "at": at, "first": first })).collect();
        return output.value(&json!({
            "event": "plan", "dry_run": true, "codes": planned.codes, "batches": planned.batches,
            "duplicates": planned.duplicates, "repeated": repeated, "empty_lines": planned.empty_lines,
            "numbers": planned.numbers, "digest": planned.digest,
        }));
    }
    output.line(format_args!("{} codes in {} batches; nothing was sent", planned.codes, planned.batches))?;
    for (at, first) in &planned.repeated {
        output.line(format_args!("  {at} repeats {first}, and is sent once"))?;
    }
    let more = planned.duplicates.saturating_sub(planned.repeated.len() as u64);
    if more > 0 {
        output.line(format_args!("  and {more} more lines repeat others"))?;
    }
    if planned.empty_lines > 0 {
        output.line(format_args!("  {} empty lines are passed over", planned.empty_lines))?;
    }
    Ok(())
}

async fn upload(
    args: &CodesUpload,
    account: Account,
    endpoint: Endpoint,
    target: Map<String, Value>,
    input: &Input,
    path: &Path,
    output: &Output,
) -> Result {
    // The uploader repeats calls itself; two layers would multiply.
    let way = Way { backend: args.wire.backend, attempts: None, output: *output };
    let downloads = account.downloads;
    let client = way.client(account, Wire::new(args.wire.backend)?);
    let mut options = Options::default();
    options.concurrency = usize::from(args.concurrency);
    options.rate = args.rate;
    let sleep = |time: Duration| -> Sleep { Box::pin(tokio::time::sleep(time)) };
    let uploader = Uploader::new(client.clone(), endpoint, target, sleep).with_options(options);
    let journal = uploader.job().open(input, path).map_err(failed)?;
    heard(announce(&journal, path, output))?;
    if downloads && !journal.totals().complete() {
        wire::download(&client).await?;
    }
    let progress = Progress::new(&journal, *output);
    let mut signals = Signals::caught()?;
    let mut finished = interruptible(&uploader, journal, &progress, &mut signals, output).await?;
    progress.bar.finish_and_clear();
    let verified = match args.verify && !matches!(finished.ended, Ended::Interrupted) {
        true => verify(&uploader, &mut finished, &progress, &mut signals, output).await,
        false => Ok(None),
    };
    let told = heard(summary(&finished.journal, output, "summary"));
    let signal = *progress.signal();
    let found = verified.as_ref().ok().and_then(Option::as_ref);
    let judged = judge(finished.ended, &finished.journal.totals(), found, endpoint.listing.is_some(), path, signal);
    if let (Err(_), Err(failure)) = (&judged, &verified) {
        output.hint(format_args!("nothing was compared with the list: {}", failure.message()));
    }
    judged.and(verified).and(told)
}

/// Whoever reads no more learns the end from the exit code: what was to be done is done all the same.
fn heard(told: Result) -> Result {
    match told {
        Err(Failure::Unread) => Ok(()),
        told => told,
    }
}

/// Says what is going to be done.
fn announce(journal: &Journal, path: &Path, output: &Output) -> Result {
    let (totals, header) = (journal.totals(), journal.header());
    let path = path.display();
    if output.json {
        return output.value(&json!({
            "event": "plan", "codes": totals.codes, "batches": totals.batches, "duplicates": totals.duplicates,
            "empty_lines": header.empty_lines, "numbers": header.numbers, "digest": header.digest,
            "journal": path.to_string(), "batches_done": totals.batches_done,
        }));
    }
    let Totals { codes, batches, batches_done, duplicates, .. } = totals;
    output.hint(format_args!("{codes} codes in {batches} batches, {batches_done} of them answered; journal {path}"));
    if duplicates > 0 {
        output.hint(format_args!("{duplicates} lines repeat a code, which is sent once; the report names them"));
    }
    Ok(())
}

/// Uploads until it is done. The first signal lets what is under way end; the second one ends at once.
async fn interruptible(
    uploader: &Uploader<Wire>,
    journal: Journal,
    progress: &Progress,
    caught: &mut Signals,
    output: &Output,
) -> Result<Finished> {
    let (stop, stopped) = oneshot::channel::<()>();
    let signals = async {
        let first = caught.next().await?;
        *progress.signal() = Some(first);
        progress.bar.suspend(|| {
            output.hint(format_args!("stopping: calls under way are waited for; interrupt again to stop at once"));
        });
        let _ = stop.send(());
        caught.next().await
    };
    let stopped = async {
        if stopped.await.is_err() {
            // Signals cannot be caught; the other branch says so.
            std::future::pending().await
        }
    };
    let signals = std::pin::pin!(signals);
    tokio::select! {
        finished = uploader.run(journal, stopped, |event: &Event<'_>| progress.tell(event)) => finished.map_err(failed),
        second = signals => {
            let message = "stopped at once; calls that were under way will be repeated under their own numbers";
            Err(interrupted(second?, message.to_owned()))
        }
    }
}

fn interrupted(signal: Signal, message: String) -> Failure {
    let exit = if signal == Signal::Interrupt { Exit::Interrupted } else { Exit::Terminated };
    rejection(exit, "interrupted", message, "nothing is lost: run the same line again to go on")
}

fn rejection(exit: Exit, kind: &'static str, message: String, next: &str) -> Failure {
    Failure::Rejected(Box::new(Rejection { next: Some(next.to_owned()), ..Rejection::new(exit, kind, message) }))
}

/// Compares the list of uploaded codes with the journal, unless a signal has come or comes. The first one ends it:
/// reading leaves nothing behind.
async fn verify(
    uploader: &Uploader<Wire>,
    finished: &mut Finished,
    progress: &Progress,
    caught: &mut Signals,
    output: &Output,
) -> Result<Option<Verification>> {
    let before = *progress.signal();
    let signal = async {
        match before {
            Some(signal) => Ok(signal),
            None => caught.next().await,
        }
    };
    let found = tokio::select! {
        biased;
        signal = signal => {
            *progress.signal() = Some(signal?);
            finished.ended = Ended::Interrupted;
            return Ok(None);
        }
        found = uploader.verify(&mut finished.journal) => found,
    };
    let found = found.map_err(|error| match error {
        UploadError::Listing(_) => Failure::Stopped {
            by: Box::new(failed(error)),
            printed: None,
            unknown: 0,
            resume: Some(ONLY_COMPARED.to_owned()),
        },
        error => failed(error),
    })?;
    if output.json {
        let mut line = json!(found);
        if let Some(line) = line.as_object_mut() {
            line.insert("event".to_owned(), "verification".into());
        }
        heard(output.value(&line))?;
    } else {
        let Verification { listed, present, missing, others, .. } = found;
        output.hint(format_args!(
            "{listed} codes are listed: {present} of this input, {others} others; {missing} that should be there are not"
        ));
    }
    Ok(Some(found))
}

/// What the end of an upload means for the exit code; `lists` says whether what was uploaded can be listed.
fn judge(
    ended: Ended,
    totals: &Totals,
    verified: Option<&Verification>,
    lists: bool,
    path: &Path,
    signal: Option<Signal>,
) -> Result {
    let report = format!("wechatpay codes report --journal {}", path.display());
    let also = |count: u64, what: &str| if count > 0 { format!("; {count} {what}") } else { String::new() };
    let refused = also(totals.refused, "were refused");
    let missing = verified.map_or(0, |found| found.missing);
    match ended {
        Ended::Interrupted => {
            let Totals { batches_done, batches, .. } = totals;
            let unread = if totals.complete() { "; the list of uploaded codes was not read to its end" } else { "" };
            let message = format!("interrupted; {batches_done} of {batches} batches are answered{unread}");
            return Err(interrupted(signal.unwrap_or(Signal::Interrupt), message));
        }
        Ended::Stopped(error) if !totals.complete() => {
            let pause = if let Error::Api(refusal) = &*error { refusal.retry_after } else { None };
            let when = pause.map_or_else(
                || "when the cause is removed".to_owned(),
                |pause| format!("WeChat Pay asks to wait {} s; after that", pause.as_secs()),
            );
            let resume = Some(format!("{when}, run the same line again; `{report}` says what is left"));
            let (by, unknown) = (Box::new(operation().failed(*error)), totals.unknown + totals.unclear + missing);
            return Err(Failure::Stopped { by, printed: None, unknown, resume });
        }
        Ended::Unclear if !totals.complete() => {
            let message =
                format!("an answer names no code of its batch, so {} codes are unknown{refused}", totals.unknown);
            let list = if lists { ", and with --verify the list may tell" } else { "" };
            let next = format!(
                "run the same line again: it has one effect{list}; `{report}` says what is left: if that stays so, upload it \
                 once more, as a file of its own"
            );
            return Err(rejection(Exit::Unknown, "unclear", message, &next));
        }
        _ => {}
    }
    if totals.unclear > 0 {
        let Totals { unclear, codes, .. } = totals;
        let missing = also(missing, "were answered as uploaded and are not listed");
        let message = format!("the answers do not name {unclear} of {codes} codes{missing}{refused}");
        let next = match (verified, lists) {
            (None, true) => format!("run the same line with --verify: the list may name them; `{report}` names each"),
            _ => format!("`{report}` names each; upload them once more, as a file of their own: what is there is told"),
        };
        return Err(rejection(Exit::Unknown, "unclear", message, &next));
    }
    if let Some(found) = verified.filter(|_| missing > 0) {
        let places = found.missing_at.join(", ");
        let message = format!("{missing} codes that were answered as uploaded are not listed: {places}{refused}");
        return Err(rejection(Exit::Unknown, "missing", message, "the list may lag behind: verify again later"));
    }
    if totals.refused > 0 {
        let message = format!("{} of {} codes were refused", totals.refused, totals.codes);
        let next = format!("`{report}` names each, and why");
        return Err(rejection(Exit::Refused, "refused", message, &next));
    }
    Ok(())
}

/// Tells people and machines how far it is.
struct Progress {
    bar: ProgressBar,
    output: Output,
    last: Mutex<Option<Instant>>,
    /// The signal that stopped the upload.
    signal: Mutex<Option<Signal>>,
}

impl Progress {
    fn new(journal: &Journal, output: Output) -> Self {
        let totals = journal.totals();
        // Hidden where stderr is no terminal.
        let bar = if output.json { ProgressBar::hidden() } else { ProgressBar::new(totals.codes) };
        let template = "{bar:32} {pos}/{len} codes · {per_sec} · {eta} left · {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(settled(&totals));
        // The rate is that of this run.
        bar.reset_eta();
        bar.set_message("0 refused");
        Self { bar, output, last: Mutex::new(None), signal: Mutex::new(None) }
    }

    fn signal(&self) -> MutexGuard<'_, Option<Signal>> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Settled { batch, number, state, error, differences, totals, rate } => {
                if !self.bar.is_hidden() {
                    self.bar.set_position(settled(totals));
                    let pace = rate.map(|rate| format!(" · {rate:.1} calls/s allowed")).unwrap_or_default();
                    self.bar.set_message(format!("{} refused{pace}", totals.refused));
                }
                if *state != State::Done || !differences.is_empty() {
                    self.odd(*batch, number, *state, *error, differences);
                }
                if self.output.json && self.due() {
                    let mut line = json!(totals);
                    if let Some(line) = line.as_object_mut() {
                        line.insert("event".to_owned(), "progress".into());
                        line.insert("rate".to_owned(), json!(rate));
                    }
                    self.line(&line);
                }
            }
            Event::Retrying { batch, error, pause } => {
                let code = error.code().filter(|code| !code.is_empty()).unwrap_or(error.kind());
                if self.output.json {
                    let seconds = pause.as_secs_f64();
                    self.line(&json!({ "event": "retry", "batch": batch, "error": code, "seconds": seconds }));
                } else {
                    self.bar.set_message(format!("again after {code}"));
                }
            }
            Event::Creating { pause } => {
                let seconds = pause.as_secs();
                if self.output.json {
                    self.line(&json!({ "event": "waiting", "reason": "creating", "seconds": seconds }));
                } else {
                    self.hint(&format!("the stock is still being created; asking again in {seconds} s"));
                }
            }
            Event::Held { pause } => {
                let seconds = pause.as_secs();
                if self.output.json {
                    self.line(&json!({ "event": "waiting", "reason": "retry_after", "seconds": seconds }));
                } else if *pause >= WORTH_A_WORD {
                    self.hint(&format!("WeChat Pay asks for a pause of {seconds} s; no call begins before"));
                }
            }
            _ => {}
        }
    }

    /// A batch that did not simply go through.
    fn odd(&self, batch: u64, number: &str, state: State, error: Option<&Error>, differences: &[String]) {
        if self.output.json {
            let error = error.map(ToString::to_string);
            self.line(&json!({
                "event": "batch", "batch": batch, "number": number, "state": state, "error": error,
                "differences": differences,
            }));
            return;
        }
        if let Some(error) = error {
            self.hint(&format!("batch {batch} ({number}): {error}"));
        }
        for difference in differences {
            self.hint(&format!("batch {batch} ({number}): {difference}"));
        }
    }

    fn hint(&self, text: &str) {
        self.bar.suspend(|| self.output.hint(format_args!("{text}")));
    }

    fn line(&self, line: &Value) {
        // Nobody need read it, as with `heard`.
        let _ = self.output.value(line);
    }

    /// Whether it is time for another line of progress.
    fn due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= BEAT);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Codes whose outcome is known.
fn settled(totals: &Totals) -> u64 {
    totals.codes - totals.not_sent - totals.unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use wechatpay_protocol::{TransportError, TransportErrorKind};

    /// Ten codes in two batches, of which so many came out like this.
    fn totals(refused: u64, unclear: u64, unknown: u64) -> Totals {
        let mut totals = Totals::default();
        (totals.codes, totals.batches, totals.batches_done) = (10, 2, 2 - u64::from(unknown > 0));
        (totals.refused, totals.unclear, totals.unknown) = (refused, unclear, unknown);
        totals
    }

    /// A comparison that found so many codes missing.
    fn missing(count: u64) -> Verification {
        let mut found = Verification::default();
        (found.missing, found.missing_at) = (count, vec!["f:7".to_owned()]);
        found
    }

    fn judged(ended: Ended, totals: &Totals, missing: &Verification) -> Failure {
        judge(ended, totals, Some(missing), true, Path::new("j"), None).unwrap_err()
    }

    #[test]
    fn codes_in_doubt_come_before_those_that_were_refused_and_both_are_named() {
        for (refused, unclear, absent, exit, words) in [
            (1, 0, 0, Exit::Refused, &["1 of 10 codes were refused"][..]),
            (0, 0, 9, Exit::Unknown, &["9 codes that were answered as uploaded are not listed: f:7"]),
            (
                1,
                0,
                9,
                Exit::Unknown,
                &["9 codes that were answered as uploaded are not listed: f:7", "; 1 were refused"],
            ),
            (1, 2, 0, Exit::Unknown, &["do not name 2 of 10 codes", "; 1 were refused"]),
            (1, 2, 7, Exit::Unknown, &["do not name 2 of 10 codes; 7 were answered", "; 1 were refused"]),
        ] {
            let failure = judged(Ended::Complete, &totals(refused, unclear, 0), &missing(absent));
            assert_eq!(failure.exit(), exit, "{failure:?}");
            let message = failure.message();
            assert!(words.iter().all(|words| message.contains(words)), "{message:?} does not say {words:?}");
        }
    }

    #[test]
    fn an_upload_that_stopped_counts_all_that_is_in_doubt() {
        // The last call did nothing, so that without them nothing is in doubt.
        let stopped = || {
            let error = TransportError::new(TransportErrorKind::Connect, "refused");
            Ended::Stopped(Box::new(Error::from(error)))
        };
        for (unclear, unknown, absent, count) in [(0, 0, 0, 0), (1, 0, 0, 1), (0, 2, 0, 2), (0, 0, 4, 4), (1, 2, 4, 7)]
        {
            let mut totals = totals(0, unclear, unknown);
            totals.batches_done = 1;
            let failure = judged(stopped(), &totals, &missing(absent));
            let Failure::Stopped { unknown, .. } = &failure else { panic!("{failure:?}") };
            assert_eq!(*unknown, count);
            let said = format!("\n  {count} codes are in doubt");
            assert_eq!(failure.message().ends_with(&said), count > 0, "{}", failure.message());
        }
    }
}
