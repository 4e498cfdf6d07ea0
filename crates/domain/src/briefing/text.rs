//! A briefing in words.

use jiff::SignedDuration;

use super::{Briefing, Figure, Item, Period};

/// How a text shows where something stands.
#[derive(Debug, Clone, Copy)]
pub enum Links<'a> {
    /// Not at all.
    None,
    /// As Markdown, at this desk.
    Markdown(&'a str),
    /// As bare addresses, at this desk: for letters.
    Bare(&'a str),
}

impl Links<'_> {
    fn of(self, title: &str, link: &str) -> String {
        let title: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self {
            Self::None => title,
            Self::Markdown(desk) => format!("[{}]({desk}{link})", title.replace(['[', ']'], " ")),
            Self::Bare(desk) => format!("{title} {desk}{link}"),
        }
    }
}

impl Briefing {
    /// Every figure that counts rows, with its name, and whether the age of its rows says something.
    pub fn figures(&self) -> [(&'static str, &Figure, bool); 12] {
        [
            ("Waits for you to decide", &self.to_decide, true),
            ("Failed", &self.failed, false),
            ("Overdue", &self.overdue, false),
            ("Watchers that can't see", &self.failing_watchers, false),
            ("Done", &self.done, false),
            ("Cancelled", &self.cancelled, false),
            ("Open", &self.open, true),
            ("Expired undecided", &self.expired, false),
            ("Due soon", &self.due, false),
            ("Planned", &self.planned, false),
            ("Reminders", &self.reminders, false),
            ("Waits that end", &self.waits, false),
        ]
    }

    /// As a person reads it, in Markdown.
    pub fn text(&self, links: Links<'_>) -> String {
        let words = match self.period {
            Period::Day => "the last day",
            Period::Week => "the last week",
        };
        let mut out = vec![format!("# Briefing: {words}")];
        for (title, figure, has_age) in self.figures().into_iter().filter(|(_, figure, _)| figure.count > 0) {
            out.extend([
                String::new(),
                format!("## {}", links.of(&format!("{title}: {}", figure.count), &figure.link)),
            ]);
            out.extend(figure.items.iter().map(|item| self.line(item, links, has_age)));
            if figure.count > figure.items.len() {
                let more = format!("and {} more", figure.count - figure.items.len());
                out.push(format!("- {}", links.of(&more, &figure.link)));
            }
        }
        out.extend(self.costs(links));
        if self.is_cut {
            let words = "There was more than is counted here: these figures are of the first 1,000 rows of each kind.";
            out.extend([String::new(), words.to_owned()]);
        }
        out.join("\n") + "\n"
    }

    fn costs(&self, links: Links<'_>) -> Vec<String> {
        let seconds = |s: i64| length(SignedDuration::from_secs(s));
        let mut out = vec![
            String::new(),
            "## What it took".to_owned(),
            format!("- {}", links.of(&format!("the employee: {}", seconds(self.employee_s)), "/activity")),
        ];
        if self.people_min > 0 {
            let people = format!("people: {}", length(SignedDuration::from_mins(self.people_min)));
            out.push(format!("- {}", links.of(&people, &self.done.link)));
        }
        if self.money.turns > 0 {
            let money = &self.money;
            let words = format!(
                "models: {}, {} in {}",
                dollars(money.cost_microusd),
                counted(money.tokens, "token"),
                counted(money.turns, "question")
            );
            out.push(format!("- {}", links.of(&words, "/models")));
            for spent in &money.dearest {
                let task = links.of(&spent.task.title, &spent.task.link);
                let tokens = counted(spent.tokens, "token");
                out.push(format!("  - {}, {tokens}: {task}", dollars(spent.cost_microusd)));
            }
        }
        if let Some(within) = self.decided_within_s {
            let how = if self.decided == 1 { "" } else { "half of them " };
            let words = format!("{}, {how}within {}", counted(self.decided, "decision"), seconds(within));
            out.push(format!("- {}", links.of(&words, "/approvals?status=all")));
        }
        for b in &self.bottlenecks {
            let failed = if b.failed > 0 { format!(", {} failed", b.failed) } else { String::new() };
            let slowest = links.of(&format!("{}, in {}", seconds(b.slowest_s), b.slowest.title), &b.slowest.link);
            out.push(format!(
                "- {}: {} in {}{failed}; the slowest {slowest}",
                b.what,
                counted(b.calls, "call"),
                seconds(b.total_s)
            ));
        }
        out
    }

    fn line(&self, item: &Item, links: Links<'_>, has_age: bool) -> String {
        let age = if has_age { format!(" (for {})", length(self.to.duration_since(item.at))) } else { String::new() };
        match links {
            // An address stands at the end, where nothing is taken for a part of it.
            Links::Bare(_) => format!("- {}", links.of(&format!("{}{age}", item.title), &item.link)),
            _ => format!("- {}{age}", links.of(&item.title, &item.link)),
        }
    }
}

/// `1 decision`, `2 decisions`.
pub fn counted(count: impl std::fmt::Display, what: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Millionths of a dollar, to the hundredth of a cent.
pub fn dollars(microusd: i64) -> String {
    let hundredths = microusd.max(0).saturating_add(50) / 100;
    format!("$ {}.{:04}", hundredths / 10_000, hundredths % 10_000)
}

/// `3 d 4 h`, `2 h 5 min`, `40 s`.
pub fn length(length: SignedDuration) -> String {
    let s = length.as_secs().max(0);
    match (s / 86_400, s / 3600 % 24, s / 60 % 60) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}
