//! How people want to be told: ways, priorities, quiet hours, digests. Pure functions over one's own settings.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Actor, Store, notifications::Notification, users, users::Contact};
use uuid::Uuid;

use crate::{Error, Result, briefing::Period};

/// The ways there are beside the web.
pub const WAYS: &[&str] = &["email", "push", "sms"];

/// One's own settings of being told, under `notifications` of a user's preferences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wishes {
    /// Whose hours these are (IANA name).
    pub time_zone: String,
    /// When not to be disturbed.
    pub quiet: Option<Quiet>,
    /// When what is not urgent comes together.
    pub digest_at: Option<Time>,
    /// Mail.
    pub email: Way,
    /// Pushes.
    pub push: Way,
    /// SMS.
    pub sms: Way,
    /// A briefing by itself; none where nobody wants one.
    pub briefing: Option<Briefings>,
}

/// When a briefing comes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Briefings {
    /// Each day, each Monday, or both.
    pub every: Every,
    /// At what time of one's own zone.
    #[serde(default = "seven")]
    pub at: Time,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// Each day, of the last one.
    Day,
    /// Each Monday, of the last week.
    Week,
    /// Each day of the last one, and each Monday of the last week as well.
    Both,
}

fn seven() -> Time {
    jiff::civil::time(7, 0, 0, 0)
}

/// Hours of quiet; from an evening to a morning too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// From.
    pub from: Time,
    /// To.
    pub to: Time,
    /// What is at least so urgent comes all the same.
    #[serde(default = "critical")]
    pub except: Priority,
}

fn critical() -> Priority {
    Priority::Critical
}

/// How one way is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Way {
    /// Whether; where nobody says, mail is used once it is set up, and the others once there is somewhere to send to.
    pub on: Option<bool>,
    /// An address, topic or number; of mail the account's own where it is left out.
    pub to: Option<String>,
    /// What is less urgent stays on the web; `normal` where nobody says, and `high` for SMS.
    pub min_priority: Option<Priority>,
    /// What is less urgent than this waits for the digest.
    pub digest_below: Option<Priority>,
}

/// How urgent something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// What was done.
    Low,
    /// What waits.
    #[default]
    Normal,
    /// What is wrong.
    High,
    /// What can't wait.
    Critical,
}

impl Priority {
    /// Of a notification; an unknown word is not urgent.
    pub fn of(word: &str) -> Self {
        match word {
            "low" => Self::Low,
            "high" => Self::High,
            "critical" | "urgent" => Self::Critical,
            _ => Self::Normal,
        }
    }
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            quiet: None,
            digest_at: None,
            email: Way::default(),
            push: Way::default(),
            sms: Way::default(),
            briefing: None,
        }
    }
}

/// A way by which a notification is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// `email`, `push` or `sms`.
    pub channel: &'static str,
    /// Not before.
    pub not_before: Option<Timestamp>,
}

impl Wishes {
    /// Of a user's preferences; what can't be read is told, and counts as not said.
    pub fn of(preferences: &Json) -> Self {
        match preferences.get("notifications") {
            None => Self::default(),
            Some(own) => serde_json::from_value(own.clone()).unwrap_or_else(|e| {
                tracing::warn!(error = %e, "a user's settings of being told can't be read; the usual ones count");
                Self::default()
            }),
        }
    }

    /// Reads settings strictly, as somebody sets them.
    pub fn parse(own: &Json) -> Result<Self> {
        let wishes: Self = serde_json::from_value(own.clone())
            .map_err(|e| Error::invalid("notifications", format!("the settings do not fit: {e}")))?;
        wishes.zone()?;
        let with_digest = [&wishes.email, &wishes.push, &wishes.sms].iter().any(|w| w.digest_below.is_some());
        if with_digest && wishes.digest_at.is_none() {
            return Err(Error::invalid("digest_at", "digest_below needs digest_at, such as \"08:00\""));
        }
        if let Some(number) = &wishes.sms.to
            && !number.starts_with('+')
        {
            return Err(Error::invalid(
                "sms",
                format!("{number:?} is no number of a telephone; write it as +491701234567"),
            ));
        }
        Ok(wishes)
    }

