//! What each kind of watcher is told, as fields of a form, and back from what was sent to its settings. What a form does not
//! show stays in the settings as it is.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::{
    form::Form,
    settings::{self, Entry, Field, Secret, field, find, put},
};
use crate::{body::Fields, fault::Result};

/// A kind of watcher, as it is offered.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What it watches, in a few words.
    pub title: &'static str,
    /// What becomes a task, and when.
    pub lead: &'static str,
    fields: &'static [Field],
    /// Fields that few need.
    more: &'static [Field],
    secrets: &'static [Secret],
    /// Whether it reads the disk of the machine that runs Steward: that takes an administrator.
    pub is_of_the_machine: bool,
}

const URL: Field = field("url", "Address", "Beginning with https://.", Entry::Line);
const HTTP: &[Secret] = &[
    Secret { name: "token", label: "Token", hint: "Sent as Authorization: Bearer …" },
    Secret { name: "user", label: "User", hint: "With a password, instead of a token." },
    Secret { name: "password", label: "Password", hint: "" },
];
const TIME_ZONE: Field =
    field("time_zone", "Time zone", "As in Europe/Berlin; UTC where nothing is said.", Entry::Line);

/// The kinds there are.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "folder",
        title: "A folder",
        lead: "Each file that arrives there becomes a task, once, with the file hung on it, encrypted. Files that are still being written are left alone until they stand still.",
        fields: &[
            field(
                "path",
                "Folder",
                "On the machine that runs Steward; ~ is the home of whoever it runs as. It may be made later.",
                Entry::Line,
            ),
            field("patterns", "Only names like", "As in *.pdf, *.docx; empty takes every name.", Entry::List),
        ],
        more: &[
            field("recursive", "Folders below it too", "", Entry::Tick),
            field("include_hidden", "Names that begin with a dot too", "", Entry::Tick),
            field(
                "duplicates",
                "The same content again",
                "",
                Entry::Choice(&[("", "is the same task"), ("each", "is another task")]),
            ),
        ],
        secrets: &[],
        is_of_the_machine: true,
    },
    Kind {
        name: "schedule",
        title: "A time of day, or a calendar",
        lead: "At each time a task is made; one that was missed while nothing ran is made late, once. Appointments of a calendar make theirs before they begin.",
        fields: &[
            field(
                "cron",
                "When",
                "As in 0 9 * * 1-5: minute, hour, day of the month, month, day of the week. Leave it empty for a calendar.",
                Entry::Line,
            ),
            field("title", "What the task is called", "For a time of day.", Entry::Line),
            field(
                "calendar",
                "Or a calendar",
                "The address of a calendar file (https: or webcal:), or its path on this machine.",
                Entry::Line,
            ),
            field("lead_min", "Minutes before an appointment", "", Entry::Number),
            TIME_ZONE,
        ],
        more: &[field("description", "What the task says", "For a time of day.", Entry::Lines)],
        secrets: HTTP,
        is_of_the_machine: false,
    },
    Kind {
        name: "webhook",
        title: "A call of another program",
        lead: "The other program calls an address of this desk and signs what it sends; each call becomes a task, once.",
        fields: &[
            field(
                "scheme",
                "Who signs, and how",
                "",
                Entry::Choice(&[
                    ("", "a program of one’s own (generic)"),
                    ("github", "GitHub"),
                    ("stripe", "Stripe"),
                    ("standard", "Standard Webhooks"),
                ]),
            ),
            field("title", "What the task is called", "May be left empty.", Entry::Line),
        ],
        more: &[
            field(
                "signature_header",
                "Header with the signature",
                "X-Signature-256 where nothing is said; for one’s own programs.",
                Entry::Line,
            ),
            field("timestamp_header", "Header with the time", "Where the time is signed too.", Entry::Line),
            field("tolerance_s", "Seconds a call may be old", "300 where nothing is said.", Entry::Number),
        ],
        secrets: &[Secret {
            name: "secret",
            label: "Secret",
            hint: "At least 16 signs. Left empty, one is made and shown once.",
        }],
        is_of_the_machine: false,
    },
    Kind {
        name: "feed",
        title: "A feed",
        lead: "Each new entry of an RSS, Atom or JSON feed becomes a task.",
        fields: &[
            URL,
            field(
                "backlog",
                "Entries that stand there already",
                "So many of the newest become tasks too.",
                Entry::Number,
            ),
        ],
        more: &[],
        secrets: HTTP,
        is_of_the_machine: false,
    },
    Kind {
        name: "imap",
        title: "A mailbox",
        lead: "Each mail that arrives becomes a task, with the mail and its files hung on it, encrypted. The mailbox is only read; nothing is marked as read.",
        fields: &[
            field("host", "Server", "As in imap.example.org.", Entry::Line),
            field("user", "User", "Often the whole address.", Entry::Line),
            field("mailbox", "Mailbox", "INBOX where nothing is said.", Entry::Line),
        ],
        more: &[
            field(
                "security",
                "Encryption",
                "",
                Entry::Choice(&[("", "TLS"), ("starttls", "STARTTLS"), ("none", "none")]),
            ),
            field("port", "Port", "993, or 143 without TLS from the beginning.", Entry::Number),
            field(
                "trusted_server",
                "Your mail server’s own name",
                "By which it signs Authentication-Results; without it nothing is said of what a sender is worth.",
                Entry::Line,
            ),
            field(
                "since",
                "Mail from this moment on",
                "As in 2026-01-31T00:00:00Z; from now on where nothing is said.",
                Entry::Line,
            ),
            field("max_bytes", "Bytes of a mail that is read whole", "", Entry::Number),
            field("ca_pem", "A certificate to trust besides the public ones", "", Entry::Lines),
        ],
        secrets: &[
            Secret {
                name: "password",
                label: "Password",
                hint: "Most providers want one made for this program alone.",
            },
            Secret { name: "access_token", label: "Or an access token", hint: "" },
            Secret { name: "refresh_token", label: "Or a refresh token", hint: "With what stands below." },
            Secret { name: "client_id", label: "Its client id", hint: "" },
            Secret { name: "client_secret", label: "Its client secret", hint: "" },
            Secret { name: "token_url", label: "Where tokens are renewed", hint: "" },
        ],
        is_of_the_machine: false,
    },
    Kind {
        name: "http",
        title: "A page or an interface",
        lead: "Each change of a part of it becomes a task, or each new element of a list.",
        fields: &[
            URL,
            field(
                "selector",
                "Which part, in a page",
                "A CSS selector, as in .price; empty takes the whole text.",
                Entry::Line,
            ),
            field("pointer", "Or which part, in JSON", "A pointer, as in /price/amount.", Entry::Line),
            field("each", "Each element of the list is one task", "", Entry::Tick),
            field("title", "What the task is called", "May be left empty.", Entry::Line),
        ],
        more: &[
            field("attribute", "This attribute instead of the text", "As in href; with a selector.", Entry::Line),
            field("id", "What makes an element the same", "A pointer within the element.", Entry::Line),
            field("backlog", "Elements that stand there already become tasks too", "", Entry::Tick),
            field("max_bytes", "Bytes that are read", "", Entry::Number),
        ],
        secrets: HTTP,
        is_of_the_machine: false,
    },
    Kind {
        name: "csv",
        title: "Bank statements",
        lead: "The new rows of each statement that is put into a folder become a task. Rows that an earlier one brought count no more, and amounts are exact.",
        fields: &[
            field("path", "Folder or file", "On the machine that runs Steward.", Entry::Line),
            field("per", "A task", "", Entry::Choice(&[("", "for each statement"), ("row", "for each row")])),
            field("format.columns.date", "Column of the day", "By its name, or its number from 1.", Entry::Line),
            field("format.columns.amount", "Column of the amount", "", Entry::Line),
            field("format.columns.payee", "Column of the other side", "", Entry::Line),
            field("format.columns.text", "Column of the purpose", "", Entry::Line),
            field("format.date_format", "How days are written", "As in %d.%m.%Y.", Entry::Line),
            field("format.decimal", "Sign before the cents", "", Entry::Choice(&[("", "."), (",", ",")])),
        ],
        more: &[
            field("format.columns.credit", "Column of money in, if it has its own", "", Entry::Line),
            field("format.columns.debit", "Column of money out, if it has its own", "", Entry::Line),
            field("format.columns.id", "Column of the bank’s own number of a row", "", Entry::Line),
            field("format.encoding", "Encoding", "As in windows-1252; UTF-8 where nothing is said.", Entry::Line),
            field("format.skip_lines", "Lines before the table", "", Entry::Number),
        ],
        secrets: &[],
        is_of_the_machine: true,
    },
    Kind {
        name: "vault",
        title: "A vault of notes",
        lead: "A Markdown folder, such as Obsidian’s: a note in Needs_Action becomes a task; what waits for you stands in Pending_Approval; moved unchanged into Approved or Rejected it is your word, if you say so below. What is done stands in Done, and Dashboard.md says how things are.",
        fields: &[
            field(
                "path",
                "Folder",
                "On the machine that runs Steward, and writable by no other program that the employee uses; ~ is the home of whoever Steward runs as.",
                Entry::Line,
            ),
            field(
                "decides",
                "A moved note is the word of",
                "Your own user name. Empty: the vault only shows, and decides nothing.",
                Entry::Line,
            ),
            field(
                "trusts",
                "Servers that can’t write there",
                "Names of programs among the employee’s servers of which you know it; where any other one runs, a moved note decides nothing.",
                Entry::List,
            ),
        ],
        more: &[],
        secrets: &[],
        is_of_the_machine: true,
    },
];

