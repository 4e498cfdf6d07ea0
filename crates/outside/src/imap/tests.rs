//! A server that announces a mail once, at a moment where nobody waits for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it stands")]

use std::time::Duration;

use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{Mailbox, Place, Secret, Security};
use crate::address::Reach;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the server says that there is a second mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announces {
    WithinFetch,
    AsIdleBegins,
    WhileIdle,
}

/// Serves one client: a mailbox with one mail, and with two from the announcement on.
async fn serve(stream: TcpStream, announces: Announces) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mails = 1;
    write.write_all(b"* OK ready\r\n").await.unwrap();
    let mut idle = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let (tag, command) = line.split_once(' ').unwrap_or(("", &line));
        let mut announce = |when: Announces| {
            if mails == 1 && announces == when {
                mails = 2;
                "* 2 EXISTS\r\n"
            } else {
                ""
            }
        };
        let answer = match command.split(' ').next().unwrap() {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n"),
            "EXAMINE" => format!(
                "* 1 EXISTS\r\n* 0 RECENT\r\n* FLAGS ()\r\n* OK [UIDVALIDITY 7] so\r\n* OK [UIDNEXT 2] so\r\n{tag} OK [READ-ONLY] done\r\n"
            ),
            "UID" if command.contains("SEARCH") => {
                let found = if mails == 1 { "1" } else { "1 2" };
                format!("* SEARCH {found}\r\n{tag} OK done\r\n")
            }
            "UID" => {
                let uid = command.split(' ').nth(2).unwrap().to_owned();
                let said = announce(Announces::WithinFetch);
                let what = if command.contains("BODY.PEEK") {
                    format!("* {uid} FETCH (UID {uid} BODY[] {{12}}\r\nSubject: {uid}\r\n)\r\n")
                } else {
                    format!("* {uid} FETCH (UID {uid} INTERNALDATE \"02-Nov-2026 10:00:00 +0000\" RFC822.SIZE 12)\r\n")
                };
                format!("{said}{what}{tag} OK done\r\n")
            }
            "IDLE" => {
                tag.clone_into(&mut idle);
                format!("{}+ idling\r\n{}", announce(Announces::AsIdleBegins), announce(Announces::WhileIdle))
            }
            "DONE" => format!("{idle} OK done\r\n"),
            _ => format!("{tag} OK done\r\n"),
        };
        write.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_mail_is_announced_once_and_never_missed() {
    for announces in [Announces::WithinFetch, Announces::AsIdleBegins, Announces::WhileIdle] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            security: Security::None,
            ca_pem: None,
            user: "ada".to_owned(),
            mailbox: "INBOX".to_owned(),
            max_bytes: 1 << 20,
        };
        let server = tokio::spawn(async move { serve(listener.accept().await.unwrap().0, announces).await });
        let reach = Reach::with(["127.0.0.1".to_owned()]);
        let mut mailbox = Mailbox::open(&place, &Secret::Password("p".into()), &reach).await.unwrap();
        let first = mailbox.look(None, Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(first.mails.iter().map(|m| m.uid).collect::<Vec<_>>(), [1], "{announces:?}");
        let waited = timeout(PATIENCE, mailbox.wait(Duration::from_secs(3600))).await;
        let (mut mailbox, heard) =
            waited.unwrap_or_else(|_| panic!("{announces:?}: it waits for what was said")).unwrap();
        assert!(heard, "{announces:?}");
        let second = mailbox.look(Some(first.cursor), Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(second.mails.iter().map(|m| m.uid).collect::<Vec<_>>(), [2], "{announces:?}");
        drop(mailbox);
        server.abort();
    }
}
