//! Contenders that take turns.

use cpu_time::{ProcessTime, ThreadTime};
use std::time::Duration;

/// So many rounds; the medians count.
const ROUNDS: usize = 15;

/// Whose processor time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All threads: a client may sign in a thread of its own.
    Process,
    /// The client's: the server is in another thread.
    Thread,
}

/// One that does the work.
pub struct Contender {
    pub name: &'static str,
    /// Does it so many times.
    pub run: Box<dyn FnMut(usize)>,
}

/// One piece of work.
pub struct Race {
    pub name: &'static str,
    /// How often the work is done before the next has its turn.
    pub times: usize,
    pub of: Of,
    /// The first is the floor.
    pub contenders: Vec<Contender>,
}

/// What one contender needed.
#[derive(Debug, Clone)]
pub struct Lap {
    pub name: &'static str,
    /// Processor time for the work done once, in microseconds: the median.
    pub micros: f64,
    /// The median of its ratios to the floor of the same round.
    pub ratio: f64,
}

impl Race {
    /// Lets all of them do it, turn by turn.
    pub fn run(&mut self) -> Vec<Lap> {
        let Self { times, of, contenders, .. } = self;
        // Once to fill caches and open connections.
        contenders.iter_mut().for_each(|contender| (contender.run)(*times / 4 + 1));
        let rounds: Vec<Vec<f64>> = (0..ROUNDS)
            .map(|round| {
                let mut used = vec![0.0; contenders.len()];
                // Nobody is always the first.
                for nth in 0..contenders.len() {
                    let nth = (nth + round) % contenders.len();
                    used[nth] = spent(*of, || (contenders[nth].run)(*times)).as_secs_f64() * 1e6 / *times as f64;
                }
                used
            })
            .collect();
        let lap = |nth: usize| Lap {
            name: contenders[nth].name,
            micros: median(rounds.iter().map(|round| round[nth])),
            ratio: median(rounds.iter().map(|round| round[nth] / round[0])),
        };
        (0..contenders.len()).map(lap).collect()
    }
}

fn spent(of: Of, work: impl FnOnce()) -> Duration {
    match of {
        Of::Process => {
            let begin = ProcessTime::now();
            work();
            begin.elapsed()
        }
        Of::Thread => {
            let begin = ThreadTime::now();
            work();
            begin.elapsed()
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