const PRIORITIES: &[(&str, &str)] = &[("", "medium"), ("low", "low"), ("high", "high"), ("critical", "critical")];

/// What all kinds are told besides who does the work.
const SHARED: &[Field] = &[
    field("priority", "Priority of the tasks", "", Entry::Choice(PRIORITIES)),
    field("silent_after_h", "Tell me after so many hours without anything", "Empty: never.", Entry::Number),
];
/// What is told where it looks by itself.
const EVERY: Field =
    field("every_s", "Seconds between two looks", "From 5 on; each kind has a sensible one.", Entry::Number);
/// What only an administrator says.
const PRIVATE: Field = field(
    "allow_private",
    "Hosts that may be reached although they are not public",
    "With commas between.",
    Entry::List,
);

/// A kind by its name.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}

impl Kind {
    /// What every kind of this sort is told, in the order of the form.
    fn all(&self, is_admin: bool) -> impl Iterator<Item = Field> {
        let every = (!matches!(self.name, "folder" | "webhook")).then_some(EVERY);
        let private = (is_admin && !self.is_of_the_machine && self.name != "webhook").then_some(PRIVATE);
        self.fields.iter().chain(self.more).chain(SHARED).copied().chain(every).chain(private)
    }

    /// What a form with these settings shows.
    pub fn as_read(&self, config: &Json, is_admin: bool) -> Vec<(&'static str, &'static str, String)> {
        self.all(is_admin).map(|field| field.as_read(config)).collect()
    }

