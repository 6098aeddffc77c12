//! What can be written on the command line.

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use wechatpay_sandbox::{FAULTS, FaultRule};

const AFTER_HELP: &str = "\
Try it:
  wechatpay demo                                 the whole road against a local WeChat Pay
  wechatpay ops                                  what can be called
  wechatpay describe favor.start_stock           what it wants, and what its refusals mean

Results go to stdout, everything else to stderr.
With --json every result is one line of JSON, and so is a failure:
  {\"error\": {\"kind\", \"message\", \"operation\", \"problems\": [text],
    \"violations\": [{\"pointer\", \"rule\", \"message\"}], \"reason\", \"status\", \"code\", \"field\", \"issue\",
    \"retry_after\", \"request_id\", \"authenticated\", \"executed\", \"retry\", \"remedy\",
    \"remedies\": [{\"message\", \"meaning\", \"remedy\"}], \"printed\", \"unknown\", \"next\"}}
What does not apply is left out; `wechatpay call --help` says what each key means.

Exit codes:
  0  done
  1  the API refused: signed, or 401, which is unsigned as documented
  2  wrong usage or invalid input; nothing was sent
  3  the transport failed, or the outcome is unknown: any other refusal that nobody signed
  4  the answer cannot be verified, or not be read
  5  a local failure (disk, randomness, a signer)
  130, 143  interrupted";

const CALL_AFTER_HELP: &str = "\
Examples:
  wechatpay call favor.create_coupon_stock stock.json
  wechatpay call favor.create_coupon_stock stock.json stock_use_rule.max_coupons=100
  wechatpay call favor.get_stock stock_id=98065001 stock_creator_mchid=1900000001
  wechatpay call favor.start_stock --dry-run stock_id=98065001 stock_creator_mchid=1900000001
  wechatpay call busifavor.upload_coupon_codes codes.json coupon_code_list='[\"A1\",\"A2\"]'
  wechatpay call favor.upload_image --file logo.png
  wechatpay call favor.list_stocks --all stock_creator_mchid=1900000001
  wechatpay call favor.get_stock --retry 4 stock_id=98065001 stock_creator_mchid=1900000001
  wechatpay call product_coupon.get_product_coupon --config brand.toml product_coupon_id=1000000013

A value is read as the type of the field asks:
  stock_id=98065001                 a text stays a text, though it looks like a number
  no_cash=true  begin_time=3600     true, false and integers
  goods_tag='[\"a\",\"b\"]'             arrays and objects are written as JSON
  stock_use_rule.max_coupons=5      a field inside an object
  /stock_use_rule/max_coupons=5     the same as a JSON pointer
  coupon_code_list.0=A1             an item by its index

With --file, the fields `filename` and `sha256` of the operation are filled from the file where they are not given.
With --all, the first page is the one that is asked for, or the first of all, and pages are as long as the documents
allow unless the request says otherwise. With --json each item is a line; a failure after some items says how many were
printed, and with which offset or token to go on.

With --json a failure is {\"error\": {…}} on stdout, or on stderr if stdout fails:
  kind           usage, config, input, invalid, signing, transport, pending, refused,
                 unverified, decode, local, interrupted; of `codes upload` also unclear, missing
  message        what happened, for people
  operation      id, or method and path, without the values that may be in it
  problems       of the configuration: everything that is missing or wrong
  violations     of the request: pointer, rule and message of everything that is wrong
  reason         of transport: connect, timeout, interrupted, unsendable; of unverified: unsigned,
                 missing_header, duplicate_header, malformed_header, unknown_type, stale,
                 unknown_serial, mismatch, probe
  status         HTTP status
  code           error code of the refusal
  field, issue   what the refusal blames, and why
  retry_after    seconds to wait
  request_id     to be named to WeChat Pay's support
  authenticated  whether the refusal itself was signed; if not, anybody on the way can have made it
  executed       no, maybe, yes
  retry          never, later, read_first
  remedy         the documented advice, where there is no doubt which applies
  remedies       every documented row that fits: message, meaning, remedy
  printed        of --all: how many items were printed before it
  unknown        of `codes upload`: how many codes are in doubt (unknown, unclear, or answered as uploaded and not
                 listed); then the exit code is not 1
  next           what to do now";

/// Calls the WeChat Pay v3 coupon APIs, looks operations up, and runs a local WeChat Pay to try them against.
#[derive(Debug, Parser)]
#[command(name = "wechatpay", version, max_term_width = 120, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Print one line of JSON per result, failures included
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Sandbox(Sandbox),
    Ops(Ops),
    Describe(Describe),
    Call(Call),
    Raw(Raw),
    Codes(Codes),
    Certs(Certs),
    Notify(Notify),
    ExplainSignature(ExplainSignature),
    Trigger(Trigger),
    Completions(Completions),
    Man(Man),
}

/// Run the documents' own examples against a sandbox in this process, over real HTTP
///
/// Shows every call with its verified answer, and refusals with their remedies. Needs no configuration and leaves
/// nothing behind. Ends with 0 only if every call ended as it should.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay demo
  wechatpay demo --backend hyper
  wechatpay demo --json | jq -r '[.operation, .status, .verified] | @tsv'

With --json each call is a line with operation, status, verified, and response or error; beside them
title, by (operation or path), client (async or blocking), backend, as_expected, ms, serial and request_id.
Where nothing was sent, status is null.")]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) wire: Wire,
}

