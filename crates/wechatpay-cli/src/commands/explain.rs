//! `wechatpay explain-signature`

use crate::args::ExplainSignature as Args;
use crate::capture::{Capture, header};
use crate::config;
use crate::input;
use crate::output::{BAD, DIM, Exit, Failure, GOOD, Output, Result, STRONG};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::builder::styling::Style;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use wechatpay_protocol::crypto::{Signer as _, aws_lc};
use wechatpay_sandbox::explain::{self, Clock, Explanation, Key, Known, Pair, Piece, Whose, side_by_side};
use zeroize::Zeroizing;

/// Seconds by which WeChat Pay and its clients let a timestamp be off.
const WINDOW: i64 = 300;

/// How much of a line is shown before and behind a difference, and of the difference itself.
const CONTEXT: usize = 48;

pub(crate) fn run(args: &Args, output: &Output) -> Result {
    let message = Message::read(args, output)?;
    let (mut known, mut signer) = config::known(&args.account)?;
    for path in &args.key {
        let read = |text: &str| Ok::<_, String>((Key::from_pem(text)?, Zeroizing::new(text.to_owned())));
        let failed = |problem: String| Failure::Input(format!("--key: {problem}"));
        let (key, text) = config::read_file(path, read).map_err(failed)?;
        let whose = match message.is_request() {
            true if message.is_brands() => Whose::Brand(None),
            true => Whose::Merchant(args.account.mchid.clone()),
            false => Whose::Platform,
        };
        let serial = config::certificate_serial(&text);
        // What is named on the command line comes before what is configured.
        known.insert(0, Known { whose, serial, key, apiv3_key: None });
        if text.contains("PRIVATE KEY") {
            signer = aws_lc::Signer::from_pem(&text).ok();
        }
    }
    let wanted = |known: &Known| (known.whose != Whose::Platform) == message.is_request();
    if !known.iter().any(wanted) {
        let files =
            if message.is_request() { "apiclient_cert.pem of the merchant" } else { "pub_key.pem of WeChat Pay" };
        return Err(Failure::Usage(format!("there is no key to verify with: name one with --key, such as {files}")));
    }
    let clock = args.now.map(|now| Clock { now, window: WINDOW });
    match message.explain(&known, clock) {
        None if output.json => output.value(&json!({"verifies": true})),
        None => output.line(format_args!("{GOOD}the signature is right{GOOD:#}")),
        Some(explanation) => {
            let signer = signer.filter(|_| message.is_request());
            let right = signer.and_then(|signer| signer.sign(&explanation.expected).ok());
            show(&explanation, right.map(|right| STANDARD.encode(right)), output)?;
            Err(Failure::Told(Exit::Unverified))
        }
    }
}

/// A message whose signature is in question.
struct Message {
    /// Method and target of a request.
    request: Option<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Message {
    fn read(args: &Args, output: &Output) -> Result<Self> {
        let mut message = match (&args.request, &args.reply) {
            (Some(file), _) => Self::whole(file, true, output)?,
            (None, Some(file)) => Self::whole(file, false, output)?,
            (None, None) => Self {
                request: args.method.clone().zip(args.target.clone()),
                headers: HeaderMap::new(),
                body: args.body.as_ref().map_or(Ok(Vec::new()), |file| bytes(file, output))?,
            },
        };
        let too_many = |_| Failure::Usage("--header: these are more headers than a message can have".to_owned());
        for text in &args.header {
            let (name, value) = header(text.as_bytes()).ok_or_else(|| {
                Failure::Usage(format!("--header: {:?} is no header; write `Name: value`", name(text)))
            })?;
            message.headers.try_append(name, value).map_err(too_many)?;
        }
        if let Some(text) = &args.authorization {
            let value = text.trim().trim_start_matches("Authorization:").trim();
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                Failure::Usage("--authorization: has a line break, which no header can have".to_owned())
            })?;
            message.headers.try_append(AUTHORIZATION, value).map_err(too_many)?;
        }
        Ok(message)
    }

    fn whole(file: &str, is_request: bool, output: &Output) -> Result<Self> {
        let bytes = bytes(file, output)?;
        let shown = input::shown(file);
        let Capture { start, headers, body } =
            Capture::read(&bytes).map_err(|problem| Failure::Input(format!("{shown}{problem}")))?;
        let request = match start.map(|line| line.splitn(3, ' ').collect::<Vec<_>>()).as_deref() {
            _ if !is_request => None,
            Some([method, target, version]) if version.starts_with("HTTP/") => {
                Some(((*method).to_owned(), (*target).to_owned()))
            }
            _ => {
                let advice = "begin it with the request line, such as `GET /v3/certificates HTTP/1.1`";
                return Err(Failure::Input(format!("{shown}:1: no request line; {advice}")));
            }
        };
        Ok(Self { request, headers, body: body.to_vec() })
    }

    fn is_request(&self) -> bool {
        self.request.is_some()
    }

    /// Whether the request names a brand as its caller.
    fn is_brands(&self) -> bool {
        let authorization = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        authorization.is_some_and(|value| value.contains("brand_id="))
    }

    fn explain(&self, known: &[Known], clock: Option<Clock>) -> Option<Explanation> {
        let Self { request, headers, body } = self;
        match request {
            Some((method, target)) => {
                explain::request(&explain::Request { method, target, headers, body }, known, clock)
            }
            None => explain::reply(headers, body, known, clock),
        }
    }
}

