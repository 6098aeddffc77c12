//! Sends the batches of a plan, each until it is known what became of it.

use crate::answer::reconcile;
use crate::endpoint::{Endpoint, Limits};
use crate::error::UploadError;
use crate::job::Job;
use crate::journal::{Journal, Outcome, Progress, Sign, State, Totals};
use crate::keeper::{Batch, Keeper, Outcomes, Told};
use crate::lists::Answer;
use crate::pace::Pace;
use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, Either, FutureExt, Shared, select};
use futures::lock::Mutex;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use wechatpay_protocol::model::ErrorCode;
use wechatpay_protocol::retry::{Attempt, Timer};
use wechatpay_protocol::{
    Call, Client, Error, Executed, Retry, RetryPolicy, Stamper, SystemStamper, Transport, TransportError,
    TransportErrorKind,
};

/// Batches that may fail one after the other before a run stops, once one of the upload has succeeded.
const PATIENCE: u32 = 3;
/// Pause before a stock is asked again whether it takes codes yet; it doubles up to the longest.
const CREATING_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_CREATING_PAUSE: Duration = Duration::from_secs(60);

/// How an upload goes about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Most calls at the same time. Default 16.
    pub concurrency: usize,
    /// Most calls in a second. Default: what the documents say, else no end to it until WeChat Pay answers 429.
    pub rate: Option<f64>,
    /// How often a call is tried again; refusals for coming too soon do not count. Default: ten attempts within ten
    /// minutes, half a second to half a minute apart. Where WeChat Pay asks for a pause that is as long as
    /// the deadline, or longer, no further call begins.
    pub policy: RetryPolicy,
    /// How long a stock that is being created is waited for. Default ten minutes.
    pub creating: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let mut policy = RetryPolicy::default();
        policy.attempts = 10;
        policy.pause = Duration::from_millis(500);
        policy.longest_pause = Duration::from_secs(30);
        policy.attempt_timeout = Duration::from_secs(30);
        policy.deadline = Duration::from_secs(600);
        Self { concurrency: 16, rate: None, policy, creating: Duration::from_secs(600) }
    }
}

/// What happens during an upload. None of it names a code.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A batch has been settled, for this run at least.
    Settled {
        /// Its index, from 0.
        batch: u64,
        /// Its request number.
        number: &'a str,
        /// Where it stands.
        state: State,
        /// Why, where it was not answered.
        error: Option<&'a Error>,
        /// What of the answer does not fit the request.
        differences: &'a [String],
        /// Where the upload stands.
        totals: Totals,
        /// Calls in a second that are allowed now, where there is a limit.
        rate: Option<f64>,
    },
    /// A call is going to be tried again.
    Retrying {
        /// The batch.
        batch: u64,
        /// What happened.
        error: &'a Error,
        /// How long it waits.
        pause: Duration,
    },
    /// All calls wait, because the stock is still being created.
    Creating {
        /// How long.
        pause: Duration,
    },
    /// All calls wait, because WeChat Pay asked for it.
    Held {
        /// How long.
        pause: Duration,
    },
}

/// How an upload ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// Every batch was answered.
    Complete,
    /// It was asked to stop; run the same again to go on.
    Interrupted,
    /// Batches are left that were refused, not sent, or whose outcome is unknown; this is the reason why no further one
    /// was sent, or else the last one.
    Stopped(Box<Error>),
    /// Answers came that name none of the codes of their batches, and no call failed otherwise; run the same again to send
    /// those batches again, under the same numbers.
    Unclear,
}

/// What came of a run of an upload.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// How the run ended; only [`Ended::Complete`] means that nothing is left to do.
    pub ended: Ended,
    /// Everything about each batch and code.
    pub journal: Journal,
}

/// Uploads codes over a client. The client's own retry must be off, or two layers multiply.
pub struct Uploader<T> {
    pub(crate) client: Client<T>,
    pub(crate) job: Job,
    pub(crate) options: Options,
    pub(crate) timer: Arc<dyn Timer>,
    stamper: Arc<dyn Stamper>,
}

