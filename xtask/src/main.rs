//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::Cli;
use xtask::failure::Failure;
use xtask::ui::Ui;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.color, cli.global.ci);
    let result = xtask::cmd::run(cli, &ui);
    let result = xtask::timings::write().map_err(Failure::ledger).and(result);
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui.say(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
