//! `wechatpay demo`: plays a story, kept as data, against a sandbox in this process.

mod story;

use crate::args::{Backend, Demo};
use crate::output::{BAD, DIM, Failure, GOOD, Operation, Output, Result, STRONG, error_json};
use crate::wire::{self, Wire};
use serde_json::{Map, Value};
use std::time::{Duration, Instant};
use story::{Expectation, Names, Request, Step, Story};
use tokio::runtime::Builder;
use wechatpay_protocol::crypto::aws_lc;
use wechatpay_protocol::{BaseUrl, BlockingClient, Client, Error, Merchant, Reply, Trust};
use wechatpay_reqwest::reqwest::blocking::ClientBuilder;
use wechatpay_reqwest::{BlockingReqwest, CONNECT_TIMEOUT, TIMEOUT};
use wechatpay_sandbox::{Credentials, Sandbox};

pub(crate) fn run(args: &Demo, output: &Output) -> Result {
    let story = Story::read()?;
    let runtime = wire::runtime(Builder::new_multi_thread())?;
    let sandbox = runtime.block_on(Sandbox::start()).map_err(|error| Failure::Local(error.to_string()))?;
    let stage = Stage::new(&sandbox.base_url(), sandbox.merchant(), args.wire.backend)?;
    let played = runtime.block_on(async {
        tokio::select! {
            signal = wire::signal() => Err(Failure::Interrupted {
                operation: Operation::named("the demo"),
                signal: signal?,
                under_way: false,
            }),
            played = stage.play(&story, output) => played,
        }
    });
    runtime.block_on(sandbox.shutdown());
    runtime.shutdown_background();
    played
}

fn local(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Local(format!("{what}: {error}"))
}

/// The clients of the story.
struct Stage {
    backend: Backend,
    client: Client<Wire>,
    account: Credentials,
    base: BaseUrl,
}

/// How one call ended.
struct Outcome {
    result: std::result::Result<Reply<Value>, Error>,
    took: Duration,
}

impl Stage {
    fn new(base_url: &str, account: Credentials, backend: Backend) -> Result<Self> {
        let base = BaseUrl::parse(base_url).map_err(Failure::Local)?;
        let (merchant, trust) = parties(&account)?;
        let client = Client::new(Wire::new(backend)?, merchant, trust).with_base_url(base.clone());
        Ok(Self { backend, client, account, base })
    }

    async fn play(&self, story: &Story, output: &Output) -> Result {
        if !output.json {
            let (base, mchid) = (&self.base, self.client.identity().id());
            output.line(format_args!(
                "A local WeChat Pay listens on {base}; merchant {mchid} calls it over {}.",
                self.library(false)
            ))?;
        }
        let mut surprises = Vec::new();
        let told = self.tell(story, output, &mut surprises).await;
        // A step that cannot be made may only lack what an earlier one should have brought.
        if !surprises.is_empty() {
            return Err(Failure::Local(format!("the demo did not go as it should:\n  {}", surprises.join("\n  "))));
        }
        told?;
        if !output.json {
            let count = story.steps.len();
            output
                .line(format_args!("\n{GOOD}{count} calls, each as it should be.{GOOD:#} Nothing is left behind."))?;
        }
        Ok(())
    }

    /// Makes the calls one after the other; notes each that does not end as it should.
    async fn tell(&self, story: &Story, output: &Output, surprises: &mut Vec<String>) -> Result {
        let mut names = Names::new(self.client.identity().id());
        let mut answers = Vec::new();
        for (index, step) in story.steps.iter().enumerate() {
            let number = index + 1;
            let request = Request::make(&step.call, &names)?;
            let operation = request.operation();
            let outcome = self.call(&request, step.blocking).await?;
            let surprise = surprise(step, &request, &outcome.result);
            surprises
                .extend(surprise.as_ref().map(|surprise| format!("step {number}, {}: {surprise}", operation.name)));
            if let Ok(reply) = &outcome.result {
                names.keep(&step.keep, &reply.value)?;
            }
            if output.json {
                output.value(&self.json(step, &operation, &outcome, surprise.is_none()))?;
            } else {
                self.show(number, step, &request, &outcome, &answers, output)?;
            }
            if let Ok(reply) = outcome.result {
                answers.push((number, reply.value));
            }
        }
        Ok(())
    }

    async fn call(&self, request: &Request, blocking: bool) -> Result<Outcome> {
        let begun = Instant::now();
        let result = if blocking {
            self.call_blocking(request.clone()).await?
        } else {
            match request.clone() {
                Request::Operation { spec, arguments, .. } => self.client.call(spec, arguments).await,
                Request::Path { method, path, body } => self.client.send_raw(method, &path, &[], body.as_ref()).await,
            }
        };
        Ok(Outcome { result, took: begun.elapsed() })
    }

