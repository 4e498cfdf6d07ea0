//! Merge patches (RFC 7396): what is named is put in its place, `null` takes it away, and the rest stays.

use domain::Error;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::fault::{Fault, Result};

/// The patch that a body is: an object.
#[derive(Debug, Clone)]
pub(crate) struct Patch(Value);

impl Patch {
    pub fn of(body: Value) -> Result<Self> {
        if body.is_object() { Ok(Self(body)) } else { Err(Fault::invalid("body", "a change is a JSON object")) }
    }

    /// The given fields as the patch makes them. What does not fit is named.
    pub fn apply<T: Serialize + DeserializeOwned>(&self, to: &T) -> domain::Result<T> {
        let mut value = serde_json::to_value(to).map_err(|e| Error::invalid("body", e.to_string()))?;
        let patch = self.0.as_object().cloned().unwrap_or_default();
        if let Some(known) = value.as_object()
            && let Some(stranger) = patch.keys().find(|name| !known.contains_key(*name))
        {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Error::invalid(
                stranger,
                format!("{stranger} is nothing that can be changed here; there are: {}", names.join(", ")),
            ));
        }
        let taken: Vec<String> = patch.iter().filter(|(_, v)| v.is_null()).map(|(name, _)| name.clone()).collect();
        merge(&mut value, Value::Object(patch));
        serde_path_to_error::deserialize(value).map_err(|e| {
            let place = e.path().to_string();
            let said = e.inner().to_string();
            // What may not be missing is what was taken away.
            if let Some(name) = taken.into_iter().find(|name| said.starts_with(&format!("missing field `{name}`"))) {
                return Error::invalid(&name, format!("{name} can't be taken away"));
            }
            Error::invalid(if place == "." { "body".to_owned() } else { place }, said)
        })
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            map.remove(&name);
        } else {
            merge(map.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn as_the_standard_says() {
        // The cases of RFC 7396, appendix A.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, result, "{target} with {patch}");
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        title: String,
        #[serde(default)]
        note: Option<String>,
        minutes: i32,
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let row = Row { title: "a".to_owned(), note: Some("n".to_owned()), minutes: 1 };
        let apply = |patch: Value| Patch::of(patch).unwrap().apply(&row);
        assert_eq!(apply(json!({"note": null})).unwrap(), Row { title: "a".to_owned(), note: None, minutes: 1 });
        for (patch, field) in
            [(json!({"minutes": "1"}), "minutes"), (json!({"titel": "x"}), "titel"), (json!({"title": 7}), "title")]
        {
            assert!(matches!(apply(patch), Err(Error::Invalid { field: f, .. }) if f == field), "{field}");
        }
        assert!(apply(json!({"title": null})).is_err());
        assert!(Patch::of(json!([])).is_err());
    }
}
