//! A page or an interface: a part of it that changes, or the elements of a list that come.

use domain::playbook::{canonical_json, sha256_hex};
use futures_util::future::BoxFuture;
use outside::{
    Trouble,
    address::Reach,
    http::{Client, Request},
    page::Place,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Ask, Found, Item, Source, settings};

const DEFAULT_BYTES: usize = 4 * 1024 * 1024;
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Elements of one look.
const MOST_ELEMENTS: usize = 500;
/// Characters of a value that a task carries.
const VALUE_CHARS: usize = 16_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    /// A JSON pointer, such as `/price`.
    pointer: Option<String>,
    /// A CSS selector, such as `.price`.
    selector: Option<String>,
    /// With a selector: this attribute instead of the text.
    attribute: Option<String>,
    /// Each element of the list is an event, instead of the whole.
    #[serde(default)]
    each: bool,
    /// With `each`: a pointer within the element to what makes it the same element.
    id: Option<String>,
    /// With `each`: what stands there at the first look becomes tasks too.
    #[serde(default)]
    backlog: bool,
    /// The tasks' title.
    title: Option<String>,
    max_bytes: Option<usize>,
}

pub(super) struct Page {
    settings: Settings,
    place: Place,
    client: Client,
    headers: Vec<(String, String)>,
}

impl Page {
    pub(super) fn open(own: Json, credentials: Option<&Json>, reach: Reach) -> Result<Self, Trouble> {
        let s: Settings = settings::read(own)?;
        if !s.url.starts_with("http://") && !s.url.starts_with("https://") {
            return Err(Trouble::lasting("url must begin with https:// or http://"));
        }
        let place = match (&s.pointer, &s.selector) {
            (Some(pointer), None) => Place::Pointer(pointer.clone()),
            (None, Some(css)) => Place::Selector(css.clone(), s.attribute.clone()),
            (None, None) if !s.each => Place::Whole,
            _ => {
                return Err(Trouble::lasting("say what to watch by pointer (JSON) or by selector (HTML), not by both"));
            }
        };
        place.check()?;
        let max_bytes = s.max_bytes.unwrap_or(DEFAULT_BYTES);
        if !(1..=MOST_BYTES).contains(&max_bytes) {
            return Err(Trouble::lasting(format!("max_bytes must be from 1 to {MOST_BYTES}")));
        }
        let headers = settings::headers(credentials)?;
        Ok(Self { client: Client::new(reach, max_bytes)?, settings: s, place, headers })
    }

    async fn at(&self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let request = self.headers.iter().fold(Request::get(&self.settings.url), |r, (n, v)| r.header(n, v));
        let answer = self.client.send(request).await?.good()?;
        let value = self.place.read(&answer.text())?;
        // Watching something else than last time begins anew.
        let what = sha256_hex(&format!("{}\n{:?}\n{}", self.settings.url, self.place, self.settings.each));
        let state = ask.state.filter(|s| s["what"] == what.as_str());
        if self.settings.each { self.elements(value, state, &what) } else { Ok(self.change(&value, state, &what)) }
    }

    fn change(&self, value: &Json, state: Option<&Json>, what: &str) -> Found {
        let text = canonical_json(value);
        let sha256 = sha256_hex(&text);
        let count = state.and_then(|s| s["count"].as_u64()).unwrap_or(0);
        let keep = |count: u64| json!({ "what": what, "count": count, "sha256": sha256, "value": cut(&text) });
        match state {
            None => Found { state: keep(0), ..Found::default() },
            Some(state) if state["sha256"] == sha256.as_str() => Found { state: state.clone(), ..Found::default() },
            Some(state) => {
                let next = keep(count + 1);
                // The number tells a return to an earlier value from that value.
                let item = Item {
                    key: format!("change:{}:{}:{sha256}", &what[..16], count + 1),
                    source: self.settings.url.clone(),
                    title: self.settings.title.clone().unwrap_or_else(|| format!("Changed: {}", self.settings.url)),
                    description: Some(format!(
                        "Before: {}\nNow: {}",
                        short(&state["value"]),
                        short(&json!(cut(&text)))
                    )),
                    event: json!({ "kind": "change", "url": self.settings.url, "before": state["value"], "value": value_of(value, &text) }),
                    detail: json!({ "url": self.settings.url }),
                    state: Some(next.clone()),
                    ..Item::default()
                };
                Found { items: vec![item], state: next, ..Found::default() }
            }
        }
    }