/// Run a local WeChat Pay until Ctrl-C
///
/// It checks signatures and limits, keeps state and signs its answers, with keys made for this run. The first line on
/// stdout is JSON that says where it listens and who may call. One port serves HTTP, HTTPS with an authority of its own
/// (DIR/ca.pem), and HTTP proxy clients that ask for the official hosts; DIR/HOWTO.md says how to point SDKs at it.
#[derive(Debug, clap::Args)]
#[command(after_help = SANDBOX_EXAMPLES, after_long_help = sandbox_help())]
pub(crate) struct Sandbox {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// Keep keys and sandbox.env in this directory, and take the keys from there if they are there already; without,
    /// they are in a temporary directory that goes when the sandbox ends
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    /// Seed of everything that would be random, keys apart: the same seed and requests give the same answers
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Merchant id of the caller, 1900000001 by default; give it again for further merchants
    #[arg(long, value_name = "MCHID")]
    pub(crate) mchid: Vec<String>,

    /// Brand that may call in its own name; give it again for further ones. DIR/brands/BRAND_ID/sandbox.env configures the other
    /// commands for it
    #[arg(long, value_name = "BRAND_ID")]
    pub(crate) brand: Vec<String>,

    /// Make requests go wrong: FAULT;operation=ID;nth=N;probability=P;times=N;seed=N, all but the first at will; give it again for
    /// further rules. --help lists the faults
    #[arg(long, value_name = "RULE")]
    pub(crate) fault: Vec<FaultRule>,

    /// Let --listen name an address that other machines can reach
    #[arg(long)]
    pub(crate) allow_remote: bool,

    /// Let the control paths answer other machines too, and not loopback alone: in a container, whose port is
    /// forwarded, they answer nobody otherwise. Any name in Host will do then
    #[arg(long, requires = "allow_remote")]
    pub(crate) allow_remote_control: bool,
}

const SANDBOX_EXAMPLES: &str = "\
Examples:
  wechatpay sandbox
  wechatpay sandbox --listen 127.0.0.1:8080 --dir box
  wechatpay sandbox --fault 'lose-reply;operation=favor.send_coupon;nth=2' --fault 'status-500;probability=0.1'
  set -a; . box/sandbox.env; set +a; wechatpay call certificates.list";

