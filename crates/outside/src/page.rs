//! A part of a document: of JSON by a pointer, of HTML by a selector.

use serde_json::Value as Json;

use crate::{Result, Trouble};

/// Elements of one page that are looked at.
const MOST_ELEMENTS: usize = 1000;
/// Characters of one part.
const MOST_CHARS: usize = 20_000;

/// Where to look.
#[derive(Debug, Clone)]
pub enum Place {
    /// A JSON pointer (RFC 6901) such as `/price/amount`; empty for the whole.
    Pointer(String),
    /// A CSS selector; with an attribute's name, that attribute of each element instead of its text.
    Selector(String, Option<String>),
    /// The whole text.
    Whole,
}

impl Place {
    /// Whether it can be read as what it is to be.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Pointer(p) if !p.is_empty() && !p.starts_with('/') => {
                Err(Trouble::lasting(format!("the pointer {p:?} must begin with /, such as /price/amount")))
            }
            Self::Selector(s, _) => selector(s).map(drop),
            _ => Ok(()),
        }
    }

    /// What stands there: a JSON value, the texts of the elements, or the text.
    pub fn read(&self, text: &str) -> Result<Json> {
        match self {
            Self::Pointer(pointer) => {
                let whole: Json = serde_json::from_str(text)
                    .map_err(|e| Trouble::lasting(format!("what was answered is no JSON ({e}); check the address")))?;
                whole.pointer(pointer).cloned().ok_or_else(|| {
                    Trouble::lasting(format!("there is nothing at {pointer} in what was answered; check the pointer"))
                })
            }
            Self::Selector(css, attribute) => {
                let selector = selector(css)?;
                let page = scraper::Html::parse_document(text);
                let found: Vec<Json> = page
                    .select(&selector)
                    .take(MOST_ELEMENTS)
                    .filter_map(|element| match attribute {
                        Some(name) => element.value().attr(name).map(str::to_owned),
                        None => Some(element.text().collect::<Vec<_>>().join(" ")),
                    })
                    .map(|text| Json::String(tidy(&text)))
                    .collect();
                if found.is_empty() {
                    return Err(Trouble::lasting(format!(
                        "nothing on the page fits {css}; it may have changed: check the selector"
                    )));
                }
                Ok(Json::Array(found))
            }
            Self::Whole => Ok(Json::String(tidy(text))),
        }
    }
}

fn selector(css: &str) -> Result<scraper::Selector> {
    scraper::Selector::parse(css).map_err(|e| Trouble::lasting(format!("{css:?} is no CSS selector ({e})")))
}

fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_of_json_and_of_pages() {
        let pointer = Place::Pointer("/a/1".to_owned());
        assert_eq!(pointer.read(r#"{"a":[1,{"b":2}]}"#).unwrap(), json!({"b": 2}));
        assert!(pointer.read("{}").unwrap_err().message.contains("nothing at /a/1"));
        assert!(pointer.read("<p>").unwrap_err().message.contains("no JSON"));
        let page = "<html><p class=x>One\n  <b>more</b></p><p class=x>Two</p><a href='/n'>n</a></html>";
        assert_eq!(Place::Selector("p.x".into(), None).read(page).unwrap(), json!(["One more", "Two"]));
        assert_eq!(Place::Selector("a".into(), Some("href".into())).read(page).unwrap(), json!(["/n"]));
        assert!(Place::Selector("em".into(), None).read(page).unwrap_err().message.contains("nothing on the page"));
        assert!(Place::Selector("p..".into(), None).check().unwrap_err().message.contains("no CSS selector"));
        assert!(Place::Pointer("a".into()).check().is_err());
    }
}