impl<T> std::fmt::Debug for Uploader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploader").field("job", &self.job).field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: Transport> Uploader<T> {
    /// An uploader for the target of an endpoint. The timer is that of the async runtime.
    pub fn new(client: Client<T>, endpoint: Endpoint, target: Map<String, Value>, timer: impl Timer + 'static) -> Self {
        let job = Job::of(&client, endpoint, target);
        Self { client, job, options: Options::default(), timer: Arc::new(timer), stamper: Arc::new(SystemStamper) }
    }

    /// Goes about it another way: concurrency, rate, retries. Nothing of it changes the plan, so it may differ from run to
    /// run.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Takes time and chance from elsewhere.
    #[must_use]
    pub fn with_stamper(self, stamper: impl Stamper + 'static) -> Self {
        Self { stamper: Arc::new(stamper), ..self }
    }

    /// What is to be done; [`Job::open`] gives the journal for it.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Sends what the journal says is not answered yet. Once `stop` is ready no further call begins, and what is under
    /// way is waited for. A run that is dropped leaves a journal that can be taken up as well.
    ///
    /// # Errors
    /// The journal is of another job, or it or the input cannot be used any more; calls that the server refuses or loses are no errors here.
    pub async fn run(
        &self,
        journal: Journal,
        stop: impl Future<Output = ()> + Send,
        observe: impl Fn(&Event<'_>) + Send + Sync,
    ) -> Result<Finished, UploadError> {
        self.job.check(&journal)?;
        let limits = self.job.endpoint.limits().map_err(UploadError::Unsupported)?;
        let (sender, inbox) = std::sync::mpsc::channel();
        let (outbox, told) = mpsc::unbounded();
        let totals = journal.totals();
        let input = journal.header().input();
        let outcomes = Outcomes::default();
        let keeper = Keeper { journal, input, limits, inbox, outcomes: outcomes.clone(), outbox };
        let thread = std::thread::Builder::new().name("wechatpay-journal".to_owned());
        // It ends by itself when the sender is dropped, and says so.
        thread.spawn(move || keeper.run()).map_err(UploadError::Thread)?;

        let (halt, halted) = oneshot::channel();
        let halted = halted.map(drop).boxed().shared();
        let rate = self.options.rate.or_else(|| documented_rate(&self.job.endpoint));
        let pace = Pace::new(Arc::clone(&self.stamper), rate);
        let calls = Calls {
            uploader: self,
            limits,
            pace,
            turn: Mutex::new(()),
            halted,
            creating: Default::default(),
            observe: &observe,
        };
        let run = Run {
            calls: &calls,
            ask: sender,
            outcomes,
            halt: Some(halt),
            totals,
            queue: VecDeque::new(),
            asked: false,
            exhausted: false,
            confirmed: false,
            setbacks: 0,
            interrupted: false,
            last: None,
            failed: None,
        };
        run.drive(told, stop).await
    }
}

/// The rate that the documents allow a merchant.
fn documented_rate(endpoint: &Endpoint) -> Option<f64> {
    let rates = endpoint.spec.rate().iter().filter(|rate| rate.seconds() > 0);
    rates.map(|rate| f64::from(rate.calls()) / f64::from(rate.seconds())).reduce(f64::min)
}

/// One run: what is queued, what is under way, and when to stop.
struct Run<'a, T, F> {
    calls: &'a Calls<'a, T, F>,
    /// Asks for batches.
    ask: Sender<usize>,
    /// Takes what became of them.
    outcomes: Outcomes,
    /// Taken when no further call may begin.
    halt: Option<oneshot::Sender<()>>,
    totals: Totals,
    queue: VecDeque<Ready>,
    /// Whether batches have been asked for and not come yet.
    asked: bool,
    /// Whether there are no more.
    exhausted: bool,
    /// Whether a call of this run was answered with success: until then there is one at a time.
    confirmed: bool,
    /// Batches of this run that failed since one succeeded.
    setbacks: u32,
    interrupted: bool,
    last: Option<Error>,
    failed: Option<UploadError>,
}