/// The examples, and all faults.
fn sandbox_help() -> String {
    let mut help = format!(
        "{SANDBOX_EXAMPLES}\n\nFaults, for --fault, POST /_sandbox/faults and the header X-Sandbox-Fault (* is acted upon \
         all the same):\n"
    );
    for kind in FAULTS {
        let acts = if kind.acts { '*' } else { ' ' };
        let name = format!("{}{}", kind.name, kind.argument);
        // The longest name has a line of its own.
        let gap = if name.len() > 24 { format!("\n{:28}", "") } else { " ".repeat(24 - name.len()) };
        help += &format!("  {acts} {name}{gap} {}\n", kind.meaning);
    }
    help
}

/// List the operations
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay ops
  wechatpay ops favor
  wechatpay ops --notifications
  wechatpay ops --json | jq -r 'select(.idempotency.kind == \"none\") | .id'

With --json each operation is a line with id, method, path, title, title_zh, body, query, idempotency and errors; each
notification one with id, event_type, original_type, title, title_zh and delivery.")]
pub(crate) struct Ops {
    /// Only this family, such as favor
    pub(crate) family: Option<String>,

    /// List the notifications instead
    #[arg(long)]
    pub(crate) notifications: bool,
}

/// Explain an operation or a notification: fields, limits, rules, refusals and what to do about them, examples
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay describe favor.create_coupon_stock
  wechatpay describe COUPON.USE
  wechatpay describe --json favor.create_coupon_stock | jq '.examples[0].request'

With --json it is the schema: a line of JSON, its references resolved inside.")]
pub(crate) struct Describe {
    /// Operation, as `wechatpay ops` lists it, or type of an event
    pub(crate) id: String,
}

/// Call an operation with JSON, with name=value, or with both
///
/// The request is checked first, and everything that is wrong with it is reported at once. Only a verified answer is
/// printed.
#[derive(Debug, clap::Args)]
#[command(after_help = CALL_AFTER_HELP)]
pub(crate) struct Call {
    /// Operation, as `wechatpay ops` lists it
    #[arg(index = 1)]
    pub(crate) id: String,

    /// JSON file of the request (`-` for stdin), and fields that are set in it. If a file is called as a field would be, it is
    /// the file
    #[arg(index = 2, value_name = "FILE|-|NAME=VALUE", value_hint = ValueHint::FilePath)]
    pub(crate) arguments: Vec<String>,

    /// Check the request and print what would be sent; needs no key
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// File to send, for an operation that takes one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,

    /// Print the items of all pages of a list
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) repeat: Repeat,

    #[command(flatten)]
    pub(crate) wire: Wire,

    #[command(flatten)]
    pub(crate) account: Account,
}

/// Call any path, signed and verified all the same
///
/// For what `wechatpay ops` does not list. Nothing but the protocol is checked: no field, no limit.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay raw GET /v3/certificates
  wechatpay raw GET '/v3/marketing/favor/stocks/98065001?stock_creator_mchid=1900000001'
  wechatpay raw POST /v3/marketing/favor/coupon-stocks stock.json
  echo '{\"stock_creator_mchid\":\"1900000001\"}' | wechatpay raw POST /v3/marketing/favor/stocks/98065001/start -")]
pub(crate) struct Raw {
    #[arg(ignore_case = true)]
    pub(crate) method: RawMethod,

    /// Path and query, sent as they stand: percent-encode what needs it
    pub(crate) path: String,

    /// JSON file of the body (`-` for stdin)
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub(crate) body: Option<String>,

    #[command(flatten)]
    pub(crate) repeat: Repeat,

    #[command(flatten)]
    pub(crate) wire: Wire,

    #[command(flatten)]
    pub(crate) account: Account,
}

