//! The guide shows programs that run: its code is theirs, and what it says they print is what they print.
//!
//! The programs are the examples of this crate. `cargo test --workspace` builds them; where only this test is built,
//! `cargo build --workspace --examples` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use serde_json::json;
use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wechatpay_sandbox::{Credentials, Sandbox};

/// Programs that wait for notifications: what they print comes from [`notified`].
const SERVERS: [&str; 2] = ["notify_axum", "notify_hyper"];

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder with this ending: name without the ending, and text.
fn texts(path: &str, ending: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder(path)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == ending));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), read_to_string(&path).unwrap())).collect()
}

/// A chapter: the programs that it links, and its code blocks with their languages.
struct Chapter {
    programs: Vec<String>,
    blocks: Vec<(String, Vec<String>)>,
}

impl Chapter {
    fn read(text: &str) -> Self {
        let links = text.split("](../../tests/examples/").skip(1).filter_map(|rest| rest.split_once(".rs)"));
        let programs = links.map(|(name, _)| name.to_owned()).collect();
        let (mut blocks, mut open): (Vec<(String, Vec<String>)>, bool) = (Vec::new(), false);
        for line in text.lines() {
            match line.strip_prefix("```") {
                Some(language) if !open => blocks.push((language.to_owned(), Vec::new())),
                Some(_) => {}
                None if open => blocks.last_mut().unwrap().1.push(line.to_owned()),
                None => {}
            }
            open ^= line.starts_with("```");
        }
        Self { programs, blocks }
    }

    fn blocks(&self, language: &str) -> impl Iterator<Item = &Vec<String>> {
        self.blocks.iter().filter(move |(named, _)| named == language).map(|(_, lines)| lines)
    }
}

fn chapters() -> BTreeMap<String, Chapter> {
    texts("../docs/guide", "md").into_iter().map(|(name, text)| (name, Chapter::read(&text))).collect()
}

/// Whether the lines stand in the text one after the other, all moved to the right by the same white space.
fn shows(text: &str, wanted: &[String]) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(wanted.len().max(1)).any(|window| {
        let indent = window[0].len() - window[0].trim_start().len();
        window.iter().zip(wanted).all(|(line, wanted)| line.get(indent..).unwrap_or_default() == wanted)
    })
}

/// Whether a line is as expected, where `…` stands for anything.
fn like(line: &str, expected: &str) -> bool {
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        // What stands last has to stand at the end.
        rest = if part.is_empty() { "" } else { &rest[at + part.len()..] };
    }
    rest.is_empty()
}

/// The program, built from the source as it is now.
fn program(name: &str) -> Command {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples").join(name);
    let built = built.with_extension(std::env::consts::EXE_EXTENSION);
    let age = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let source = folder("examples").join(name).with_extension("rs");
    let remedy = "run `cargo build --workspace --examples` first";
    assert!(age(&built) >= age(&source), "{} is not built, or out of date: {remedy}", built.display());
    Command::new(built)
}

/// What a program prints.
fn printed(name: &str) -> Vec<String> {
    let output = program(name).output().expect("it starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// What a server prints when an event of the sandbox reaches it.
async fn notified(name: &str, sandbox: &Sandbox, keys: &Credentials) -> Vec<String> {
    let key = folder(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", std::process::id()));
    std::fs::write(&key, &keys.public_key_pem).unwrap();
    let mut server = program(name)
        .env("WECHATPAY_APIV3_KEY", &keys.apiv3_key)
        .env("WECHATPAY_PUBLIC_KEY_ID", &keys.public_key_id)
        .env("WECHATPAY_PUBLIC_KEY", &key)
        .env("WECHATPAY_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(|line| line.expect("UTF-8"));
    let listening = lines.next().expect("it listens");
    let address = listening.strip_prefix("listening on ").expect("an address");
    let wish = json!({
        "event": "COUPON.USE", "to": format!("http://{address}/notify"), "fields": {"stock_id": "98065001"}
    });
    let event = sandbox.trigger(&wish).await.expect("an event");
    server.kill().unwrap();
    server.wait().unwrap();
    std::fs::remove_file(key).unwrap();
    assert_eq!(event.attempts.len(), 1, "{event:?}");
    [listening].into_iter().chain(lines).collect()
}

#[test]
fn every_program_has_a_chapter_and_every_line_of_code_a_program() {
    let (chapters, programs) = (chapters(), texts("examples", "rs"));
    let mut shown = 0;
    for (name, chapter) in &chapters {
        let sources: Vec<_> = chapter.programs.iter().map(|program| programs.get(program).expect(program)).collect();
        for block in chapter.blocks("rust") {
            assert!(
                sources.iter().any(|source| shows(source, block)),
                "docs/guide/{name}.md shows code that is in none of {:?}:\n{}",
                chapter.programs,
                block.join("\n")
            );
            shown += 1;
        }
    }
    for program in programs.keys() {
        assert!(chapters.values().any(|chapter| chapter.programs.contains(program)), "no chapter is about {program}");
    }
    assert!(shown > 30, "{shown}");
    let index = &read_to_string(folder("../docs/guide/README.md")).unwrap();
    for name in chapters.keys().filter(|name| *name != "README") {
        assert!(index.contains(&format!("({name}.md)")), "the guide's README does not name {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_programs_print_is_what_the_guide_says() {
    let sandbox = Sandbox::start().await.expect("a sandbox");
    let keys = sandbox.merchant();
    let mut run = 0;
    for (name, chapter) in chapters() {
        let said: Vec<_> = chapter.blocks("text").flatten().collect();
        for program in &chapter.programs {
            let printed = match SERVERS.contains(&program.as_str()) {
                true => notified(program, &sandbox, &keys).await,
                false => printed(program),
            };
            let same = printed.len() == said.len() && printed.iter().zip(&said).all(|(line, said)| like(line, said));
            assert!(same, "docs/guide/{name}.md says\n{said:#?}\nand {program} prints\n{printed:#?}");
            run += 1;
        }
    }
    assert!(run >= 12, "{run}");
}

#[test]
fn the_comparisons_notice_a_difference() {
    let block = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(shows("a\n  b\n\n    c\nd", &block("b\n\n  c")));
    assert!(!shows("a\n  b\n\n    c\nd", &block("b\n\n c")));
    assert!(!shows("a", &block("a\nb")));
    assert!(like("listening on 1:2", "listening on …") && like("x: used", "…: used") && like("a", "a"));
    assert!(!like("a b", "a") && !like("a", "a b") && !like("x: used up", "…: used") && !like("b", "a…"));
}
