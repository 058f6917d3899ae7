//! Parse, dispatch, exit: 0 done, 1 failed, 2 called wrongly (by clap).

use std::process::ExitCode;

use compline::{cli::Cli, problem};

fn main() -> ExitCode {
    match Cli::of_process().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if problem::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", problem::line(&error));
            ExitCode::FAILURE
        }
    }
}