/// Upload coupon codes in bulk, and see what became of each
#[derive(Debug, clap::Args)]
pub(crate) struct Codes {
    #[command(subcommand)]
    pub(crate) command: CodesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CodesCommand {
    Upload(Box<CodesUpload>),
    Status(CodesStatus),
    Report(CodesReport),
}

/// Upload codes to a stock of merchant coupons or product coupons, and go on where an earlier run ended
///
/// May be killed at any moment: the same line again goes on, and no code is lost or uploaded twice. What is planned and
/// done is in a journal on the disk before anything is sent. The stock has the mode MERCHANT_UPLOAD; that of a product
/// coupon, which needs --product-coupon-id and --brand-id, has the mode UPLOAD.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay codes upload --stock-id 98065001 codes.txt
  wechatpay codes upload --stock-id 98065001 --dry-run codes.txt.gz more.txt
  wechatpay codes upload --stock-id 98065001 --column code --rate 20 coupons.csv
  wechatpay codes upload --product-coupon-id 1000000013 --brand-id 120344 --stock-id 1000000013001 codes.txt
  make-codes | wechatpay codes upload --stock-id 98065001 --journal spring -
  wechatpay codes report --journal codes.txt.wechatpay-journal > report.csv

Input: a code on each line, or the column of a CSV file, whose rows have as many fields as the first one; gzip is
recognised. Nothing is trimmed: a space belongs to its code. Lines end with LF or CRLF, empty lines are passed over.
Each code has 1 to 32 of 0-9 A-Z a-z space - _ \\ / = |, that of a product coupon 1 to 40 of 0-9 A-Z a-z - _.
One invalid line, and nothing is sent: all of them are reported. A code that stands there twice is sent once.

What stdin holds is kept in JOURNAL.input, which only its owner can read and which is never replaced. To go on without the
pipe, name that file. A run that is killed before stdin ends leaves JOURNAL.input.*, of which nothing was sent.

The first Ctrl-C lets the calls under way end, the second ends at once; either way the same line goes on. While the list
is read for --verify, the first one ends it.

With --json each event is a line: plan, progress (once a second at most), batch (refused, unknown, or answered oddly),
retry, waiting, verification, summary. In summary, codes = uploaded + existed + refused + unclear + unknown + not_sent.

Exit codes: 0 all codes are there · 1 some were refused, or only the list for --verify was · 2 the input or the command line is wrong, nothing was sent ·
3 some are in doubt: run it again, with --verify where answers leave codes out · 4 an answer cannot be
verified or read: run it again · 5 journal or disk · 130, 143 interrupted: run it again")]
pub(crate) struct CodesUpload {
    /// Stock that takes the codes
    #[arg(long, value_name = "ID")]
    pub(crate) stock_id: String,

    /// Product coupon of the stock; without, it is a stock of merchant coupons
    #[arg(long, value_name = "ID", requires = "brand_id")]
    pub(crate) product_coupon_id: Option<String>,

    /// Brand of the product coupon
    #[arg(long, value_name = "ID", requires = "product_coupon_id")]
    pub(crate) brand_id: Option<String>,

    /// Files with codes, or `-` for stdin
    #[arg(required = true, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<String>,

    /// How codes stand in the files; csv if --column is given, else text
    #[arg(long, value_enum)]
    pub(crate) format: Option<CodesFormat>,

    /// Column of a CSV file, by the name in its first row
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Option<String>,

    /// Journal; by default FILE.wechatpay-journal beside the first file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) journal: Option<PathBuf>,

    /// Most calls in a second; without, the pace that WeChat Pay allows is found by itself
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) rate: Option<f64>,

    /// Most calls at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,

    /// Judge the input and plan the batches; sends nothing, writes nothing, needs no key
    #[arg(long, conflicts_with = "verify")]
    pub(crate) dry_run: bool,

    /// When all is sent, read the list of uploaded codes back and compare; there is none for product coupons
    #[arg(long)]
    pub(crate) verify: bool,

    #[command(flatten)]
    pub(crate) wire: Wire,

    #[command(flatten)]
    pub(crate) account: Account,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodesFormat {
    Text,
    Csv,
}

/// Say where an upload stands
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay codes status --journal codes.txt.wechatpay-journal
  wechatpay codes status --json --journal codes.txt.wechatpay-journal | jq .not_sent

While an upload runs its journal is locked, and this says so.")]
pub(crate) struct CodesStatus {
    /// Journal of the upload
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) journal: PathBuf,
}

