//! A mail, as a task needs it: who wrote what when, to which thread it belongs, its files, and what the receiving server
//! says of its sender.

use jiff::Timestamp;
use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::feed::plain;

/// Characters of a mail's text.
const TEXT_CHARS: usize = 20_000;
/// People named in one field.
const MOST_PEOPLE: usize = 100;
/// Files of one mail.
const MOST_FILES: usize = 50;
/// Characters of one header.
const HEADER_CHARS: usize = 998;

/// A mail.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// What makes it the same mail when it arrives again, or by another way.
    #[serde(skip)]
    pub key: String,
    /// Its own id.
    pub message_id: Option<String>,
    /// The id of the first mail of its thread, as far as it says.
    pub thread: Option<String>,
    /// The mail it answers.
    pub in_reply_to: Option<String>,
    /// Subject.
    pub subject: String,
    /// Who wrote it, as it says itself.
    pub from: Option<Person>,
    /// To whom.
    pub to: Vec<Person>,
    /// To whom else.
    pub cc: Vec<Person>,
    /// Where an answer is wanted.
    pub reply_to: Vec<Person>,
    /// When it was written, as it says itself.
    pub date: Option<Timestamp>,
    /// Its text, cut to 20,000 characters.
    pub text: String,
    /// The mailing list it came through.
    pub list: Option<String>,
    /// Whether a machine wrote it: answering such mail makes loops.
    pub automatic: bool,
    /// What the receiving server found out about the sender.
    pub authentication: Authentication,
    /// Names of its files.
    pub files: Vec<String>,
    /// The files.
    #[serde(skip)]
    pub attachments: Vec<File>,
}

/// Somebody's name and address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The name.
    pub name: Option<String>,
    /// The address, in lower case.
    pub address: String,
}

/// The `Authentication-Results` of the receiving server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Authentication {
    /// Who says so.
    pub server: Option<String>,
    /// Whether that is a server whose word was said to count; any sender can write such a header.
    pub trusted: bool,
    /// SPF: `pass`, `fail` …
    pub spf: Option<String>,
    /// DKIM.
    pub dkim: Option<String>,
    /// DMARC.
    pub dmarc: Option<String>,
}

/// A file of a mail.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name, as it says itself.
    pub name: String,
    /// Its type, as it says itself.
    pub mime_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads a mail. Whatever a sender writes is read as far as it goes; none only where there is nothing at all.
/// `trusted_server` is the name by which the receiving server signs its `Authentication-Results`.
pub fn parse(raw: &[u8], trusted_server: Option<&str>) -> Option<Mail> {
    let message = MessageParser::default().parse(raw)?;
    let text = body(&message);
    let from = people(message.from()).into_iter().next();
    let ids = |value: &HeaderValue<'_>| -> Vec<String> {
        let list = value.as_text_list().map(|l| l.iter().map(|t| clip(t)).collect());
        list.or_else(|| value.as_text().map(|t| vec![clip(t)])).unwrap_or_default()
    };
    let message_id = message.message_id().map(clip);
    let in_reply_to = ids(message.in_reply_to()).into_iter().next();
    let thread =
        ids(message.references()).into_iter().next().or_else(|| in_reply_to.clone()).or_else(|| message_id.clone());
    let date = message.date().and_then(|d| Timestamp::from_second(d.to_timestamp()).ok());
    let attachments: Vec<File> =
        message.attachments().take(MOST_FILES).enumerate().map(|(n, part)| file(n, part)).collect();
    let subject = message.subject().map(clip).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [
        message_id.as_deref().unwrap_or_default(),
        from.as_ref().map(|p| p.address.as_str()).unwrap_or_default(),
        &date.map(|d| d.to_string()).unwrap_or_default(),
        &subject,
        &text,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    let has = |name: &'static str| message.header_raw(name).map(|v| v.trim().to_lowercase());
    let automatic = has("Auto-Submitted").is_some_and(|v| v != "no")
        || has("Precedence").is_some_and(|v| matches!(v.as_str(), "bulk" | "junk" | "list" | "auto_reply"));
    Some(Mail {
        key: hex::encode(hash.finalize()),
        thread,
        in_reply_to,
        subject,
        to: people(message.to()),
        cc: people(message.cc()),
        reply_to: people(message.reply_to()),
        date,
        text,
        list: message.header_raw("List-Id").map(|v| clip(v.trim())),
        automatic,
        authentication: authentication(topmost(&message, "Authentication-Results"), trusted_server),
        files: attachments.iter().map(|f| f.name.clone()).collect(),
        attachments,
        from,
        message_id,
    })
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(HEADER_CHARS).collect()
}

fn body(message: &Message<'_>) -> String {
    let part = message.text_part(0).or_else(|| message.html_part(0));
    let text = match part.map(|p| &p.body) {
        Some(PartType::Text(text)) => text.replace("\r\n", "\n"),
        Some(PartType::Html(html)) => plain(html),
        _ => String::new(),
    };
    text.trim().chars().filter(|c| *c != '\0').take(TEXT_CHARS).collect()
}

fn people(address: Option<&Address<'_>>) -> Vec<Person> {
    let Some(address) = address else { return Vec::new() };
    address
        .iter()
        .filter_map(|a| {
            Some(Person {
                name: a.name().map(clip).filter(|n| !n.is_empty()),
                address: clip(a.address()?).to_lowercase(),
            })
        })
        .take(MOST_PEOPLE)
        .collect()
}

