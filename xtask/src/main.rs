//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::Cli;
use xtask::ui::Ui;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.color, cli.global.ci);
    match xtask::cmd::run(cli, &ui) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui.say(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
