//! What to run: a server's command, arguments, environment and directory, and the environment it is given.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use http_client::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::Store;
use uuid::Uuid;

use crate::bearer::Granted;

/// Tells a server's process, and whatever it starts, from any other: see [`crate::reap_leftovers`].
pub(crate) const MARKER: &str = "STEWARD_SERVER_ID";

/// One MCP server as its owner configured it.
#[derive(Clone)]
pub struct ServerSpec {
    /// The row in `mcp_servers`.
    pub id: Uuid,
    /// Its name; unique.
    pub name: String,
    /// The program, looked up in `PATH`; a leading `~/` means the home directory. Or the address of a server elsewhere,
    /// which is spoken to over streamable HTTP. Or `builtin:` and the kind of a server that needs no program (see
    /// [`crate::builtin`]).
    pub command: String,
    /// Its arguments; a leading `~/` means the home directory.
    pub args: Vec<String>,
    /// Added to the environment it is given; for a server elsewhere the headers of each request. Values are secrets.
    pub environment: BTreeMap<String, SecretString>,
    /// Where it runs; the home directory when not set.
    pub directory: Option<PathBuf>,
    /// Where a built-in server makes tasks and reminders; none where it is only asked what it offers.
    pub store: Option<Store>,
    /// What a person let Steward do at a server elsewhere.
    pub granted: Option<Granted>,
}

impl fmt::Debug for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may carry secrets too, so only what names the server is shown.
        f.debug_struct("ServerSpec")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("command", &self.command)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl PartialEq for ServerSpec {
    fn eq(&self, other: &Self) -> bool {
        let values = |spec: &Self| -> Vec<(String, String)> {
            spec.environment.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
        };
        let authorized = |spec: &Self| spec.granted.as_ref().map(|granted| granted.authorized_at.clone());
        (self.id, &self.name, &self.command, &self.args, &self.directory, authorized(self))
            == (other.id, &other.name, &other.command, &other.args, &other.directory, authorized(other))
            && values(self) == values(other)
    }
}

impl ServerSpec {
    pub(crate) fn program(&self) -> PathBuf {
        expand_home(&self.command)
    }

    pub(crate) fn arguments(&self) -> Vec<OsString> {
        self.args.iter().map(|arg| expand_home(arg).into_os_string()).collect()
    }

    /// The folders that its owner named among its arguments, as `roots/list` answers them. Nothing else is a server told
    /// that it may look at; a server elsewhere is told of none.
    pub(crate) async fn roots(&self) -> Value {
        let mut roots = Vec::new();
        let mut after_flag = false;
        for arg in &self.args {
            // What follows a flag is a setting of the program's, such as where it is installed.
            let is_setting = std::mem::replace(&mut after_flag, arg.starts_with('-'));
            let path = expand_home(arg);
            if is_setting || !path.is_absolute() || !tokio::fs::metadata(&path).await.is_ok_and(|facts| facts.is_dir())
            {
                continue;
            }
            if let Ok(url) = Url::from_file_path(&path) {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                roots.push(json!({"uri": url.as_str(), "name": name}));
            }
        }
        Value::Array(roots)
    }

    pub(crate) fn working_directory(&self) -> Option<PathBuf> {
        match &self.directory {
            Some(directory) => Some(directory.to_str().map_or_else(|| directory.clone(), expand_home)),
            None => home().filter(|home| home.is_dir()),
        }
    }

    /// The whole environment of the child: the few things of ours a program needs, and what its owner gave it.
    /// Steward's own settings (the database's URL, keys) are never among them.
    pub(crate) fn child_environment(
        &self,
        ours: impl Iterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        let mut environment: BTreeMap<OsString, OsString> = ours.filter(|(name, _)| is_passed_on(name)).collect();
        for (name, value) in &self.environment {
            environment.insert(name.into(), value.expose_secret().into());
        }
        environment.insert(MARKER.into(), self.id.to_string().into());
        environment.into_iter().collect()
    }

    /// The values that must not appear in what is kept of the server's stderr. Very short ones are no secrets, and
    /// blanking them would only garble the lines.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        let mut secrets: Vec<SecretString> =
            self.environment.values().filter(|value| value.expose_secret().len() >= 6).cloned().collect();
        // Longest first, so that a secret that contains another is blanked whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        secrets
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    const EXACT: [&str; 17] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
    ];
    let Some(name) = name.to_str() else { return false };
    let upper = name.to_ascii_uppercase();
    // Proxies and npm's settings are read in either case; the others only as written.
    EXACT.contains(&name)
        || name.starts_with("LC_")
        || upper.starts_with("NPM_CONFIG_")
        || (upper.ends_with("_PROXY") && EXACT.contains(&upper.as_str()))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn expand_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        (None, Some(home)) if text == "~" => home,
        _ => Path::new(text).to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ServerSpec {
        ServerSpec {
            id: Uuid::nil(),
            name: "files".into(),
            command: "npx".into(),
            args: vec!["-y".into(), "~/steward".into(), "not~/this".into()],
            environment: BTreeMap::from([("TOKEN".to_owned(), SecretString::from("hunter2hunter2"))]),
            directory: None,
            store: None,
            granted: None,
        }
    }

    #[test]
    fn nothing_of_ours_but_the_allowed_reaches_the_child() {
        let ours = [
            "PATH",
            "HOME",
            "LC_ALL",
            "npm_config_registry",
            "https_proxy",
            "NO_PROXY",
            "DATABASE_URL",
            "STEWARD_MASTER_KEY_FILE",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_AUTH_SOCK",
            "MY_PROXY",
            "path",
        ];
        let ours = ours.iter().map(|name| (OsString::from(name), OsString::from("x")));
        let names: Vec<String> =
            spec().child_environment(ours).into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
        let expected = ["HOME", "LC_ALL", "NO_PROXY", "PATH", MARKER, "TOKEN", "https_proxy", "npm_config_registry"];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_home_directory_is_resolved_at_the_start_of_an_argument_only() {
        let home = std::env::var("HOME").unwrap();
        let expected = ["-y".into(), OsString::from(format!("{home}/steward")), "not~/this".into()];
        assert_eq!(spec().arguments(), expected);
    }

    #[tokio::test]
    async fn its_roots_are_the_folders_among_its_arguments_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let [folder, install] = ["my files", "install"].map(|name| dir.path().join(name));
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(&install).unwrap();
        std::fs::write(dir.path().join("index.js"), "").unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut spec = spec();
        spec.args = vec![
            "-y".into(),
            text(&dir.path().join("index.js")),
            "--prefix".into(),
            text(&install),
            text(&folder),
            "relative".into(),
            text(&dir.path().join("missing")),
        ];
        let expected = format!("file://{}/my%20files", dir.path().display());
        assert_eq!(spec.roots().await, json!([{"uri": expected, "name": "my files"}]));
    }

    #[test]
    fn its_debug_text_shows_no_value() {
        let text = format!("{:?}", spec());
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn another_secret_is_another_server() {
        let mut other = spec();
        assert!(spec() == other);
        other.environment.insert("TOKEN".into(), SecretString::from("changed"));
        assert!(spec() != other);
    }
}
