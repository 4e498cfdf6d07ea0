//! `steward completions` and `steward man`: what a shell completes, and the manual, both made from the commands themselves.

use std::{io::Write, path::PathBuf};

use clap::Command;

use crate::{Error, Result};

/// Shells that can be completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write a page a command into this folder (steward.1, steward-task.1 …), instead of the first one here
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Prints the script that completes commands and arguments.
pub(super) fn completions(mut command: Command, shell: Shell) -> Result<()> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "steward", &mut text);
    print(&text)
}

/// Prints the manual, or writes all its pages. Blocking.
pub(super) fn man(command: Command, args: Args) -> Result<()> {
    // What a command inherits belongs on its page too.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(folder) = args.into {
        let fail = |e| Error::file(format!("the manual can't be written into {}", folder.display()), e);
        std::fs::create_dir_all(&folder).map_err(fail)?;
        return clap_mangen::generate_to(command, &folder).map_err(fail);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(Error::Output)?;
    print(&text)
}

fn print(text: &[u8]) -> Result<()> {
    std::io::stdout().lock().write_all(text).map_err(Error::Output)
}
