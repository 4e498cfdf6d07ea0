//! Times: a cron expression in its zone, or what a calendar file says.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use domain::playbook::sha256_hex;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use outside::{Trouble, address::Reach, calendar, http::Client};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Ask, Found, Item, Source, settings};

/// Later than this, a time was missed while nothing ran.
const MISSED: SignedDuration = SignedDuration::from_secs(60);
/// What began longer ago than this while nothing ran is told no more.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);
/// Bytes of a calendar.
const CALENDAR_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// When, as a cron expression of five fields.
    cron: Option<String>,
    /// A calendar: an address, or a file on this machine.
    calendar: Option<String>,
    /// Minutes before an appointment.
    #[serde(default)]
    lead_min: u32,
    #[serde(default = "utc")]
    time_zone: String,
    /// The task's title, for a cron expression.
    title: Option<String>,
    description: Option<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Reads the settings.
pub(super) fn open(own: Json, credentials: Option<&Json>, reach: Reach) -> Result<Box<dyn Source>, Trouble> {
    let s: Settings = settings::read(own)?;
    match (s.cron, s.calendar) {
        (Some(cron), None) => {
            next_after(&cron, &s.time_zone, Timestamp::now())?;
            let title = s.title.ok_or_else(|| Trouble::lasting("a schedule needs a title for its tasks"))?;
            Ok(Box::new(Times { cron, time_zone: s.time_zone, title, description: s.description }))
        }
        (None, Some(calendar)) => {
            TimeZone::get(&s.time_zone).map_err(|_| {
                Trouble::lasting(format!("there is no time zone {:?}; give one as in Europe/Berlin", s.time_zone))
            })?;
            let place = if calendar.contains("://") {
                // Calendars are offered as webcal:, which is https.
                Place::Address(calendar.replacen("webcal://", "https://", 1))
            } else {
                Place::File(PathBuf::from(calendar))
            };
            let headers = settings::headers(credentials)?;
            let client = Client::new(reach, CALENDAR_BYTES)?;
            Ok(Box::new(Calendar { place, client, headers, lead_min: s.lead_min, time_zone: s.time_zone, kept: None }))
        }
        _ => Err(Trouble::lasting("a schedule needs either cron or calendar")),
    }
}

fn next_after(cron: &str, time_zone: &str, now: Timestamp) -> Result<Timestamp, Trouble> {
    domain::schedules::next_after(cron, time_zone, now).map_err(|e| Trouble::lasting(e.to_string()))
}

/// A cron expression.
struct Times {
    cron: String,
    time_zone: String,
    title: String,
    description: Option<String>,
}

impl Times {
    fn at(&self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let told = ask.state.and_then(|s| s.get("next")).and_then(Json::as_str).and_then(|t| t.parse().ok());
        // Another expression than last time begins anew.
        let same = ask.state.is_some_and(|s| s["cron"] == self.cron.as_str() && s["zone"] == self.time_zone.as_str());
        let begin = if ask.state.is_some() { ask.now } else { ask.made_at };
        let due: Timestamp = match told {
            Some(at) if same => at,
            _ => next_after(&self.cron, &self.time_zone, begin)?,
        };
        let state = |next: Timestamp| json!({ "next": next, "cron": self.cron, "zone": self.time_zone });
        if due > ask.now {
            return Ok(Found { state: state(due), next: Some(due), ..Found::default() });
        }
        // However many times were missed, it is one task, and it says that it is late.
        let next = next_after(&self.cron, &self.time_zone, ask.now)?;
        let late = ask.now.duration_since(due);
        let local = due.in_tz(&self.time_zone).map_err(|e| Trouble::lasting(e.to_string()))?;
        let item = Item {
            key: format!("at:{due}"),
            source: format!("schedule:{}", self.cron),
            title: self.title.clone(),
            description: self.description.clone(),
            event: json!({
                "kind": "schedule", "at": due, "local": local.strftime("%Y-%m-%d %H:%M").to_string(),
                "day": local.strftime("%Y-%m-%d").to_string(), "late_s": late.as_secs(), "missed": late > MISSED,
            }),
            detail: json!({ "at": due }),
            state: Some(state(next)),
            ..Item::default()
        };
        Ok(Found { items: vec![item], state: state(next), next: Some(next), ..Found::default() })
    }
}

