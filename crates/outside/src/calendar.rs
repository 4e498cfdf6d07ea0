//! Calendar files (iCalendar): what takes place in a span of time, recurrences and zones worked out.

use std::collections::BTreeMap;

use calcard::icalendar::dates::TimeOrDelta;
use calcard::{
    common::timezone::Tz,
    icalendar::{ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarStatus},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Result, Trouble};

/// Recurrences of one event that are worked out, from its first.
const MOST_OF_ONE: usize = 10_000;
/// Recurrences of a whole calendar.
const MOST_OF_ALL: usize = 200_000;
/// Characters of a description.
const DESCRIPTION_CHARS: usize = 4000;

/// Something that takes place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Occurrence {
    /// The event's id, the same for all its recurrences.
    pub uid: String,
    /// When it begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Option<Timestamp>,
    /// What it is.
    pub summary: String,
    /// In full, cut to 4,000 characters.
    pub description: String,
    /// Where.
    pub location: String,
}

/// What begins after `from` and not after `to`, by time. Days and times without a zone are taken in `time_zone`. Blocking
/// where the calendar is large.
pub fn occurrences(text: &str, time_zone: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Occurrence>> {
    let zone: Tz = time_zone
        .parse()
        .map_err(|()| Trouble::lasting(format!("there is no time zone {time_zone:?}; give one as in Europe/Berlin")))?;
    let calendar = ICalendar::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|_| Trouble::lasting("this is no calendar file: it does not begin with BEGIN:VCALENDAR"))?;
    let mut by_uid: BTreeMap<&str, Vec<&ICalendarComponent>> = BTreeMap::new();
    for component in &calendar.components {
        if component.component_type == ICalendarComponentType::VEvent
            && let Some(uid) = component.uid()
        {
            by_uid.entry(uid).or_default().push(component);
        }
    }
    let (mut found, mut left) = (Vec::new(), MOST_OF_ALL);
    for (uid, components) in by_uid {
        // Each by itself, so that one without an end does not use up the others' share.
        let one = alone(&calendar, &components);
        let expanded = one.expand_dates(zone, MOST_OF_ONE.min(left));
        left = left.saturating_sub(expanded.events.len());
        for event in expanded.events {
            let Ok(start) = Timestamp::from_second(event.start.timestamp()) else { continue };
            if start <= from || start > to {
                continue;
            }
            let Some(component) = one.component_by_id(event.comp_id) else { continue };
            if component.status() == Some(&ICalendarStatus::Cancelled) {
                continue;
            }
            let end = match event.end {
                TimeOrDelta::Time(at) => Timestamp::from_second(at.timestamp()).ok(),
                TimeOrDelta::Delta(length) => {
                    Timestamp::from_second(start.as_second().saturating_add(length.num_seconds())).ok()
                }
            };
            found.push(Occurrence {
                uid: uid.to_owned(),
                start,
                end: end.filter(|e| *e > start),
                summary: word(component, &ICalendarProperty::Summary),
                description: word(component, &ICalendarProperty::Description).chars().take(DESCRIPTION_CHARS).collect(),
                location: word(component, &ICalendarProperty::Location),
            });
        }
    }
    found.sort_by(|a, b| (a.start, &a.uid).cmp(&(b.start, &b.uid)));
    Ok(found)
}

/// A calendar of these events alone, with the zones they need.
fn alone(whole: &ICalendar, events: &[&ICalendarComponent]) -> ICalendar {
    let mut root = ICalendarComponent::new(ICalendarComponentType::VCalendar);
    root.component_ids = (1..=u32::try_from(events.len()).unwrap_or(u32::MAX)).collect();
    let mut one = ICalendar { components: vec![root] };
    one.components.extend(events.iter().map(|event| ICalendarComponent {
        component_type: event.component_type.clone(),
        entries: event.entries.clone(),
        component_ids: Vec::new(),
    }));
    one.copy_timezones(whole);
    one
}

fn word(component: &ICalendarComponent, property: &ICalendarProperty) -> String {
    component.property(property).and_then(|e| e.values.first()).and_then(|v| v.as_text()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(text: &str, from: &str, to: &str) -> Vec<String> {
        occurrences(text, "Europe/Berlin", from.parse().unwrap(), to.parse().unwrap())
            .unwrap()
            .into_iter()
            .map(|o| format!("{} {}", o.start, o.summary))
            .collect()
    }

    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n\
        BEGIN:VEVENT\r\nUID:weekly\r\nDTSTART;TZID=Europe/Berlin:20260302T090000\r\nDTEND;TZID=Europe/Berlin:20260302T100000\r\n\
        RRULE:FREQ=WEEKLY\r\nEXDATE;TZID=Europe/Berlin:20260316T090000\r\nSUMMARY:Team\\, weekly\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:weekly\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260323T090000\r\nDTSTART;TZID=Europe/Berlin:20260323T110000\r\n\
        SUMMARY:Team\\, later\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:once\r\nDTSTART:20260310T120000Z\r\nDURATION:PT30M\r\nSUMMARY:Dentist\r\nLOCATION:Town\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:day\r\nDTSTART;VALUE=DATE:20260312\r\nSUMMARY:Birthday\r\nEND:VEVENT\r\n\
        BEGIN:VEVENT\r\nUID:gone\r\nDTSTART:20260311T120000Z\r\nSTATUS:CANCELLED\r\nSUMMARY:Off\r\nEND:VEVENT\r\n\
        END:VCALENDAR\r\n";

    #[test]
    fn recurrences_exceptions_days_and_the_clock_change() {
        assert_eq!(
            starts(CALENDAR, "2026-03-08T00:00:00Z", "2026-04-01T00:00:00Z"),
            [
                "2026-03-09T08:00:00Z Team, weekly",
                "2026-03-10T12:00:00Z Dentist",
                "2026-03-11T23:00:00Z Birthday",
                "2026-03-23T10:00:00Z Team, later",
                // Summer time has begun.
                "2026-03-30T07:00:00Z Team, weekly",
            ]
        );
        let dentist = occurrences(
            CALENDAR,
            "UTC",
            "2026-03-10T00:00:00Z".parse().unwrap(),
            "2026-03-11T00:00:00Z".parse().unwrap(),
        )
        .unwrap();
        assert_eq!(
            (dentist[0].end, dentist[0].location.as_str()),
            (Some("2026-03-10T12:30:00Z".parse().unwrap()), "Town")
        );
    }

    #[test]
    fn the_border_belongs_to_the_earlier_span() {
        assert_eq!(starts(CALENDAR, "2026-03-10T11:00:00Z", "2026-03-10T12:00:00Z").len(), 1);
        assert!(starts(CALENDAR, "2026-03-10T12:00:00Z", "2026-03-10T13:00:00Z").is_empty());
    }

    #[test]
    fn what_is_no_calendar_is_told_so() {
        let said = occurrences("hello", "UTC", Timestamp::UNIX_EPOCH, Timestamp::now()).unwrap_err();
        assert!(said.message.contains("no calendar"), "{said}");
        assert!(occurrences(CALENDAR, "Mars/X", Timestamp::UNIX_EPOCH, Timestamp::now()).is_err());
    }
}