/// List every code with what became of it, as CSV: code, file, line, state, reason
///
/// The states are uploaded, existed (there before this upload), refused, unclear (the answer does not name it), unknown
/// (its call may have been executed), not_sent, and duplicate (repeats an earlier line). The input must still be there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay codes report --journal codes.txt.wechatpay-journal > report.csv
  wechatpay codes report --json --journal codes.txt.wechatpay-journal | jq -r 'select(.state == \"refused\") | .reason'

With --json each code is a line with code, file, line, state and, where there is one, reason.")]
pub(crate) struct CodesReport {
    /// Journal of the upload
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) journal: PathBuf,
}

/// A rate of calls.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("write a number of calls in a second, such as 20 or 0.5".to_owned()),
    }
}

/// The platform certificates, with which WeChat Pay signs
#[derive(Debug, clap::Args)]
pub(crate) struct Certs {
    #[command(subcommand)]
    pub(crate) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    Download(Download),
}

/// Download the platform certificates, decrypted and verified
///
/// Needs WECHATPAY_APIV3_KEY, which opens them and so vouches for them; no platform certificate has to be known before. A
/// merchant that has public keys only has no certificates: where its public key is set, that is said on stderr, and is no
/// failure; else nobody can be believed who says so. Brands have none either.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay certs download
  wechatpay certs download --dir certificates
  wechatpay certs download --json | jq -r '[.serial_no, .expire_time] | @tsv'

With --json each certificate is a line with serial_no, effective_time and expire_time; with --dir also file.")]
pub(crate) struct Download {
    /// Write each to `SERIAL.pem` in this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) wire: Wire,

    #[command(flatten)]
    pub(crate) account: Account,
}

/// The notifications that WeChat Pay sends
#[derive(Debug, clap::Args)]
pub(crate) struct Notify {
    #[command(subcommand)]
    pub(crate) command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    Decrypt(Decrypt),
}

/// Verify a notification that was kept, and print what it says
///
/// Needs WECHATPAY_APIV3_KEY, and WeChat Pay's public key or platform certificates. Where neither is configured, the
/// certificates are downloaded, which needs the rest of the account too; else nothing is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay notify decrypt notification.txt
  wechatpay notify decrypt notification.txt --now 2026-01-05T12:00:00+08:00
  wechatpay notify decrypt --json - < notification.txt | jq .resource