    /// The zone that days and hours are meant in.
    pub fn zone(&self) -> Result<TimeZone> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            Error::invalid(
                "time_zone",
                format!("there is no time zone {:?}; give one as in Europe/Berlin", self.time_zone),
            )
        })
    }

    /// The briefings that are due today, and the day; none before their time.
    pub fn briefings_due(&self, now: Timestamp) -> (Vec<Period>, Date) {
        let Some((wish, zone)) = self.briefing.as_ref().zip(self.zone().ok()) else { return (Vec::new(), Date::ZERO) };
        let local = now.to_zoned(zone);
        let is_monday = local.weekday() == jiff::civil::Weekday::Monday;
        let mut due = Vec::new();
        if local.time() >= wish.at {
            due.extend((wish.every != Every::Week).then_some(Period::Day));
            due.extend((wish.every != Every::Day && is_monday).then_some(Period::Week));
        }
        (due, local.date())
    }

    /// One way's settings.
    pub fn way(&self, channel: &str) -> Option<&Way> {
        match channel {
            "email" => Some(&self.email),
            "push" => Some(&self.push),
            "sms" => Some(&self.sms),
            _ => None,
        }
    }

    /// Where something is sent by a way; none where there is nowhere.
    pub fn target(&self, channel: &str, contact: &Contact) -> Option<String> {
        let way = self.way(channel)?;
        match (&way.to, channel) {
            (Some(to), _) => Some(to.clone()),
            (None, "email") => Some(contact.email.clone()),
            (None, _) => None,
        }
    }

    /// By which of the ways that are set up a notification goes, and when.
    ///
    /// A push goes to one's browsers too (`has_browser`), which need no setting up.
    pub fn plan(
        &self,
        (contact, has_browser): (&Contact, bool),
        set_up: &[String],
        told: &Notification,
        now: Timestamp,
    ) -> Vec<Planned> {
        if contact.status != "active" {
            return Vec::new();
        }
        let priority = Priority::of(&told.priority);
        WAYS.iter()
            .copied()
            .filter_map(|channel| {
                let reaches_browser = channel == "push" && has_browser;
                let is_set_up = set_up.iter().any(|s| s == channel) && self.target(channel, contact).is_some();
                let way = self.way(channel)?;
                let usual = if channel == "sms" { Priority::High } else { Priority::Normal };
                let is_on = way.on != Some(false)
                    && (is_set_up || reaches_browser)
                    && priority >= way.min_priority.unwrap_or(usual);
                is_on.then(|| Planned { channel, not_before: self.not_before(way, priority, now) })
            })
            .collect()
    }

    /// When something may go: at the digest, after the quiet hours, or at once.
    fn not_before(&self, way: &Way, priority: Priority, now: Timestamp) -> Option<Timestamp> {
        let zone = self.zone().ok()?;
        let local = now.to_zoned(zone);
        if let (Some(below), Some(at)) = (way.digest_below, self.digest_at)
            && priority < below
        {
            return next(&local, at);
        }
        let quiet = self.quiet.as_ref().filter(|q| priority < q.except)?;
        let time = local.time();
        let is_quiet = if quiet.from <= quiet.to {
            quiet.from <= time && time < quiet.to
        } else {
            time >= quiet.from || time < quiet.to
        };
        if is_quiet { next(&local, quiet.to) } else { None }
    }
}

