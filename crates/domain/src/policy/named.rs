//! Patterns over the names of servers and tools. A pattern that begins with `~` is about words: servers write the same name
//! as `send_mail`, `sendMail` or `Send-Mail`, and a rule about sending mail means all of them.

use crate::playbook::glob::Glob;

/// A pattern that was read.
#[derive(Debug, Clone)]
pub(super) struct Named {
    glob: Glob,
    by_words: bool,
}

impl Named {
    /// Reads a pattern; the reason of a refusal is for people.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let (by_words, pattern) = match pattern.strip_prefix('~') {
            Some("") => return Err("after `~` nothing is left".to_owned()),
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        Ok(Self { glob: Glob::new(pattern, by_words)?, by_words })
    }

    /// Whether the whole name fits.
    pub(super) fn fits(&self, name: &str) -> bool {
        // As it stands as well, so that by words nothing is missed that the plain pattern finds.
        self.glob.fits(name) || self.by_words && self.glob.fits(&words(name))
    }
}

/// A name's words in small letters with `_` between them: `createHTTPPayment` is `create_http_payment`.
fn words(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut words = String::with_capacity(name.len() + 8);
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.push('_');
            continue;
        }
        let before = at.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || b.is_numeric() || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if begins {
            words.push('_');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Named, words};

    #[test]
    fn a_name_is_its_words() {
        for (name, said) in [
            ("send_mail", "send_mail"),
            ("sendMail", "send_mail"),
            ("SendMail", "send_mail"),
            ("SEND-MAIL", "send_mail"),
            ("mail.send", "mail_send"),
            ("createHTTPPayment2", "create_http_payment2"),
            ("step2Pay", "step2_pay"),
            ("ÄndereÜberweisung", "ändere_überweisung"),
            ("", ""),
        ] {
            assert_eq!(words(name), said);
        }
    }

    #[test]
    fn only_the_sign_makes_a_pattern_one_of_words() {
        let by_words = Named::new("~{pay,pay_*}").unwrap();
        for name in ["pay", "Pay", "PAY", "payInvoice", "PayInvoice", "pay-invoice"] {
            assert!(by_words.fits(name), "{name}");
        }
        for name in ["payload", "repay", "Payload_get"] {
            assert!(!by_words.fits(name), "{name}");
        }
        assert!(!Named::new("{pay,pay_*}").unwrap().fits("payInvoice"));
        assert!(!Named::new("send_mail").unwrap().fits("Send_Mail"));
        assert!(Named::new("~").is_err());
    }
}