The file holds the request as HTTP writes it: lines of headers, an empty line, and the body byte for byte.
  POST /notify HTTP/1.1             may be there, and is passed over
  Wechatpay-Timestamp: 1767585600
  Wechatpay-Nonce: EcGW5JQ1…
  Wechatpay-Serial: PUB_KEY_ID_…    names the key; other headers may stay
  Wechatpay-Signature: WGS3WM49…
  Content-Length: 1012              cuts off what an editor has put behind the body; may be left out

  {\"id\":\"EV-2018022511223320873\", …}

The event is JSON: id, create_time, event_type, summary, original_type, and resource, which was encrypted.")]
pub(crate) struct Decrypt {
    /// File with headers and body (`-` for stdin)
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub(crate) file: String,

    /// Take this for the time of day: an old notification is judged by its own time
    #[arg(long, value_name = "RFC3339", value_parser = crate::moment::parse)]
    pub(crate) now: Option<i64>,

    #[command(flatten)]
    pub(crate) wire: Wire,

    #[command(flatten)]
    pub(crate) account: Account,
}

/// Say why a signature does not verify: both messages, byte by byte, and the likely cause
///
/// Takes a request that was refused, or an answer or a notification that does not verify, whole or in parts. Nothing is
/// sent. A public key or certificate is enough: it shows whose key made the signature, and with which algorithm; what was
/// signed is found among the messages that programs build by mistake. With a private key the right signature is shown too.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  wechatpay explain-signature --request failed.http --key apiclient_cert.pem
  wechatpay explain-signature --key apiclient_cert.pem --method POST \\
    --target '/v3/marketing/favor/stocks/98065001/start' --body body.json \\
    --authorization 'WECHATPAY2-SHA256-RSA2048 mchid=\"1900000001\",…'
  wechatpay explain-signature --reply answer.http --key pub_key.pem
  wechatpay explain-signature --reply answer.http          keys of the account: flags, environment, --config

The file of --request and --reply holds the message as HTTP writes it:
  POST /v3/marketing/favor/stocks/98065001/start HTTP/1.1
  Host: api.mch.weixin.qq.com
  Authorization: WECHATPAY2-SHA256-RSA2048 mchid=\"1900000001\",…
  Content-Length: 36               cuts off what an editor has put behind the body; may be left out

  {\"stock_creator_mchid\":\"1900000001\"}

Ends with 0 if the signature is right, with 4 if not. With --json it is one line: verifies, cause, also, says, do, expected,
received, first_difference {at, line, expected, received}, and right_signature where a private key is at hand.",
    group(clap::ArgGroup::new("message").required(true).multiple(true).args(["request", "reply", "method", "header"]))
)]
pub(crate) struct ExplainSignature {
    /// File of a whole request (`-` for stdin)
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath, conflicts_with_all = ["reply", "method", "body"])]
    pub(crate) request: Option<String>,

    /// File of a whole answer or notification (`-` for stdin)
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath, conflicts_with_all = ["method", "body", "authorization"])]
    pub(crate) reply: Option<String>,

    /// Method of the request, as it was sent
    #[arg(long, value_name = "METHOD", requires = "target")]
    pub(crate) method: Option<String>,

    /// Path and query of the request, byte for byte as they were sent
    #[arg(long, value_name = "PATH", requires = "method")]
    pub(crate) target: Option<String>,

    /// File of the body (`-` for stdin); without, there was none
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub(crate) body: Option<String>,

    /// The value of the header Authorization
    #[arg(long, value_name = "VALUE", requires = "method")]
    pub(crate) authorization: Option<String>,

    /// A header, `Wechatpay-Nonce: …` for example; give it again for further ones
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,

    /// Certificate, public key or private key of whoever is to have signed: the merchant for a request, WeChat Pay for an
    /// answer; give it again for further ones
    #[arg(long, allow_hyphen_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: Vec<PathBuf>,

    /// The time of day by which the timestamp is judged; without, it is not
    #[arg(long, value_name = "RFC3339", value_parser = crate::moment::parse)]
    pub(crate) now: Option<i64>,

    #[command(flatten)]
    pub(crate) account: Account,
}

/// Have a sandbox send an event, signed and sealed as a real one, and wait for the receiver's answer
///
/// The event is the first example of the documents, with the fields that are given. Nothing has happened: no coupon and
/// no stock changes. It is for the merchant whose keys the sandbox has, so that a receiver with those keys believes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay trigger COUPON.USE --to http://127.0.0.1:3000/notify
  wechatpay trigger COUPON.USE --to http://127.0.0.1:3000/notify stock_id=98065001 consume_information.consume_mchid=1900000001
  wechatpay trigger COUPON.SEND --to http://127.0.0.1:3000/notify --sandbox http://127.0.0.1:8080 attach_info=

`wechatpay ops --notifications` lists the events, `wechatpay describe COUPON.USE` their fields. A field inside an object
is written as in `wechatpay call`. Only addresses of this machine are contacted. An event that is not accepted is sent
again as often as WeChat Pay does, as long as the sandbox runs.

It ends with 0 if the receiver accepts the event, 1 if it refuses it, 3 if it does not answer.
With --json the event is a line: id, event_type, mchid, notify_url, payload, standing, next_attempt, attempts.")]
pub(crate) struct Trigger {
    /// Type of the event, such as COUPON.USE
    pub(crate) event: String,

