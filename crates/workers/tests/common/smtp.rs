//! A real SMTP server (aiosmtpd) on loopback with TLS and log-in, private to a test.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const SERVER: &str = r#"
import ssl, sys, time, os
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
folder, cert, key = sys.argv[1:4]
class Handler:
    count = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 ok"
    async def handle_DATA(self, server, session, envelope):
        if os.path.exists(folder + "/busy"):
            return "451 busy, come again"
        Handler.count += 1
        staged = "%s/.%d" % (folder, Handler.count)
        with open(staged, "wb") as f:
            f.write(("X-Rcpt: %s\r\n" % envelope.rcpt_tos[0]).encode() + envelope.content)
        os.rename(staged, "%s/mail-%d.eml" % (folder, Handler.count))
        return "250 taken"
def judge(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.login == b"steward" and data.password == b"app-password"
    return AuthResult(success=good, handled=False)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
class Server(Controller):
    def factory(self):
        return SMTP(self.handler, authenticator=judge, auth_required=True, tls_context=context, require_starttls=True, hostname="localhost")
server = Server(Handler(), hostname="127.0.0.1", port=int(sys.argv[4]))
server.start()
print("ready", flush=True)
sys.stdin.read()
server.stop()
"#;

/// The server; it ends with this.
pub struct Smtp {
    dir: TempDir,
    child: Child,
    pub port: u16,
    pub ca_pem: String,
}

impl Smtp {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(at("key.pem"))
            .arg("-out")
            .arg(at("cert.pem"))
            .output()
            .expect("openssl; run ./test, which installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER])
            .args([dir.path(), &at("cert.pem"), &at("key.pem")])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 with aiosmtpd; run ./test, which installs it");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let ca_pem = std::fs::read_to_string(at("cert.pem")).unwrap();
        Self { dir, child, port, ca_pem }
    }

    /// Whether it answers that it is busy.
    pub fn set_busy(&self, busy: bool) {
        let file = self.dir.path().join("busy");
        if busy { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    /// What it took, in order.
    pub fn mails(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "eml"))
            .collect();
        files.sort_by_key(|p| std::fs::metadata(p).unwrap().modified().unwrap());
        files.into_iter().map(|p| std::fs::read_to_string(p).unwrap()).collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::yield_now();
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
