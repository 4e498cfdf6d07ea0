//! Fields of forms, with what was entered before and what is wrong with it.

use maud::{Markup, html};

use crate::{body::Fields, fault::Fault};

/// A form that is shown again when what was sent is refused.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form<'a> {
    /// What was entered.
    pub sent: Option<&'a Fields>,
    /// Why it was refused.
    pub fault: Option<&'a Fault>,
}

impl<'a> Form<'a> {
    /// With what was sent and why it was refused.
    pub fn again(sent: &'a Fields, fault: &'a Fault) -> Self {
        Self { sent: Some(sent), fault: Some(fault) }
    }

    /// What stands in a field: what was entered, or `at_first`.
    pub fn value<'b>(&self, name: &str, at_first: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.sent.map_or(at_first, |sent| sent.get(name).unwrap_or_default())
    }

    fn wrong(&self, name: &str) -> Option<&str> {
        self.fault?.errors.iter().find(|e| e.field == name).map(|e| e.message.as_str())
    }

    /// A field around `control`, which is given the attributes' values: id of the hint, and whether it is invalid.
    fn field(
        &self,
        name: &str,
        label: &str,
        hint: &str,
        control: impl FnOnce(Option<&str>, Option<&'static str>) -> Markup,
    ) -> Markup {
        let hint_id = format!("{name}-hint");
        let wrong = self.wrong(name);
        let described = (!hint.is_empty() || wrong.is_some()).then_some(hint_id.as_str());
        html! {
            div.field {
                label for=(name) { (label) }
                (control(described, wrong.map(|_| "true")))
                @if described.is_some() {
                    div id=(hint_id) {
                        @if let Some(wrong) = wrong { p.error { (super::layout::sentence(wrong)) } }
                        @if !hint.is_empty() { p.hint { (hint) } }
                    }
                }
            }
        }
    }

    /// One line.
    pub fn line(&self, name: &str, label: &str, at_first: &str, hint: &str) -> Markup {
        let value = self.value(name, at_first);
        self.field(name, label, hint, |described, invalid| html! {
            input id=(name) name=(name) type="text" value=(value) maxlength="2000" autocomplete="off" spellcheck="false" aria-describedby=[described] aria-invalid=[invalid];
        })
    }

    /// A line of another kind: `date`, `number`, `email`, `password`.
    pub fn of_kind(&self, kind: &str, name: &str, label: &str, at_first: &str, hint: &str) -> Markup {
        let value = if kind == "password" { "" } else { self.value(name, at_first) };
        let complete = if kind == "password" { "new-password" } else { "off" };
        self.field(name, label, hint, |described, invalid| html! {
            input id=(name) name=(name) type=(kind) value=(value) autocomplete=(complete) aria-describedby=[described] aria-invalid=[invalid];
        })
    }

    /// Several lines.
    pub fn lines(&self, name: &str, label: &str, at_first: &str, hint: &str, rows: u8) -> Markup {
        let value = self.value(name, at_first);
        // What stands there already may be changed, however long it is.
        let most = value.chars().count().max(10_000) * 2;
        self.field(name, label, hint, |described, invalid| html! {
            textarea id=(name) name=(name) rows=(rows) maxlength=(most) aria-describedby=[described] aria-invalid=[invalid] { "\n" (value) }
        })
    }

    /// One of several; each a value and what it is called.
    pub fn choice(&self, name: &str, label: &str, at_first: &str, choices: &[(String, String)], hint: &str) -> Markup {
        let value = self.value(name, at_first);
        self.field(name, label, hint, |described, invalid| {
            html! {
                select id=(name) name=(name) aria-describedby=[described] aria-invalid=[invalid] {
                    @for (one, called) in choices { option value=(one) selected[one == value] { (called) } }
                }
            }
        })
    }

    /// Yes or no.
    pub fn tick(&self, name: &str, label: &str, at_first: bool) -> Markup {
        let is_on = self.sent.map_or(at_first, |sent| sent.get(name).is_some());
        html! { label.check-box { input type="checkbox" name=(name) value="yes" checked[is_on]; (label) } }
    }
}

/// Words as choices that are called as they are.
pub(crate) fn choices(words: &[&str]) -> Vec<(String, String)> {
    words.iter().map(|w| ((*w).to_owned(), (*w).to_owned())).collect()
}