impl<T: Transport, F: Fn(&Event<'_>) + Send + Sync> Run<'_, T, F> {
    async fn drive(
        mut self,
        mut told: mpsc::UnboundedReceiver<Told>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Finished, UploadError> {
        let mut stop = pin!(stop.fuse());
        let mut under_way = FuturesUnordered::new();
        loop {
            self.ask_for_more(under_way.len());
            while self.halt.is_some()
                && under_way.len() < self.width()
                && let Some(ready) = self.queue.pop_front()
            {
                under_way.push(self.calls.settle(ready));
            }
            let nothing_left = self.halt.is_none() || self.exhausted && self.queue.is_empty();
            if under_way.is_empty() && nothing_left && (!self.asked || self.failed.is_some()) {
                break;
            }
            futures::select_biased! {
                () = stop => {
                    self.interrupted = true;
                    self.halt = None;
                }
                settled = under_way.select_next_some() => self.settled(settled),
                news = told.next() => self.hear(news),
                complete => break,
            }
        }
        drop(under_way);
        for ready in std::mem::take(&mut self.queue) {
            self.put_back(ready.batch);
        }
        let Self { ask, totals, interrupted, last, failed, .. } = self;
        drop(ask);
        // A halted run waits for its last commit, too.
        let journal = loop {
            match told.next().await {
                Some(Told::Closed(journal)) => break Ok(*journal),
                Some(Told::Batches(_)) => {}
                Some(Told::Failed(error)) => break Err(error),
                None => break Err(UploadError::Thread(std::io::Error::other("the journal's thread ended"))),
            }
        };
        if let Some(error) = failed {
            return Err(error);
        }
        let ended = match last {
            _ if totals.complete() => Ended::Complete,
            _ if interrupted => Ended::Interrupted,
            Some(error) => Ended::Stopped(Box::new(error)),
            None => Ended::Unclear,
        };
        Ok(Finished { ended, journal: journal? })
    }

    /// Calls at the same time.
    fn width(&self) -> usize {
        if self.confirmed { self.calls.uploader.options.concurrency.max(1) } else { 1 }
    }

    fn ask_for_more(&mut self, under_way: usize) {
        let width = self.width();
        if self.asked || self.exhausted || self.halt.is_none() || self.queue.len() > width / 2 {
            return;
        }
        let wanted = if self.confirmed { 2 * width - self.queue.len() } else { 1usize.saturating_sub(under_way) };
        if wanted > 0 {
            self.asked = true;
            // A thread that has ended has said why.
            let _ = self.ask.send(wanted);
        }
    }

    fn hear(&mut self, news: Option<Told>) {
        match news {
            Some(Told::Batches(batches)) => {
                self.asked = false;
                self.exhausted |= batches.is_empty();
                batches.into_iter().for_each(|batch| self.queue_up(batch));
            }
            Some(Told::Failed(error)) => {
                self.failed = Some(error);
                self.halt = None;
            }
            // The thread lives as long as the sender.
            Some(Told::Closed(_)) | None => {
                let gone = || UploadError::Thread(std::io::Error::other("the journal's thread ended"));
                self.failed.get_or_insert_with(gone);
                self.halt = None;
            }
        }
    }

    /// Makes a batch ready to be sent, if any still is.
    fn queue_up(&mut self, batch: Batch) {
        if self.halt.is_none() {
            return self.put_back(batch);
        }
        match self.calls.prepare(&batch) {
            Ok(call) => self.queue.push_back(Ready { batch, call }),
            Err(error) => {
                self.put_back(batch);
                self.failed = Some(UploadError::Invalid(error));
                self.halt = None;
            }
        }
    }

    /// A batch that was marked and is not sent in this run.
    fn put_back(&self, batch: Batch) {
        self.outcomes.put(Outcome { batch: batch.index, progress: batch.before, notes: Vec::new() });
    }

    fn settled(&mut self, settled: Settled) {
        let Settled { batch, outcome, error, stopped, halts } = settled;
        let codes = u32::try_from(batch.codes.len()).unwrap_or(u32::MAX);
        self.totals.count(codes, &batch.before, Sign::Minus);
        self.totals.count(codes, &outcome.progress, Sign::Plus);
        (self.calls.observe)(&Event::Settled {
            batch: batch.index,
            number: &batch.number,
            state: outcome.progress.state,
            error: error.as_ref(),
            differences: &outcome.progress.differences,
            totals: self.totals,
            rate: self.calls.pace.rate(),
        });
        // What ends after the halt is not its reason.
        if self.halt.is_some() || self.last.is_none() {
            self.last = error.or(self.last.take());
        }
        if outcome.progress.state == State::Done {
            self.confirmed = true;
            self.setbacks = 0;
        } else if !stopped {
            self.setbacks += 1;
            if halts || self.setbacks >= if self.totals.batches_done > 0 { PATIENCE } else { 1 } {
                self.halt = None;
            }
        }
        self.outcomes.put(outcome);
    }
}

/// What all calls share.
struct Calls<'a, T, F> {
    uploader: &'a Uploader<T>,
    limits: Limits,
    pace: Pace,
    /// Held by the call that waits for its leave to begin.
    turn: Mutex<()>,
    /// Ready once no further call may begin.
    halted: Shared<BoxFuture<'static, ()>>,
    creating: std::sync::Mutex<Creating>,
    observe: &'a F,
}

/// The wait for a stock that is being created.
#[derive(Default)]
struct Creating {
    since: Option<Duration>,
    pause: Duration,
}

/// A batch and its call, which is laid out once, however often it is sent.
struct Ready {
    batch: Batch,
    call: Call,
}

/// What became of a batch.
struct Settled {
    batch: Batch,
    outcome: Outcome,
    error: Option<Error>,
    /// Whether it would have gone on, had nobody stopped it.
    stopped: bool,
    /// Whether the others shall not be sent either.
    halts: bool,
}

/// What to do after a call that failed.
enum Next {
    Again(Duration),
    GiveUp,
    /// The same holds for all other batches.
    Halt,
}

impl<T: Transport, F: Fn(&Event<'_>) + Send + Sync> Calls<'_, T, F> {
    /// Sends a batch until it is known what became of it, or there is no point in going on.
    async fn settle(&self, Ready { batch, call }: Ready) -> Settled {
        let mut progress = batch.before.clone();
        let (mut failures, mut since, mut last) = (0, None, None);
        loop {
            if !self.leave().await {
                return unsettled(batch, progress, last, true);
            }
            let began = self.now();
            let since = *since.get_or_insert(began);
            progress.attempts += 1;
            let error = match self.send(&call).await {
                Ok(answer) => {
                    self.pace.accepted();
                    *self.creating.lock().unwrap_or_else(PoisonError::into_inner) = Creating::default();
                    return self.answered(batch, progress, &answer);
                }
                Err(error) => error,
            };
            progress.maybe |= error.executed() != Executed::No;
            let next = self.next(&error, began, since, &mut failures);
            match next {
                Next::GiveUp => return unsettled(batch, progress, Some(error), false),
                Next::Halt => return Settled { halts: true, ..unsettled(batch, progress, Some(error), false) },
                Next::Again(pause) => {
                    (self.observe)(&Event::Retrying { batch: batch.index, error: &error, pause });
                    last = Some(error);
                    if !self.sleep(pause).await {
                        return unsettled(batch, progress, last, true);
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.uploader.stamper.monotonic()
    }

    fn prepare(&self, batch: &Batch) -> Result<Call, Error> {
        let Uploader { client, job, .. } = self.uploader;
        let mut request = job.target.clone();
        request.insert(job.endpoint.codes.to_owned(), batch.codes.iter().collect());
        request.insert(self.limits.number_field.to_owned(), batch.number.clone().into());
        client.prepare(job.endpoint.spec, Value::Object(request))
    }

    async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let Uploader { client, timer, options, .. } = self.uploader;
        let sent = pin!(client.send_call(call));
        match select(sent, timer.sleep(options.policy.attempt_timeout)).await {
            Either::Left((reply, _)) => reply.map(|reply| reply.value),
            Either::Right(_) => {
                let late = "the attempt took longer than an upload gives it";
                Err(TransportError::new(TransportErrorKind::Timeout, late).into())
            }
        }
    }

    /// Waits until a call may begin; `false` if none may any more.
    async fn leave(&self) -> bool {
        let _turn = self.turn.lock().await;
        loop {
            if self.halted.clone().now_or_never().is_some() {
                return false;
            }
            match self.pace.take() {
                Ok(()) => return true,
                Err(wait) => {
                    if !self.sleep(wait).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Waits; `false` if no further call may begin.
    async fn sleep(&self, time: Duration) -> bool {
        matches!(select(self.halted.clone(), self.uploader.timer.sleep(time)).await, Either::Right(_))
    }

    fn answered(&self, batch: Batch, progress: Progress, answer: &Answer) -> Settled {
        let reconciled = reconcile(&self.uploader.job.endpoint, answer, &batch.codes, progress.maybe);
        let progress = Progress { differences: reconciled.differences, ..progress };
        let outcome = if reconciled.tally.unclear as usize == batch.codes.len() {
            // As good as lost: the same number again may say what it did.
            let reason = Some("the answer names none of its codes".to_owned());
            let progress = Progress { state: State::Unknown, maybe: true, reason, ..progress };
            Outcome { batch: batch.index, progress, notes: Vec::new() }
        } else {
            let progress = Progress { state: State::Done, tally: reconciled.tally, reason: None, ..progress };
            Outcome { batch: batch.index, progress, notes: reconciled.notes }
        };
        Settled { batch, outcome, error: None, stopped: false, halts: false }
    }

    /// What to do after a call that failed: the protocol's decision, but for two waits that concern all calls.
    fn next(&self, error: &Error, began: Duration, since: Duration, failures: &mut u32) -> Next {
        let Options { policy, .. } = &self.uploader.options;
        let elapsed = self.now().saturating_sub(since);
        let too_soon = error.status() == Some(429);
        if let Error::Api(refusal) = error {
            if refusal.code == ErrorCode::StatementCreating {
                return self.creating();
            }
            if too_soon {
                self.pace.refused(began);
                if let Some(pause) = refusal.retry_after {
                    if pause >= policy.deadline {
                        return Next::Halt;
                    }
                    if self.pace.hold(pause) {
                        (self.observe)(&Event::Held { pause });
                    }
                }
            }
        }
        if !too_soon {
            *failures += 1;
            if error.status().is_some() {
                self.pace.accepted();
            }
        }
        let attempt = Attempt {
            number: (*failures).max(1),
            elapsed,
            jitter: self.uploader.stamper.jitter(),
            idempotency: self.uploader.job.endpoint.spec.idempotency(),
        };
        // A refusal for coming too soon is the pace's affair: it uses up time, and no attempt.
        let attempt = if too_soon { Attempt { number: 1, ..attempt } } else { attempt };
        policy.next(&attempt, error).map_or(Next::GiveUp, Next::Again)
    }

    /// A stock that is being created takes minutes, and there is no use in asking for each batch.
    fn creating(&self) -> Next {
        let now = self.now();
        let mut creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *creating.since.get_or_insert(now);
        creating.pause = (creating.pause * 2).clamp(CREATING_PAUSE, LONGEST_CREATING_PAUSE);
        let pause = creating.pause;
        drop(creating);
        if now.saturating_sub(since) + pause > self.uploader.options.creating {
            return Next::GiveUp;
        }
        (self.observe)(&Event::Creating { pause });
        self.pace.hold(pause);
        Next::Again(pause)
    }
}

/// A batch that was not answered.
fn unsettled(batch: Batch, progress: Progress, error: Option<Error>, stopped: bool) -> Settled {
    let refused =
        !stopped && matches!(&error, Some(Error::Api(_))) && error.as_ref().map(Error::retry) == Some(Retry::Never);
    let state = match progress.maybe {
        true => State::Unknown,
        false if refused => State::Refused,
        false => State::Planned,
    };
    let reason = error.as_ref().map(ToString::to_string).or_else(|| progress.reason.clone());
    let progress = Progress { state, reason, ..progress };
    let outcome = Outcome { batch: batch.index, progress, notes: Vec::new() };
    Settled { batch, outcome, error, stopped, halts: false }
}