    fn elements(&self, value: Json, state: Option<&Json>, what: &str) -> Result<Found, Trouble> {
        let Json::Array(list) = value else {
            return Err(Trouble::lasting("each needs a list, and what stands there is none; check the pointer"));
        };
        let state_after = json!({ "what": what });
        let items: Result<Vec<Item>, Trouble> =
            list.iter().take(MOST_ELEMENTS).map(|e| self.element(e, what)).collect();
        let items = items?;
        if state.is_none() && !self.settings.backlog {
            return Ok(Found {
                seen: items.into_iter().map(|i| i.key).collect(),
                state: state_after,
                ..Found::default()
            });
        }
        Ok(Found { items, state: state_after, ..Found::default() })
    }

    fn element(&self, element: &Json, what: &str) -> Result<Item, Trouble> {
        let text = canonical_json(element);
        let id = match &self.settings.id {
            None => text.clone(),
            Some(pointer) => {
                let id = element
                    .pointer(pointer)
                    .filter(|id| !id.is_null())
                    .ok_or_else(|| Trouble::lasting(format!("an element has nothing at {pointer}; check id")))?;
                canonical_json(id)
            }
        };
        let name = ["title", "name", "subject"].iter().find_map(|n| element.get(n)).and_then(Json::as_str);
        let name = name.or(element.as_str()).unwrap_or(&self.settings.url);
        Ok(Item {
            key: format!("element:{}", sha256_hex(&format!("{what}\n{id}"))),
            source: self.settings.url.clone(),
            title: match &self.settings.title {
                Some(title) => format!("{title}: {name}"),
                None => name.to_owned(),
            },
            event: json!({ "kind": "element", "url": self.settings.url, "value": value_of(element, &text) }),
            detail: json!({ "url": self.settings.url }),
            ..Item::default()
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(VALUE_CHARS).collect()
}

/// The value itself, or its beginning as text where it is too large for a task.
fn value_of(value: &Json, text: &str) -> Json {
    if text.len() <= VALUE_CHARS { value.clone() } else { json!(cut(text)) }
}

fn short(value: &Json) -> String {
    value.as_str().unwrap_or_default().chars().take(1000).collect()
}

impl Source for Page {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(self.at(ask))
    }
    fn every_s(&self) -> u64 {
        900
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(own: Json) -> Page {
        Page::open(own, None, Reach::public()).unwrap()
    }

    #[test]
    fn a_change_is_one_event_and_so_is_the_return() {
        let page = page(json!({ "url": "https://x.test/", "pointer": "/price" }));
        let first = page.change(&json!(10), None, &"w".repeat(64));
        assert!(first.items.is_empty(), "what stood there before is none");
        let same = page.change(&json!(10), Some(&first.state), &"w".repeat(64));
        assert!(same.items.is_empty());
        let up = page.change(&json!(12), Some(&same.state), &"w".repeat(64));
        assert_eq!((&up.items[0].event["before"], &up.items[0].event["value"]), (&json!("10"), &json!(12)));
        let back = page.change(&json!(10), Some(&up.state), &"w".repeat(64));
        let again = page.change(&json!(12), Some(&back.state), &"w".repeat(64));
        assert_ne!(up.items[0].key, again.items[0].key);
    }

    #[test]
    fn elements_are_known_by_their_id() {
        let page = page(json!({ "url": "https://x.test/", "pointer": "/items", "each": true, "id": "/id" }));
        let first = page.elements(json!([{ "id": 1 }]), None, "w").unwrap();
        assert_eq!((first.seen.len(), first.items.len()), (1, 0));
        let next = page
            .elements(json!([{ "id": 1, "more": 2 }, { "id": 2, "title": "New" }]), Some(&first.state), "w")
            .unwrap();
        assert_eq!(next.items[0].key, first.seen[0], "the same element, whatever else changed");
        assert_eq!(next.items[1].title, "New");
        assert!(page.elements(json!([{}]), None, "w").unwrap_err().message.contains("check id"));
        assert!(page.elements(json!({}), None, "w").unwrap_err().message.contains("needs a list"));
    }

    #[test]
    fn settings_are_checked() {
        for (own, word) in [
            (json!({ "url": "ftp://x" }), "https://"),
            (json!({ "url": "https://x", "pointer": "a" }), "must begin with /"),
            (json!({ "url": "https://x", "selector": "..." }), "CSS"),
            (json!({ "url": "https://x", "selector": "a", "pointer": "/b" }), "not by both"),
            (json!({ "url": "https://x", "each": true }), "pointer (JSON) or by selector"),
        ] {
            let said = Page::open(own.clone(), None, Reach::public()).err().unwrap().message;
            assert!(said.contains(word), "{own}: {said}");
        }
    }
}