    /// Where it goes
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) to: String,

    /// Fields of what the event says
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) fields: Vec<String>,

    /// The sandbox that sends it
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, env = "WECHATPAY_BASE_URL")]
    pub(crate) sandbox: Option<String>,

    /// Merchant or brand that it is for; the sandbox's first merchant, if none is named [env: WECHATPAY_MCHID, WECHATPAY_BRAND]
    #[arg(long, value_name = "MCHID")]
    pub(crate) mchid: Option<String>,

    /// Send it even if no event of WeChat Pay's looks like that
    #[arg(long)]
    pub(crate) unchecked: bool,
}

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay completions bash > ~/.local/share/bash-completion/completions/wechatpay
  wechatpay completions zsh > \"${fpath[1]}/_wechatpay\"
  wechatpay completions fish > ~/.config/fish/completions/wechatpay.fish")]
pub(crate) struct Completions {
    pub(crate) shell: Shell,
}

/// Write the manual pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wechatpay man ~/.local/share/man/man1 && man wechatpay-call")]
pub(crate) struct Man {
    /// Folder for them; made if it is not there
    pub(crate) dir: PathBuf,
}

/// How requests travel.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Wire {
    /// HTTP library that carries the requests
    #[arg(long, value_enum, default_value_t = Backend::Reqwest)]
    pub(crate) backend: Backend,
}

/// How often calls are tried.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Repeat {
    /// Try a failed call again, up to N attempts in all within a minute; only where that is safe and may help. Certificates
    /// that have to be downloaded first are asked for once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) retry: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Reqwest,
    Hyper,
}

/// Who calls, where, and whose answers are believed: flags win over the environment, and that over --config.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Account (a flag, else the environment, else --config)")]
pub(crate) struct Account {
    /// TOML file with the same names, such as mchid = "1900000001" or private_key = "apiclient_key.pem"
    #[arg(long, allow_hyphen_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Host to call, the official one by default [env: WECHATPAY_BASE_URL]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) base_url: Option<String>,

    /// Merchant id [env: WECHATPAY_MCHID]
    #[arg(long, value_name = "MCHID")]
    pub(crate) mchid: Option<String>,

    /// Brand that calls in its own name, in place of a merchant; certificate and keys are the brand's then
    /// [env: WECHATPAY_BRAND]
    #[arg(long, value_name = "BRAND_ID")]
    pub(crate) brand: Option<String>,

    /// Serial number of the merchant's API certificate [env: WECHATPAY_SERIAL_NO]
    #[arg(long, value_name = "HEX")]
    pub(crate) serial_no: Option<String>,

    /// Path of the merchant's private key, apiclient_key.pem [env: WECHATPAY_PRIVATE_KEY]
    #[arg(long, allow_hyphen_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) private_key: Option<String>,

    /// Id of WeChat Pay's public key [env: WECHATPAY_PUBLIC_KEY_ID]
    #[arg(long, value_name = "PUB_KEY_ID_…")]
    pub(crate) public_key_id: Option<String>,

    /// Path of WeChat Pay's public key, pub_key.pem [env: WECHATPAY_PUBLIC_KEY]
    #[arg(long, allow_hyphen_values = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) public_key: Option<String>,

    /// Paths of platform certificates, in place of the public key or beside it; several as in PATH. With neither, they are
    /// downloaded if WECHATPAY_APIV3_KEY is set [env: WECHATPAY_PLATFORM_CERT]
    #[arg(long, allow_hyphen_values = true, value_name = "FILES", value_hint = ValueHint::FilePath)]
    pub(crate) platform_cert: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RawMethod {
    #[value(name = "GET")]
    Get,
    #[value(name = "POST")]
    Post,
    #[value(name = "PUT")]
    Put,
    #[value(name = "PATCH")]
    Patch,
    #[value(name = "DELETE")]
    Delete,
}

impl From<RawMethod> for http::Method {
    fn from(method: RawMethod) -> Self {
        match method {
            RawMethod::Get => Self::GET,
            RawMethod::Post => Self::POST,
            RawMethod::Put => Self::PUT,
            RawMethod::Patch => Self::PATCH,
            RawMethod::Delete => Self::DELETE,
        }
    }
}