impl Source for Times {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        let found = self.at(ask);
        Box::pin(async move { found })
    }
    fn every_s(&self) -> u64 {
        60
    }
}

enum Place {
    Address(String),
    File(PathBuf),
}

/// A calendar file.
struct Calendar {
    place: Place,
    client: Client,
    headers: Vec<(String, String)>,
    lead_min: u32,
    time_zone: String,
    /// What was fetched last, and when.
    kept: Option<(Instant, String)>,
}

/// How long a fetched calendar is taken for fresh.
const FRESH: Duration = Duration::from_secs(10 * 60);

impl Calendar {
    async fn text(&mut self) -> Result<String, Trouble> {
        if let Some((at, text)) = &self.kept
            && at.elapsed() < FRESH
        {
            return Ok(text.clone());
        }
        let text = match &self.place {
            Place::Address(url) => {
                let request = self.headers.iter().fold(outside::http::Request::get(url), |r, (n, v)| r.header(n, v));
                let text = self.client.send(request).await?.good()?.text();
                self.kept = Some((Instant::now(), text.clone()));
                text
            }
            Place::File(path) => {
                let (path, shown) = (path.clone(), path.display().to_string());
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                read.map_err(|e| Trouble::passing(e.to_string()))?.map_err(|e| {
                    Trouble::lasting(format!("the calendar {shown} can't be read ({e}); check the path"))
                })?
            }
        };
        Ok(text)
    }

    async fn at(&mut self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let text = self.text().await?;
        let lead = SignedDuration::from_mins(i64::from(self.lead_min));
        let looked = ask.state.and_then(|s| s.get("looked")).and_then(Json::as_str).and_then(|t| t.parse().ok());
        // From the last look and not from its horizon: an appointment may have come in between. Keys keep it single.
        let from: Timestamp = looked.unwrap_or(ask.made_at).max(ask.now - OLDEST);
        let (to, horizon) = (ask.now + lead, ask.now + lead + SignedDuration::from_hours(1));
        let zone = self.time_zone.clone();
        let found = tokio::task::spawn_blocking(move || calendar::occurrences(&text, &zone, from, horizon)).await;
        let found = found.map_err(|e| Trouble::passing(e.to_string()))??;
        let next = found.iter().find(|o| o.start > to).map(|o| o.start - lead);
        let items = found.into_iter().filter(|o| o.start <= to).map(|o| self.item(&o, ask.now)).collect();
        Ok(Found { items, state: json!({ "looked": ask.now }), next, ..Found::default() })
    }

    fn item(&self, o: &calendar::Occurrence, now: Timestamp) -> Item {
        let local =
            o.start.in_tz(&self.time_zone).map(|z| z.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default();
        let title = if o.summary.is_empty() { "Appointment" } else { o.summary.as_str() };
        Item {
            key: format!("ics:{}:{}", sha256_hex(&o.uid), o.start),
            source: format!("calendar:{}", o.uid.chars().take(200).collect::<String>()),
            title: title.to_owned(),
            description: (!o.description.is_empty()).then(|| o.description.clone()),
            event: json!({
                "kind": "appointment", "summary": o.summary, "location": o.location, "start": o.start, "end": o.end,
                "local": local, "uid": o.uid, "missed": o.start < now,
            }),
            detail: json!({ "uid": o.uid, "start": o.start }),
            ..Item::default()
        }
    }
}

fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(CALENDAR_BYTES as u64 + 1).read_to_end(&mut text)?;
    if text.len() > CALENDAR_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {CALENDAR_BYTES} bytes")));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

impl Source for Calendar {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(self.at(ask))
    }
    fn every_s(&self) -> u64 {
        FRESH.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str) -> Times {
        Times { cron: cron.into(), time_zone: "Europe/Berlin".into(), title: "Report".into(), description: None }
    }

