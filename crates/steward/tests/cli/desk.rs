//! A person's machine: a home, a data folder, and the program.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

pub const PASSWORD: &str = "correct horse battery staple";

/// A machine of one's own, gone with the test.
pub struct Desk {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// A Steward that serves; it ends with this value.
pub struct Serving {
    child: Child,
    /// `http://127.0.0.1:…`
    pub address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the program answered.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// Nothing but a home.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir, env: Vec::new() }
    }

    /// Set up, with `ada` as the only admin.
    pub fn set_up() -> Self {
        let desk = Self::empty();
        desk.with_input(&["setup", "--username", "ada", "--email", "ada@example.org"], PASSWORD).done();
        desk
    }

    /// The same with another variable in the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it so that it is killed at the n-th of the places where power may fail.
    pub fn killed_at(&self, place: u32, args: &[&str]) -> Ran {
        self.with_env(&[("STEWARD_TEST_KILL_AT", &place.to_string())], args, "")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Serves the web of this machine.
    pub fn serve(&self) -> Serving {
        let mut child = Command::new(env!("CARGO_BIN_EXE_steward"))
            .args(["serve", "--only", "web"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("STEWARD_DATA_DIR", self.data())
            .env("STEWARD_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = said.find_map(|line| {
            let line = line.unwrap();
            line.split_whitespace().find(|word| word.starts_with("http://")).map(|a| a.trim_end_matches('/').to_owned())
        });
        // What it says later is of no interest, but must find a reader.
        std::thread::spawn(move || said.for_each(drop));
        Serving { child, address: address.expect("it says where it is") }
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.with_input(args, "")
    }

    pub fn with_input(&self, args: &[&str], input: &str) -> Ran {
        self.with_env(&[], args, input)
    }

    /// Runs it at a terminal of its own, where this line is typed. What stands on stderr comes with the rest.
    pub fn at_a_terminal(&self, args: &[&str], typed: &str) -> Ran {
        let words = args.iter().map(|arg| format!("'{arg}'")).collect::<Vec<_>>().join(" ");
        let command = format!("stty cols 100 rows 40 && exec {} {words}", env!("CARGO_BIN_EXE_steward"));
        self.answer(
            Command::new("script").args(["--quiet", "--return", "--command", &command, "/dev/null"]),
            &[],
            typed,
        )
    }

    fn with_env(&self, env: &[(&str, &str)], args: &[&str], input: &str) -> Ran {
        self.answer(Command::new(env!("CARGO_BIN_EXE_steward")).args(args), env, input)
    }

    fn answer(&self, command: &mut Command, env: &[(&str, &str)], input: &str) -> Ran {
        let mut child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("STEWARD_DATA_DIR", self.data())
            // Nobody listens there, so that no other test's Steward is taken for ours.
            .env("STEWARD_LISTEN", "127.0.0.1:9")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .envs(env.iter().copied())
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that reads nothing may be gone before it is told.
        drop(writeln!(child.stdin.take().unwrap(), "{input}"));
        let output = child.wait_with_output().unwrap();
        Ran {
            // Killed, it has none.
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The answer of a command that is told `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.run(&[args, &["--json"]].concat()).done();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// The id of what a command made.
    pub fn made(&self, args: &[&str]) -> String {
        self.json(args)["id"].as_str().unwrap().to_owned()
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Ran {
    /// What stood on stdout, of a command that did what it was told.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The one line on stderr, of a command that was refused.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.code, 1, "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        self.err
    }
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