    /// The fields with what stands in them.
    pub fn render(&self, form: Form<'_>, config: &Json, is_admin: bool) -> Markup {
        let shown = self.fields.len();
        let rest: Vec<Field> = self.all(is_admin).skip(shown).collect();
        let is_used = rest.iter().any(|f| find(config, f.name).is_some());
        html! {
            @for field in self.fields { (field.render(form, config)) }
            details open[is_used || form.fault.is_some()] {
                summary { "More about it" }
                div.pair { @for field in rest { (field.render(form, config)) } }
            }
        }
    }

    /// The settings, made of those that stood before and what was sent.
    pub fn read(&self, sent: &Fields, before: &Json, is_admin: bool) -> Result<Json> {
        let mut config = if before.is_object() { before.clone() } else { json!({}) };
        for field in self.all(is_admin) {
            put(&mut config, field.name, field.read(sent)?);
        }
        Ok(config)
    }

    /// The fields for credentials.
    pub fn render_secrets(&self, form: Form<'_>, is_sealed: bool) -> Markup {
        let hint = if is_sealed {
            "There are some, sealed; nobody can read them again. What is left empty here leaves them as they are."
        } else {
            "Sealed with the master key for this one watcher, and never shown again. Leave empty what is not needed."
        };
        settings::render_secrets(self.secrets, form, hint)
    }

    /// The credentials that were sent; none where nothing was entered.
    pub fn read_secrets(&self, sent: &Fields) -> Option<Json> {
        settings::read_secrets(self.secrets, sent)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{KINDS, kind};
    use crate::body::Fields;

    fn sent(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn what_is_sent_becomes_settings_of_their_types() {
        let csv = kind("csv").unwrap();
        let entered = sent(&[
            ("path", "~/bank"),
            ("format.columns.date", "Buchungstag"),
            ("format.columns.amount", "4"),
            ("format.skip_lines", "2"),
            ("every_s", "60"),
            ("priority", "high"),
        ]);
        let before = json!({"playbook": "b", "format": {"columns": {"payee": "Name"}, "delimiter": ";"}});
        assert_eq!(
            csv.read(&entered, &before, true).unwrap(),
            json!({"playbook": "b", "path": "~/bank", "priority": "high", "every_s": 60,
                "format": {"columns": {"date": "Buchungstag", "amount": "4"}, "skip_lines": 2, "delimiter": ";"}})
        );
        let folder = kind("folder").unwrap();
        let entered = sent(&[("path", "/in"), ("patterns", " *.pdf, ,*.txt "), ("recursive", "yes")]);
        assert_eq!(
            folder.read(&entered, &json!(null), true).unwrap(),
            json!({"path": "/in", "patterns": ["*.pdf", "*.txt"], "recursive": true})
        );
        assert!(folder.read(&sent(&[("silent_after_h", "soon")]), &json!({}), true).is_err());
        assert!(folder.read(&sent(&[("priority", "urgent")]), &json!({}), true).is_err());
    }

    #[test]
    fn who_is_no_administrator_neither_sets_nor_loses_private_hosts() {
        let feed = kind("feed").unwrap();
        let before = json!({"url": "https://a.example", "allow_private": ["b"]});
        let entered = sent(&[("url", "https://c.example"), ("allow_private", "d")]);
        assert_eq!(feed.read(&entered, &before, false).unwrap()["allow_private"], json!(["b"]));
        assert_eq!(feed.read(&entered, &before, true).unwrap()["allow_private"], json!(["d"]));
    }

    #[test]
    fn secrets_are_taken_and_never_shown() {
        for kind in KINDS {
            let entered = sent(&[("secret.password", "p4ss"), ("secret.secret", "p4ss"), ("secret.token", "p4ss")]);
            assert_eq!(kind.read_secrets(&entered).is_some(), !kind.secrets.is_empty(), "{}", kind.name);
            let fault = crate::fault::Fault::invalid("url", "wrong");
            let page = kind.render_secrets(super::Form::again(&entered, &fault), true).into_string();
            assert!(!page.contains("p4ss"), "{page}");
        }
    }
}