    fn ask<'a>(state: Option<&'a Json>, now: &str) -> Ask<'a> {
        Ask { state, made_at: "2026-11-02T08:00:00Z".parse().unwrap(), now: now.parse().unwrap(), known: None }
    }

    #[test]
    fn a_time_fires_once_and_missed_ones_once_and_late() {
        let source = times("0 9 * * *");
        let first = source.at(ask(None, "2026-11-02T07:59:59Z")).unwrap();
        assert!(first.items.is_empty());
        // Made at 8:00 UTC, which is 9:00 in Berlin: the next is tomorrow's.
        assert_eq!(first.next, Some("2026-11-03T08:00:00Z".parse().unwrap()));
        let on_time = source.at(ask(Some(&first.state), "2026-11-03T08:00:00Z")).unwrap();
        assert_eq!(
            (on_time.items[0].key.as_str(), &on_time.items[0].event["missed"]),
            ("at:2026-11-03T08:00:00Z", &json!(false))
        );
        assert_eq!(on_time.items[0].event["local"], "2026-11-03 09:00");
        let slept = source.at(ask(Some(&on_time.state), "2026-11-07T12:00:00Z")).unwrap();
        assert_eq!(slept.items.len(), 1);
        assert_eq!(
            (slept.items[0].key.as_str(), &slept.items[0].event["missed"]),
            ("at:2026-11-04T08:00:00Z", &json!(true))
        );
        assert_eq!(slept.next, Some("2026-11-08T08:00:00Z".parse().unwrap()));
    }

    #[test]
    fn one_made_while_nothing_ran_is_not_forgotten_and_another_expression_begins_anew() {
        let found = times("0 9 * * *").at(ask(None, "2026-11-03T09:00:00Z")).unwrap();
        assert_eq!(found.items[0].key, "at:2026-11-03T08:00:00Z");
        let other = times("30 9 * * *").at(ask(Some(&found.state), "2026-11-05T12:00:00Z")).unwrap();
        assert!(other.items.is_empty() && other.next == Some("2026-11-06T08:30:00Z".parse().unwrap()));
    }

    #[test]
    fn settings_are_checked() {
        let said = |own: Json| open(own, None, Reach::public()).err().unwrap().message;
        assert!(said(json!({})).contains("either cron or calendar"));
        assert!(said(json!({ "cron": "nonsense", "title": "x" })).contains("five fields"));
        assert!(said(json!({ "cron": "0 9 * * *" })).contains("title"));
        assert!(said(json!({ "calendar": "x.ics", "time_zone": "Mars/X" })).contains("no time zone"));
        assert!(said(json!({ "crn": "x" })).contains("crn"));
    }

    #[tokio::test]
    async fn appointments_come_with_their_lead_and_once_while_nothing_ran() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.ics");
        let event = |uid: &str, at: &str| {
            format!("BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:{at}\r\nSUMMARY:{uid}\r\nEND:VEVENT\r\n")
        };
        let write = |events: &str| {
            std::fs::write(&file, format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")).unwrap();
        };
        write(&event("early", "20261102T120000Z"));
        let mut source = open(json!({ "calendar": file, "lead_min": 15 }), None, Reach::public()).unwrap();
        let found = source.look(ask(None, "2026-11-02T11:00:00Z")).await.unwrap();
        assert!(found.items.is_empty());
        assert_eq!(found.next, Some("2026-11-02T11:45:00Z".parse().unwrap()));
        // One that was put in five minutes before it begins is noticed too.
        write(&(event("early", "20261102T120000Z") + &event("late", "20261102T115500Z")));
        let found = source.look(ask(Some(&found.state), "2026-11-02T11:50:00Z")).await.unwrap();
        assert_eq!(found.items.iter().map(|i| i.title.as_str()).collect::<Vec<_>>(), ["late", "early"]);
        std::fs::remove_file(&file).unwrap();
        let said = source.look(ask(Some(&found.state), "2026-11-02T11:51:00Z")).await.unwrap_err();
        assert!(said.message.contains("check the path"), "{said}");
    }
}
