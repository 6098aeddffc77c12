//! The command `wechatpay`: calls the WeChat Pay v3 coupon APIs, looks operations up, and runs a local sandbox.

mod args;
mod capture;
mod catalog;
mod commands;
mod config;
mod input;
mod moment;
mod output;
mod rejection;
mod wire;

use args::{Args, Command};
use clap::Parser;
use clap::error::ErrorKind;
use output::{Exit, Failure, Output};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    let output = Output { json: args.json };
    match run(args.command, &output) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => output.failure(&failure),
    }
}

fn run(command: Command, output: &Output) -> output::Result {
    match command {
        Command::Demo(args) => commands::demo::run(&args, output),
        Command::Sandbox(args) => commands::sandbox::run(&args, output),
        Command::Ops(args) => commands::ops::run(&args, output),
        Command::Describe(args) => commands::describe::run(&args, output),
        Command::Call(args) => commands::call::run(&args, output),
        Command::Raw(args) => commands::raw::run(&args, output),
        Command::Codes(args) => commands::codes::run(&args, output),
        Command::Certs(args) => commands::certs::run(&args, output),
        Command::Notify(args) => commands::notify::run(&args, output),
        Command::ExplainSignature(args) => commands::explain::run(&args, output),
        Command::Trigger(args) => commands::trigger::run(&args, output),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
    }
}

/// Help and version are results; anything else that the parser has to say is a mistake on the command line.
fn not_understood(error: &clap::Error) -> ExitCode {
    let output = Output { json: std::env::args_os().any(|arg| arg == "--json") };
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match output::wrote(error.print()) {
            Ok(()) => Exit::Done.into(),
            Err(failure) => output.failure(&failure),
        };
    }
    if !output.json {
        // The exit code stands, whether or not the words got through.
        drop(error.print());
        return Exit::Usage.into();
    }
    let message = error.render().to_string();
    let message = message.trim().trim_start_matches("error: ").to_owned();
    output.failure(&Failure::Usage(message))
}