/// The next time the clock shows this.
fn next(now: &jiff::Zoned, at: Time) -> Option<Timestamp> {
    let day = if now.time() < at { now.date() } else { now.date().tomorrow().ok()? };
    // A time that a clock change leaves out comes right after the gap.
    Some(day.to_datetime(at).to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

/// The id of the copy that goes by another way: always the same, so that planning twice makes one.
pub fn copy_id(of: Uuid, channel: &str) -> Uuid {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(of.as_bytes()).chain_update(channel).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The actor's own settings.
pub async fn wishes(store: &Store, actor: &Actor) -> Result<Wishes> {
    Ok(Wishes::of(&own(store, actor).await?.preferences))
}

/// Changes the actor's own settings, checked.
pub async fn set_wishes(store: &Store, actor: &Actor, wishes: &Json) -> Result<()> {
    let parsed = Wishes::parse(wishes)?;
    let contact = own(store, actor).await?;
    let mut preferences = if contact.preferences.is_object() { contact.preferences } else { json!({}) };
    preferences["notifications"] = json!(parsed);
    // Steward writes it: a user may not write users, and this is the actor's own row.
    users::set_preferences(&Actor::service(), store, contact.id, preferences).await?;
    Ok(())
}

async fn own(store: &Store, actor: &Actor) -> Result<Contact> {
    let refused = || store::Error::Refused { what: "users".to_owned() };
    let id = actor.user_id().ok_or_else(refused)?;
    if !users::allowed(actor, store, "sign_in").await? {
        return Err(refused().into());
    }
    Ok(users::contact(&Actor::service(), store, id).await?.ok_or_else(refused)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Contact {
        Contact {
            id: Uuid::nil(),
            username: "ada".into(),
            email: "ada@example.org".into(),
            status: "active".into(),
            preferences: json!({}),
        }
    }

    fn told(priority: &str) -> Notification {
        Notification {
            id: Uuid::nil(),
            user_id: None,
            title: "t".into(),
            message: None,
            r#type: "info".into(),
            priority: priority.into(),
            status: "unread".into(),
            data: None,
            read_at: None,
            sent_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            scheduled_for: None,
            channel: "web".into(),
        }
    }

    fn plan(wishes: &Json, priority: &str, now: &str) -> Vec<(String, Option<String>)> {
        let all: Vec<String> = WAYS.iter().map(|w| (*w).to_owned()).collect();
        let planned =
            Wishes::parse(wishes).unwrap().plan((&contact(), false), &all, &told(priority), now.parse().unwrap());
        planned.into_iter().map(|p| (p.channel.to_owned(), p.not_before.map(|t| t.to_string()))).collect()
    }

    fn at(channel: &str, time: Option<&str>) -> (String, Option<String>) {
        (channel.to_owned(), time.map(str::to_owned))
    }

    #[test]
    fn without_a_word_mail_tells_what_waits_and_nothing_else_goes() {
        assert_eq!(plan(&json!({}), "low", "2026-11-02T12:00:00Z"), []);
        assert_eq!(plan(&json!({}), "normal", "2026-11-02T12:00:00Z"), [at("email", None)]);
        assert_eq!(plan(&json!({ "email": { "on": false } }), "critical", "2026-11-02T12:00:00Z"), []);
        let all = json!({ "sms": { "to": "+491701234567" }, "push": { "to": "ada" } });
        assert_eq!(plan(&all, "normal", "2026-11-02T12:00:00Z"), [at("email", None), at("push", None)]);
        assert_eq!(plan(&all, "high", "2026-11-02T12:00:00Z").len(), 3, "an SMS is for what is wrong");
        let nothing = Wishes::default().plan((&contact(), false), &[], &told("high"), Timestamp::UNIX_EPOCH);
        assert!(nothing.is_empty(), "what is not set up is not used");
        let browser = Wishes::default().plan((&contact(), true), &[], &told("normal"), Timestamp::UNIX_EPOCH);
        assert_eq!(browser, [Planned { channel: "push", not_before: None }], "a browser needs no setting up");
        let away = Contact { status: "suspended".into(), ..contact() };
        assert!(
            Wishes::default()
                .plan((&away, true), &["email".to_owned()], &told("high"), Timestamp::UNIX_EPOCH)
                .is_empty()
        );
    }

    #[test]
    fn quiet_hours_pass_midnight_and_the_clock_change() {
        let wishes = json!({ "time_zone": "Europe/Berlin", "quiet": { "from": "22:00", "to": "07:00" } });
        assert_eq!(plan(&wishes, "high", "2026-11-02T20:59:00Z"), [at("email", None)]);
        assert_eq!(plan(&wishes, "high", "2026-11-02T21:00:00Z"), [at("email", Some("2026-11-03T06:00:00Z"))]);
        assert_eq!(plan(&wishes, "high", "2026-11-03T05:59:59Z"), [at("email", Some("2026-11-03T06:00:00Z"))]);
        assert_eq!(plan(&wishes, "high", "2026-11-03T06:00:00Z"), [at("email", None)]);
        assert_eq!(plan(&wishes, "critical", "2026-11-02T23:00:00Z"), [at("email", None)]);
        // Summer time begins that night: seven o'clock is 5:00 UTC.
        assert_eq!(plan(&wishes, "high", "2026-03-28T22:00:00Z"), [at("email", Some("2026-03-29T05:00:00Z"))]);
        let except = json!({ "quiet": { "from": "12:00", "to": "13:00", "except": "high" } });
        assert_eq!(plan(&except, "high", "2026-11-02T12:30:00Z"), [at("email", None)]);
        assert_eq!(plan(&except, "normal", "2026-11-02T12:30:00Z"), [at("email", Some("2026-11-02T13:00:00Z"))]);
    }

    #[test]
    fn what_can_wait_comes_together() {
        let wishes = json!({ "digest_at": "08:00", "email": { "min_priority": "low", "digest_below": "high" } });
        assert_eq!(plan(&wishes, "low", "2026-11-02T07:00:00Z"), [at("email", Some("2026-11-02T08:00:00Z"))]);
        assert_eq!(plan(&wishes, "normal", "2026-11-02T08:00:00Z"), [at("email", Some("2026-11-03T08:00:00Z"))]);
        assert_eq!(plan(&wishes, "high", "2026-11-02T08:00:00Z"), [at("email", None)]);
    }

    #[test]
    fn a_briefing_is_due_from_its_time_on() {
        let daily =
            Wishes::parse(&json!({ "time_zone": "Europe/Berlin", "briefing": { "every": "day", "at": "07:30" } }))
                .unwrap();
        let due = |wishes: &Wishes, now: &str| wishes.briefings_due(now.parse().unwrap());
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(due(&daily, "2026-11-02T06:29:59Z").0, []);
        assert_eq!(due(&daily, "2026-11-02T06:30:00Z"), (vec![Period::Day], day("2026-11-02")));
        assert_eq!(due(&daily, "2026-11-02T22:00:00Z").0, [Period::Day], "late is better than never");
        let weekly = Wishes::parse(&json!({ "briefing": { "every": "week" } })).unwrap();
        assert_eq!(due(&weekly, "2026-11-02T07:00:00Z"), (vec![Period::Week], day("2026-11-02")), "a Monday");
        assert_eq!(due(&weekly, "2026-11-03T07:00:00Z").0, []);
        let both = Wishes::parse(&json!({ "briefing": { "every": "both" } })).unwrap();
        assert_eq!(due(&both, "2026-11-02T07:00:00Z").0, [Period::Day, Period::Week]);
        assert_eq!(due(&both, "2026-11-03T07:00:00Z").0, [Period::Day]);
        assert_eq!(due(&both, "2026-11-02T06:00:00Z").0, []);
        assert_eq!(due(&Wishes::default(), "2026-11-02T12:00:00Z").0, []);
    }

    #[test]
    fn wishes_are_checked() {
        for (wishes, word) in [
            (json!({ "time_zone": "Mars/X" }), "no time zone"),
            (json!({ "email": { "digest_below": "high" } }), "digest_at"),
            (json!({ "colour": 1 }), "colour"),
            (json!({ "sms": { "to": "0170" } }), "telephone"),
            (json!({ "quiet": { "from": "25:00", "to": "07:00" } }), "do not fit"),
        ] {
            let said = Wishes::parse(&wishes).unwrap_err().to_string();
            assert!(said.contains(word), "{wishes}: {said}");
        }
        assert_eq!(copy_id(Uuid::nil(), "email"), copy_id(Uuid::nil(), "email"));
        assert_ne!(copy_id(Uuid::nil(), "email"), copy_id(Uuid::nil(), "sms"));
    }
}
