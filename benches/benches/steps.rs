//! Time of each step for each contender: `cargo bench --bench steps` in this folder.

use divan::Bencher;
use wechatpay_benches::{call, steps};

fn main() {
    divan::main();
}

/// Which of the races and who takes part in it.
fn places() -> impl Iterator<Item = String> {
    let races = steps::all().into_iter().chain(call::all());
    races
        .flat_map(|race| race.contenders.into_iter().map(move |contender| format!("{}: {}", race.name, contender.name)))
}

#[divan::bench(args = places())]
fn each(bencher: Bencher<'_, '_>, place: &str) {
    let mut races = steps::all().into_iter().chain(call::all());
    let contender = races.find_map(|race| {
        let name = race.name;
        race.contenders.into_iter().find(|contender| format!("{name}: {}", contender.name) == place)
    });
    let mut contender = contender.expect("it is one of them");
    bencher.bench_local(|| (contender.run)(1));
}
