//! The configuration of the command. What is wrong is said with its place, and never with its value.
//!
//! The command is a program, so the module is taken in here, with the little that it needs of the others.

#![no_main]
#![allow(dead_code, reason = "the command uses more of it")]

#[path = "../../crates/wechatpay-cli/src/catalog.rs"]
mod catalog;
#[path = "../../crates/wechatpay-cli/src/config.rs"]
mod config;

mod args {
    use std::path::PathBuf;

    #[derive(Default)]
    pub(crate) struct Account {
        pub(crate) config: Option<PathBuf>,
        pub(crate) base_url: Option<String>,
        pub(crate) mchid: Option<String>,
        pub(crate) brand: Option<String>,
        pub(crate) serial_no: Option<String>,
        pub(crate) private_key: Option<String>,
        pub(crate) public_key_id: Option<String>,
        pub(crate) public_key: Option<String>,
        pub(crate) platform_cert: Option<String>,
    }
}

mod output {
    #[derive(Debug)]
    pub(crate) enum Failure {
        Usage(String),
        Config(Vec<String>),
        Local(String),
    }

    pub(crate) type Result<T> = std::result::Result<T, Failure>;
}

use libfuzzer_sys::fuzz_target;
use output::Failure;
use std::cell::OnceCell;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    FOLDER.with(|folder| {
        let path = folder.get_or_init(|| TempDir::new().expect("a folder")).path().join("config.toml");
        std::fs::write(&path, input).expect("written");
        let account = args::Account { config: Some(path), ..args::Account::default() };
        let secret = secret(input);
        let said = |failure: Failure| match failure {
            Failure::Config(problems) => {
                assert!(!problems.is_empty());
                let shown = problems.join("\n");
                assert!(secret.as_ref().is_none_or(|secret| !shown.contains(secret)), "{shown}");
            }
            other => panic!("{other:?}"),
        };
        match config::sender(&account) {
            Ok((base, caller)) => {
                assert!(caller.into_id().bytes().all(|byte| byte.is_ascii_digit()));
                let again = wechatpay_protocol::BaseUrl::parse(&base.to_string());
                assert_eq!(again.as_ref().ok(), Some(&base), "{again:?}");
            }
            Err(failure) => said(failure),
        }
        if let Err(failure) = config::Account::load(&account) {
            said(failure);
        }
        if let Err(failure) = config::Addressee::load(&account, 0) {
            said(failure);
        }
        if let Err(failure) = config::known(&account) {
            said(failure);
        }
    });
});

/// A value that must not be repeated: the APIv3 key, where it stands on a line of its own and is no common word.
fn secret(input: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(input).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("apiv3_key = \""))?;
    let secret: String = line.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    let elsewhere = text.matches(&secret).count() > 1;
    (secret.len() >= 12 && !elsewhere).then_some(secret)
}