fn file(number: usize, part: &mail_parser::MessagePart<'_>) -> File {
    let bytes = match &part.body {
        PartType::Message(inner) => inner.raw_message().to_vec(),
        _ => part.contents().to_vec(),
    };
    let mime_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |t| format!("{}/{}", clip(t.ctype()), clip(t.subtype().unwrap_or("octet-stream"))),
    );
    let name = part.attachment_name().map(clip).filter(|n| !n.trim().is_empty());
    let name = name.unwrap_or_else(|| match &part.body {
        PartType::Message(_) => format!("message-{}.eml", number + 1),
        _ => format!("file-{}", number + 1),
    });
    File { name, mime_type, bytes }
}

/// The first header of a name, as it stands in the mail.
fn topmost<'a>(message: &'a Message<'_>, name: &str) -> Option<&'a str> {
    message.headers_raw().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The topmost header alone: a server puts its own above what came with the mail.
fn authentication(header: Option<&str>, trusted: Option<&str>) -> Authentication {
    let Some(header) = header else { return Authentication::default() };
    let mut parts = header.split(';').map(str::trim);
    let server = parts.next().and_then(|s| s.split_whitespace().next()).map(clip);
    let mut found = Authentication {
        trusted: trusted.is_some_and(|t| server.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(t))),
        server,
        ..Authentication::default()
    };
    for part in parts {
        let Some((method, rest)) = part.split_once('=') else { continue };
        let result: String =
            rest.trim().chars().take_while(char::is_ascii_alphanumeric).take(20).collect::<String>().to_lowercase();
        let place = match method.trim().to_lowercase().as_str() {
            "spf" => &mut found.spf,
            "dkim" => &mut found.dkim,
            "dmarc" => &mut found.dmarc,
            _ => continue,
        };
        // Of several signatures one that holds is enough.
        if place.as_deref() != Some("pass") {
            *place = Some(result);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "Authentication-Results: mx.example.org; spf=fail smtp.mailfrom=evil.test;\r\n dkim=fail header.d=a.test; dkim=pass header.d=b.test; dmarc=fail (p=NONE)\r\n\
        Authentication-Results: mx.forged.test; dmarc=pass\r\n\
        From: =?utf-8?Q?J=C3=BCrgen?= <Juergen@Example.org>\r\nTo: ada@example.org, Bob <bob@example.org>\r\n\
        Subject: =?iso-8859-1?Q?Rechnung_f=FCr_M=E4rz?=\r\nMessage-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\nIn-Reply-To: <2@x>\r\n\
        Date: Mon, 02 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Guten <b>Tag</b></p>\r\n\
        --b\r\nContent-Type: application/pdf; name=\"../../r.pdf\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"../../r.pdf\"\r\n\r\naGVsbG8=\r\n--b--\r\n";

    #[test]
    fn a_mail_is_read_whole() {
        let mail = parse(MAIL.as_bytes(), Some("MX.example.org")).unwrap();
        assert_eq!(mail.subject, "Rechnung für März");
        assert_eq!(
            mail.from,
            Some(Person { name: Some("Jürgen".to_owned()), address: "juergen@example.org".to_owned() })
        );
        assert_eq!(mail.to.len(), 2);
        assert_eq!((mail.thread.as_deref(), mail.in_reply_to.as_deref()), (Some("1@x"), Some("2@x")));
        assert_eq!(mail.text, "Guten Tag");
        assert_eq!(
            (mail.attachments[0].name.as_str(), mail.attachments[0].bytes.as_slice()),
            ("../../r.pdf", b"hello".as_slice())
        );
        assert_eq!(mail.date, Some("2026-11-02T09:00:00Z".parse().unwrap()));
    }

    #[test]
    fn only_the_receiving_server_s_word_counts() {
        let of = |trusted| parse(MAIL.as_bytes(), trusted).unwrap().authentication;
        let ours = of(Some("mx.example.org"));
        assert_eq!(
            (ours.trusted, ours.spf.as_deref(), ours.dkim.as_deref(), ours.dmarc.as_deref()),
            (true, Some("fail"), Some("pass"), Some("fail"))
        );
        assert!(!of(None).trusted && !of(Some("mx.forged.test")).trusted);
    }

    #[test]
    fn the_same_mail_by_another_way_has_the_same_key_and_a_forged_id_has_not() {
        let key = |raw: &str| parse(raw.as_bytes(), None).unwrap().key;
        let again = format!("Received: from x\r\nDelivered-To: list\r\n{MAIL}");
        assert_eq!(key(MAIL), key(&again));
        assert_ne!(
            key(MAIL),
            key(&MAIL.replace("Guten", "Schlechten")),
            "another text under the same id is another mail"
        );
    }

    #[test]
    fn broken_mail_is_read_as_far_as_it_goes() {
        for raw in [
            "Subject: x\n\n\0\u{1}body",
            "\r\n\r\n",
            "From: <<<\r\nTo: ;;;\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
            "x",
        ] {
            drop(parse(raw.as_bytes(), None));
        }
        assert_eq!(parse(b"Subject: a\0b\r\n\r\nt\0u", None).unwrap().text, "tu");
    }
}
