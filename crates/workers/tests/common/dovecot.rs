//! A real Dovecot on loopback, private to a test.

use std::{
    fmt::Write,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The server with one user, `ada`, whose password is `app-password`; it ends with this.
pub struct Dovecot {
    dir: TempDir,
    child: Child,
    owner: u32,
    pub plain_port: u16,
    pub tls_port: u16,
    /// The certificate to trust.
    pub ca_pem: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn said(mut command: Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; run ./test, which installs it"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn id(args: &[&str]) -> String {
    let mut command = Command::new("id");
    command.args(args);
    said(command)
}

impl Dovecot {
    /// Starts it and waits until it answers. `introspection` is where access tokens are judged.
    pub fn start(introspection: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        // Its processes run as another user where this one is root.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        let root = id(&["-u"]) == "0";
        let (me, group) = (id(&["-un"]), id(&["-gn"]));
        let owner: u32 = if root { id(&["-u", "nobody"]) } else { id(&["-u"]) }.parse().unwrap();
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(path.join("key.pem"))
            .arg("-out")
            .arg(path.join("cert.pem"));
        said(openssl);
        std::fs::write(path.join("users"), "ada:{PLAIN}app-password\n").unwrap();
        std::fs::create_dir_all(path.join("mail")).unwrap();
        chown(path.join("mail"), Some(owner), None).unwrap();
        let (plain_port, tls_port) = (free_port(), free_port());
        let at = |name: &str| path.join(name).display().to_string();
        let mut conf = format!(
            "base_dir = {}\nstate_dir = {}\nlog_path = {}\nprotocols = imap\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{}\nssl_key = <{}\n\
             disable_plaintext_auth = no\nmail_location = maildir:{}/%u\nmailbox_idle_check_interval = 1 secs\n\
             auth_mechanisms = plain login xoauth2 oauthbearer\nfirst_valid_uid = 1\n\
             userdb {{\n driver = static\n args = uid={owner} gid={owner} home={}\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n port = {plain_port}\n }}\n inet_listener imaps {{\n port = {tls_port}\n ssl = yes\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\nservice stats {{\n chroot =\n}}\n",
            at("run"),
            at("state"),
            at("log"),
            at("cert.pem"),
            at("key.pem"),
            at("mail"),
            at("mail"),
        );
        if let Some(url) = introspection {
            std::fs::write(
                path.join("oauth2.conf"),
                format!("introspection_mode = auth\nintrospection_url = {url}\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"),
            )
            .unwrap();
            write!(
                conf,
                "passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {}\n}}\n",
                at("oauth2.conf")
            )
            .unwrap();
        }
        write!(conf, "passdb {{\n driver = passwd-file\n mechanisms = plain login\n args = {}\n}}\n", at("users"))
            .unwrap();
        if !root {
            write!(conf, "default_internal_user = {me}\ndefault_login_user = {me}\ndefault_internal_group = {group}\n")
                .unwrap();
        }
        std::fs::write(path.join("dovecot.conf"), conf).unwrap();
        let child = Command::new("/usr/sbin/dovecot")
            .args(["-F", "-c"])
            .arg(path.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("/usr/sbin/dovecot; run ./test, which installs it");
        let ca_pem = std::fs::read_to_string(path.join("cert.pem")).unwrap();
        let this = Self { dir, child, owner, plain_port, tls_port, ca_pem };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", tls_port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "Dovecot does not start: {}", this.log());
            std::thread::yield_now();
        }
        this
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn mail(&self) -> PathBuf {
        self.dir.path().join("mail/ada")
    }

    /// Puts a mail into the inbox, as a delivery does: written whole, then moved.
    pub fn deliver(&self, name: &str, mail: &str) {
        for part in ["", "tmp", "new", "cur"] {
            let folder = self.mail().join(part);
            std::fs::create_dir_all(&folder).unwrap();
            chown(&folder, Some(self.owner), None).unwrap();
        }
        let (tmp, new) = (self.mail().join("tmp").join(name), self.mail().join("new").join(name));
        std::fs::write(&tmp, mail.replace('\n', "\r\n")).unwrap();
        chown(&tmp, Some(self.owner), None).unwrap();
        std::fs::rename(tmp, new).unwrap();
    }

    /// Makes the mailbox anew with the same mails: their numbers mean nothing any more.
    pub fn renumber(&self) {
        for file in std::fs::read_dir(self.mail()).unwrap().map(|e| e.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("dovecot") && Path::new(&file).is_file() {
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    /// Changes the password.
    pub fn change_password(&self, password: &str) {
        std::fs::write(self.dir.path().join("users"), format!("ada:{{PLAIN}}{password}\n")).unwrap();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let stopped =
            Command::new("/usr/sbin/dovecot").arg("-c").arg(self.dir.path().join("dovecot.conf")).arg("stop").status();
        if !stopped.is_ok_and(|s| s.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
