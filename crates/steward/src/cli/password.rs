//! Where a password comes from: a file, a prompt without echo, or one line on stdin. Never the command line.

use std::{
    io::{BufRead, IsTerminal, Read},
    path::PathBuf,
};

use domain::passwords::MIN_CHARS;

use super::blocking;
use crate::{Error, Result};

/// The longest line that is read, in bytes.
const MAX_BYTES: u64 = 8192;

/// `--password-file`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Source {
    /// Read the password (15 characters or more) from this file's first line; without it from stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Source {
    /// The password; at a terminal it is asked for twice.
    pub(super) async fn read(self) -> Result<String> {
        blocking(move || match self.password_file {
            Some(file) => {
                let fail = |e| Error::file(format!("the password's file {} can't be read", file.display()), e);
                first_line(std::fs::File::open(&file).map_err(fail)?).map_err(fail)
            }
            None if std::io::stdin().is_terminal() => prompt(),
            None => {
                let line = first_line(std::io::stdin().lock()).map_err(|e| Error::file("the password can't be read from stdin", e))?;
                if line.is_empty() {
                    return Err(Error::refused("no password came on stdin; write one line to it, use --password-file, or run this at a terminal"));
                }
                Ok(line)
            }
        })
        .await
    }
}

/// The password of somebody who has one already, asked for once, where there is a terminal to ask at; none where there is none.
pub(super) async fn shown_again(prompt: String) -> Result<Option<String>> {
    blocking(move || {
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let asked = rpassword::prompt_password(prompt);
        asked.map(Some).map_err(|e| Error::file("the password can't be read from the terminal", e))
    })
    .await
}

fn first_line(from: impl Read) -> std::io::Result<String> {
    let mut line = String::new();
    std::io::BufReader::new(from.take(MAX_BYTES)).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn prompt() -> Result<String> {
    let ask = |what: &str| {
        rpassword::prompt_password(what).map_err(|e| Error::file("the password can't be read from the terminal", e))
    };
    let password = ask(&format!("Password ({MIN_CHARS} characters or more): "))?;
    if ask("The same once more: ")? == password {
        Ok(password)
    } else {
        Err(Error::refused("the two passwords are not the same; nothing was changed, so try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn only_the_first_line_counts() {
        assert_eq!(first_line("correct horse \r\nnext".as_bytes()).unwrap(), "correct horse ");
        assert_eq!(first_line("".as_bytes()).unwrap(), "");
    }
}
