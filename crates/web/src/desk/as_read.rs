//! What stood in a form when it was opened. A form that changes a row carries it, so that what somebody else changed meanwhile
//! is not undone unseen: it is refused, and shown again with both.

use maud::{Markup, html};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::parts::{cut, say};
use crate::{body::Fields, fault::Fault};

/// Name of the form's field for it.
const READ: &str = "read";
/// Characters of a value that are shown.
const SHOWN: usize = 300;

/// The fields of a row as a form shows them: name, label and value; a box that is not ticked is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AsRead(pub Vec<(&'static str, &'static str, String)>);

/// What identifies a value, whatever a browser did to its ends of line.
fn mark(value: &str) -> String {
    let text = value.replace("\r\n", "\n");
    hex::encode(&Sha256::digest(text.trim())[..6])
}

fn marks(sent: &Fields) -> Vec<&str> {
    sent.get(READ).unwrap_or_default().split(' ').filter(|m| !m.is_empty()).collect()
}

impl AsRead {
    /// The hidden field. A form that is shown again keeps what it was opened with, until its sender has seen what changed.
    pub fn field(&self, sent: Option<&Fields>) -> Markup {
        let own = || self.0.iter().map(|(_, _, value)| mark(value)).collect::<Vec<_>>().join(" ");
        let marks = sent.and_then(|sent| sent.get(READ)).map_or_else(own, str::to_owned);
        html! { input type="hidden" name=(READ) value=(marks); }
    }

    /// Refuses what was sent from a form that showed something else than what stands now, which is `row`.
    pub fn check<T: Serialize>(&self, sent: &Fields, row: &T) -> domain::Result<()> {
        if self.changed(sent).next().is_some() { Err(domain::Error::changed(row)) } else { Ok(()) }
    }

    /// The fields that were changed since the form was opened, as they stand now.
    fn changed<'a>(&'a self, sent: &'a Fields) -> impl Iterator<Item = &'a (&'static str, &'static str, String)> {
        let marks = marks(sent);
        // What was sent without the marks is of no form of ours, and says what it means as it is.
        let is_ours = marks.len() == self.0.len();
        self.0
            .iter()
            .enumerate()
            .filter(move |(at, (_, _, value))| is_ours && marks[*at] != mark(value))
            .map(|(_, f)| f)
    }

    /// What was sent, with what its sender left alone as it stands now: the next time it is sent with that in mind.
    pub fn merged(&self, sent: &Fields) -> Fields {
        let marks = marks(sent);
        let mut merged = sent.clone();
        merged.0.retain(|(n, _)| n != READ);
        for (at, (name, _, value)) in self.0.iter().enumerate() {
            if marks.get(at).is_some_and(|m| *m == mark(sent.get(name).unwrap_or_default())) {
                merged.0.retain(|(n, _)| n != name);
                if !value.is_empty() {
                    merged.0.push(((*name).to_owned(), value.clone()));
                }
            }
        }
        merged
    }

    /// What somebody else changed meanwhile; nothing where the fault is another.
    pub fn notice(&self, sent: &Fields, fault: &Fault) -> Option<Markup> {
        let changed: Vec<_> = self.changed(sent).collect();
        (fault.code == "changed" && !changed.is_empty()).then(|| html! {
            div.notice.bad role="alert" {
                p { strong { "Somebody else changed this while you had it open; nothing of yours was kept yet." } }
                ul { @for (_, label, value) in changed { li { (label) ": now " @if value.is_empty() { span.soft { "nothing" } } @else { strong { (say(&cut(value, SHOWN))) } } } } }
                p { "What you left alone stands below as it is now, and what you entered is still there. Look through it, and keep it." }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(title: &str, text: &str, outside: &str) -> AsRead {
        AsRead(vec![
            ("title", "Title", title.to_owned()),
            ("text", "Text", text.to_owned()),
            ("outside", "Outside", outside.to_owned()),
        ])
    }

    fn sent(read: &AsRead, pairs: &[(&str, &str)]) -> Fields {
        let field = read.field(None).into_string();
        let marks = field.split("value=\"").nth(1).and_then(|v| v.split('"').next()).unwrap().to_owned();
        let mut all = vec![(READ.to_owned(), marks)];
        all.extend(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        Fields(all)
    }

    #[test]
    fn what_somebody_else_changed_is_neither_undone_nor_hidden() {
        let read = row("a", "one\ntwo", "yes");
        let mine = sent(&read, &[("title", "mine"), ("text", "one\r\ntwo"), ("outside", "yes")]);
        assert!(read.check(&mine, &()).is_ok());
        let now = row("a", "theirs", "");
        assert!(matches!(now.check(&mine, &()), Err(domain::Error::Changed { .. })));
        let merged = now.merged(&mine);
        assert_eq!(
            (merged.get("title"), merged.get("text"), merged.get("outside")),
            (Some("mine"), Some("theirs"), None)
        );
        assert!(
            merged.get(READ).is_none() && now.field(Some(&mine)).into_string() == read.field(None).into_string(),
            "until it was seen"
        );
        let fault = Fault::from(domain::Error::changed(&()));
        let said = now.notice(&mine, &fault).unwrap().into_string();
        assert!(said.contains("Text: now <strong><bdi>theirs") && said.contains("Outside") && !said.contains("Title"));
        assert!(now.notice(&mine, &Fault::invalid("title", "wrong")).is_none());
        assert!(now.check(&Fields(vec![("title".to_owned(), "x".to_owned())]), &()).is_ok(), "of no form of ours");
    }
}