/// What stands before the colon: the value may be a secret.
fn name(header: &str) -> &str {
    header.split(':').next().unwrap_or_default()
}

fn bytes(file: &str, output: &Output) -> Result<Vec<u8>> {
    input::read(file, output).map_err(|problem| Failure::Input(format!("{}: {problem}", input::shown(file))))
}

fn show(explanation: &Explanation, right: Option<String>, output: &Output) -> Result {
    if output.json {
        let mut value = json!(explanation);
        if let Value::Object(fields) = &mut value {
            fields.insert("verifies".to_owned(), json!(false));
            fields.extend(right.map(|right| ("right_signature".to_owned(), json!(right))));
        }
        return output.value(&value);
    }
    output.line(format_args!("{BAD}the signature does not verify:{BAD:#} {STRONG}{}{STRONG:#}", explanation.cause))?;
    output.line(format_args!("{}\n{}", explanation.says, explanation.advice))?;
    if !explanation.also.is_empty() {
        let also: Vec<_> = explanation.also.iter().map(ToString::to_string).collect();
        output.line(format_args!("{DIM}also: {}{DIM:#}", also.join(", ")))?;
    }
    messages(explanation, output)?;
    match right {
        Some(right) => output.line(format_args!("\nthe right signature, by the private key at hand:\n{right}")),
        None => Ok(()),
    }
}

/// The messages line by line; what differs stands twice, with the differing bytes marked.
fn messages(explanation: &Explanation, output: &Output) -> Result {
    let Explanation { expected, received, first_difference, .. } = explanation;
    match (received, first_difference) {
        (None, _) => output.line(format_args!("\nthe message to sign:"))?,
        (Some(_), None) => output.line(format_args!("\nthe message, which is right:"))?,
        (Some(_), Some(difference)) => output.line(format_args!(
            "\nthe messages differ from byte {} on, in line {} ({GOOD}-{GOOD:#} to be signed, {BAD}+{BAD:#} was signed):",
            difference.at, difference.line
        ))?,
    }
    for pair in side_by_side(expected, received.as_deref().unwrap_or(expected)) {
        let Pair { expected, received, .. } = &pair;
        match (expected, received) {
            (Some(line), _) if pair.same() => output.line(format_args!("    {}", whole(line)))?,
            _ => {
                side('-', GOOD, expected.as_ref(), output)?;
                side('+', BAD, received.as_ref(), output)?;
            }
        }
    }
    Ok(())
}

fn whole(line: &Piece) -> String {
    head(&line.before, 2 * CONTEXT)
}

fn side(mark: char, style: Style, line: Option<&Piece>, output: &Output) -> Result {
    let Some(Piece { before, differs, after, .. }) = line else { return Ok(()) };
    let (before, differs, after) = (tail(before, CONTEXT), head(differs, CONTEXT), head(after, CONTEXT));
    output.line(format_args!("  {style}{mark}{style:#} {before}{style}{differs}{style:#}{after}"))?;
    let (left, under) = (width(&before), width(&differs));
    if under == 0 {
        return Ok(());
    }
    output.line(format_args!("    {:left$}{style}{}{style:#}", "", "^".repeat(under)))
}

/// Columns on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|letter| if ('\u{1100}'..).contains(&letter) && letter != '…' { 2 } else { 1 }).sum()
}

/// The first characters of a text.
fn head(text: &str, count: usize) -> String {
    let cut = text.chars().count() > count;
    text.chars().take(count).chain(cut.then_some('…')).collect()
}

/// The last characters of a text.
fn tail(text: &str, count: usize) -> String {
    let skipped = text.chars().count().saturating_sub(count);
    (skipped > 0).then_some('…').into_iter().chain(text.chars().skip(skipped)).collect()
}
