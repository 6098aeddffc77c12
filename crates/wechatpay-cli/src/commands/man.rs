//! `wechatpay man`

use crate::args::{Args, Man};
use crate::output::{Failure, Result};
use clap::CommandFactory;

pub(crate) fn run(args: &Man) -> Result {
    let written =
        std::fs::create_dir_all(&args.dir).and_then(|()| clap_mangen::generate_to(Args::command(), &args.dir));
    written.map_err(|error| Failure::Local(format!("{} cannot be written: {error}", args.dir.display())))
}
