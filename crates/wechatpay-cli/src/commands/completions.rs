//! `wechatpay completions`

use crate::args::{Args, Completions};
use crate::output::{Result, wrote};
use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use std::io::Write;
use wechatpay_model::{EventSpec, FAMILIES, Spec, notifications, operations};

pub(crate) fn run(args: &Completions) -> Result {
    // The parser takes any text, so that its own words can say what is wrong with an id; a shell should know the ids.
    let ids = || PossibleValuesParser::new(operations().map(Spec::id).collect::<Vec<_>>());
    let events = notifications().map(EventSpec::event_type);
    let described = PossibleValuesParser::new(operations().map(Spec::id).chain(events).collect::<Vec<_>>());
    let families = PossibleValuesParser::new(FAMILIES.iter().map(|(family, _)| *family).collect::<Vec<_>>());
    let mut command = Args::command()
        .mut_subcommand("call", |command| command.mut_arg("id", |arg| arg.value_parser(ids())))
        .mut_subcommand("describe", |command| command.mut_arg("id", |arg| arg.value_parser(described)))
        .mut_subcommand("ops", |command| command.mut_arg("family", |arg| arg.value_parser(families)));
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "wechatpay", &mut script);
    wrote(std::io::stdout().write_all(&script))
}
