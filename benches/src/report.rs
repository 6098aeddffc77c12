//! The figures as a table and as a chart.

use crate::race::Lap;
use std::fmt::Write as _;

/// A finished race.
pub struct Result {
    pub name: &'static str,
    pub laps: Vec<Lap>,
}

/// A Markdown table of all of them.
pub fn table(results: &[Result]) -> String {
    let mut out = "| work | by | CPU µs | ratio to the floor |\n|---|---|---:|---:|\n".to_owned();
    for result in results {
        for (nth, lap) in result.laps.iter().enumerate() {
            let name = if nth == 0 { result.name } else { "" };
            let _ = writeln!(out, "| {name} | {} | {:.1} | {:.3} |", lap.name, lap.micros, lap.ratio);
        }
    }
    out
}

const WIDTH: f64 = 760.0;
const NAMES: f64 = 230.0;
const ROW: f64 = 22.0;

/// Bars of the ratios, as SVG.
pub fn chart(results: &[Result]) -> String {
    let rows: usize = results.iter().map(|result| result.laps.len() + 1).sum();
    let height = ROW * (rows as f64 + 1.0);
    let most = results.iter().flat_map(|result| &result.laps).map(|lap| lap.ratio).fold(1.0, f64::max);
    let scale = (WIDTH - NAMES - 70.0) / most;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Processor time as a ratio to the floor; shorter is better</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut y = ROW;
    for result in results {
        let _ = writeln!(out, "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{}</text>", result.name);
        y += ROW;
        for lap in &result.laps {
            let ours = lap.name.starts_with("wechatpay");
            let (fill, width) = (if ours { "#07c160" } else { "#b8c0c8" }, (lap.ratio * scale).max(1.0));
            let (top, end) = (y - 14.0, NAMES + width + 6.0);
            let _ = writeln!(
                out,
                "<text x=\"20\" y=\"{y}\">{}</text><rect x=\"{NAMES}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" \
                 fill=\"{fill}\"/><text x=\"{end:.1}\" y=\"{y}\">{:.2}</text>",
                lap.name, lap.ratio
            );
            y += ROW;
        }
    }
    out + "</svg>\n"
}
