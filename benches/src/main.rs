//! `wechatpay-benches [FOLDER]`: all races and their figures, as a table on stdout; with a folder, the table as
//! `speed.md` and the chart as `speed.svg` there. Ends with 1 if a promise is not kept.

use std::path::Path;
use std::process::ExitCode;
use wechatpay_benches::report::{Result, chart, table};
use wechatpay_benches::{call, steps};

/// Work, contender, whom it is compared with, the most that the ratio may be.
const PROMISES: [(&str, &str, &str, f64); 7] = [
    ("whole call, 1 in flight", "wechatpay-hyper", "hyper-util by hand (floor)", 1.05),
    ("whole call, 32 in flight", "wechatpay-hyper", "hyper-util by hand (floor)", 1.05),
    ("whole call, 1 in flight", "wechatpay-reqwest", "reqwest by hand", 1.10),
    ("whole call, 32 in flight", "wechatpay-reqwest", "reqwest by hand", 1.10),
    ("encode and sign", "wechatpay", "wxpay-rs", 1.00),
    ("verify and decode", "wechatpay", "floor", 1.25),
    ("our own code in a call", "wechatpay without RSA and HTTP", "hyper-util by hand (floor)", 0.02),
];

fn main() -> ExitCode {
    let mut results = Vec::new();
    for mut race in steps::all().into_iter().chain(call::all()) {
        eprintln!("{} …", race.name);
        let laps = race.run();
        results.push(Result { name: race.name, laps });
    }
    let table = table(&results);
    print!("{table}");
    if let Some(folder) = std::env::args_os().nth(1) {
        let write = |name, text: &str| std::fs::write(Path::new(&folder).join(name), text).expect("a file");
        write("speed.md", &table);
        write("speed.svg", &chart(&results[..results.len() - 1]));
    }
    let mut kept = true;
    println!();
    for (work, who, whom, most) in PROMISES {
        let laps = &results.iter().find(|result| result.name == work).expect("it was run").laps;
        let ratio = |name| laps.iter().find(|lap| lap.name == name).expect("it took part").ratio;
        let ratio = ratio(who) / ratio(whom);
        let verdict = if ratio <= most { "kept" } else { "NOT KEPT" };
        kept &= ratio <= most;
        println!("{verdict:8} {ratio:.3} ≤ {most:.2}  {work}: {who} to {whom}");
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
