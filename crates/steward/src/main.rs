//! Steward, a personal AI employee: the one program, in all its roles. `steward --help` is the manual.

mod cli;
mod config;
mod error;
mod hands;
mod kept;
mod known_passwords;
mod logging;
mod looker;
mod open_files;
mod output;
mod serve;
mod shared_disk;

use std::process::ExitCode;

pub use error::{Error, Result};

#[tokio::main]
async fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(said) => {
            // Help goes to stdout with 0, wrong usage to stderr with 2.
            drop(said.print());
            return ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(2));
        }
    };
    match cli::run(invocation).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            if code != ExitCode::SUCCESS {
                output::note(format!("steward: {}", error.line()));
            }
            code
        }
    }
}