    /// The same over the blocking client, on a thread that knows no runtime.
    async fn call_blocking(&self, request: Request) -> Result<std::result::Result<Reply<Value>, Error>> {
        let (merchant, trust) = parties(&self.account)?;
        let base = self.base.clone();
        let thread = std::thread::spawn(move || {
            let direct = ClientBuilder::new().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).no_proxy();
            let transport = BlockingReqwest::from_builder(direct)?;
            let client = BlockingClient::new(transport, merchant, trust).with_base_url(base);
            match request {
                Request::Operation { spec, arguments, .. } => client.call(spec, arguments),
                Request::Path { method, path, body } => client.send_raw(method, &path, &[], body.as_ref()),
            }
        });
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(result)) => Ok(result),
            _ => Err(Failure::Local("the thread of the blocking client ended early".to_owned())),
        }
    }

    fn library(&self, blocking: bool) -> &'static str {
        match (blocking, self.backend) {
            (true, _) => "blocking reqwest",
            (false, Backend::Reqwest) => "reqwest",
            (false, Backend::Hyper) => "hyper",
        }
    }

    fn json(&self, step: &Step, operation: &Operation, outcome: &Outcome, as_expected: bool) -> Value {
        let mut line = Map::new();
        let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
        put("operation", operation.name.clone().into());
        put("title", step.say.clone().into());
        put("by", step.call.by().into());
        put("client", if step.blocking { "blocking" } else { "async" }.into());
        put("backend", self.library(step.blocking).into());
        put("ms", milliseconds(outcome.took).into());
        put("as_expected", as_expected.into());
        match &outcome.result {
            Ok(reply) => {
                put("status", reply.status.into());
                put("verified", true.into());
                put("serial", reply.serial.clone().into());
                put("request_id", reply.request_id.clone().into());
                put("response", reply.value.clone());
            }
            Err(error) => {
                put("status", error.status().into());
                put("verified", authenticated(error).into());
                put("error", error_json(operation, error));
            }
        }
        Value::Object(line)
    }

    fn show(
        &self,
        number: usize,
        step: &Step,
        request: &Request,
        outcome: &Outcome,
        earlier: &[(usize, Value)],
        output: &Output,
    ) -> Result {
        output.line(format_args!("\n{STRONG}{number}. {}{STRONG:#}", step.say))?;
        let by = step.call.by();
        output.line(format_args!("   {} {DIM}· by {by}, {}{DIM:#}", request.line(), self.library(step.blocking)))?;
        for (pointer, value) in request.changed() {
            output.line(format_args!("   {DIM}with {pointer} = {value}{DIM:#}"))?;
        }
        let ms = milliseconds(outcome.took);
        match &outcome.result {
            Ok(reply) => {
                let (status, serial) = (reply.status, &reply.serial);
                output.line(format_args!("   {GOOD}{status}{GOOD:#} in {ms} ms, verified with {serial}"))?;
                match earlier.iter().find(|(_, value)| *value == reply.value) {
                    Some((same, _)) => output.line(format_args!("   the same answer as in {same}")),
                    None => output.line(format_args!("   {}", reply.value)),
                }
            }
            Err(Error::Invalid(invalid)) => {
                let count = invalid.violations.len();
                output.line(format_args!("   {BAD}not sent{BAD:#}, {count} mistakes:"))?;
                let widest = invalid.violations.iter().map(|violation| violation.pointer.len()).max().unwrap_or(0);
                invalid.violations.iter().try_for_each(|violation| {
                    output.line(format_args!("     {:widest$}  {}", violation.pointer, violation.message))
                })
            }
            Err(Error::Api(refusal)) => {
                let (status, code, message) = (refusal.status, &refusal.code, &refusal.message);
                let signed = if refusal.authenticated { "verified" } else { "not signed" };
                output.line(format_args!("   {BAD}{status} {code}{BAD:#} {message} in {ms} ms, {signed}"))?;
                refusal.documented.iter().try_for_each(|row| {
                    output.line(format_args!("   {} {GOOD}{}{GOOD:#}", row.meaning(), row.remedy()))
                })
            }
            Err(error) => output.line(format_args!("   {BAD}{error}{BAD:#}")),
        }
    }
}

fn parties(account: &Credentials) -> Result<(Merchant<aws_lc::Signer>, Trust)> {
    let key = |error| local("a key of the sandbox cannot be used", &error);
    let signer = aws_lc::Signer::from_pem(&account.private_key_pem).map_err(key)?;
    let verifying = aws_lc::VerifyingKey::from_public_key_pem(&account.public_key_pem).map_err(key)?;
    let merchant = Merchant::new(account.mchid.as_str(), account.serial_no.as_str(), signer);
    Ok((merchant, Trust::new().with_public_key(account.public_key_id.as_str(), verifying)))
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

fn authenticated(error: &Error) -> bool {
    matches!(error, Error::Api(refusal) if refusal.authenticated)
}

/// What is not as the story says, if anything.
fn surprise(step: &Step, request: &Request, result: &std::result::Result<Reply<Value>, Error>) -> Option<String> {
    let as_expected = match (&step.expect, result) {
        (Expectation::Answered, Ok(_)) => true,
        (Expectation::Invalid, Err(Error::Invalid(invalid))) => {
            let mut found: Vec<_> =
                invalid.violations.iter().map(|found| (found.pointer.as_str(), found.kind.as_str())).collect();
            let mut documented = request.violations();
            found.sort_unstable();
            documented.sort_unstable();
            found == documented
        }
        (Expectation::Refused { status, code }, Err(Error::Api(refusal))) => {
            refusal.status == *status && refusal.code.as_str() == code && refusal.authenticated
        }
        _ => false,
    };
    let found = || match result {
        Ok(reply) => format!("answered with {}", reply.status),
        Err(error) => error.to_string(),
    };
    (!as_expected).then(|| format!("expected {}, but {}", step.expect, found()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_first_is_what_is_told() {
        let runtime = wire::runtime(Builder::new_multi_thread()).unwrap();
        let sandbox = runtime.block_on(Sandbox::start()).unwrap();
        // Nobody answers, so that later steps lack what the first ones bring.
        let stage = Stage::new("http://127.0.0.1:0", sandbox.merchant(), Backend::Hyper).unwrap();
        let ended = runtime.block_on(stage.play(&Story::read().unwrap(), &Output { json: true }));
        let Err(Failure::Local(told)) = ended else { panic!("{ended:?}") };
        assert!(told.starts_with("the demo did not go as it should:\n  step "), "{told}");
    }
}
