//! From a form to typed JSON, as a browser would send it.

use serde_json::{Value as Json, json};

use super::ArgumentForm;
use crate::body::Fields;

fn sent(pairs: &[(&str, &str)]) -> Fields {
    Fields(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
}

fn read(schema: &Json, original: &Json, pairs: &[(&str, &str)]) -> Result<Json, String> {
    ArgumentForm::new(Some(schema), original.clone())
        .read(&sent(pairs))
        .map(Option::unwrap)
        .map_err(|f| f.detail.clone())
}

fn schema() -> Json {
    json!({"type": "object", "required": ["path", "depth"], "properties": {
        "path": {"type": "string"}, "depth": {"type": "integer"}, "ratio": {"type": "number"}, "force": {"type": "boolean"},
        "mode": {"type": "string", "enum": ["fast", "safe"]}, "tags": {"type": "array"}, "note": {"type": "string"},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]}
    }})
}

#[test]
fn types_survive() {
    let original = json!({"path": "1", "depth": 2, "ratio": 0.5, "force": false, "mode": "fast", "tags": ["a"], "either": null, "more": "kept"});
    let got = read(
        &schema(),
        &original,
        &[
            ("arg.path", "007"),
            ("arg.depth", " 3 "),
            ("arg.ratio", "1e2"),
            ("arg.force", "true"),
            ("arg.mode", "=safe"),
            ("arg.tags", "[1, \"1\", true]"),
            ("arg.note", "yes"),
            ("arg.either", "\"x\""),
            ("arg.more", "12"),
            ("use.more", "1"),
        ],
    );
    assert_eq!(
        got.unwrap(),
        json!({"path": "007", "depth": 3, "ratio": 100.0, "force": true, "mode": "safe", "tags": [1, "1", true], "note": "yes", "either": "x", "more": "12"})
    );
}

#[test]
fn what_nobody_touched_is_unchanged() {
    let texts = [
        "plain",
        "",
        " spaces ",
        "two\nlines",
        "crlf\r\nlines\n",
        "\nleading",
        "zero\u{200b}width",
        "nul\0",
        "Rechnung März 2026.pdf",
        "tab\tbed",
        "a\rb",
    ];
    for text in texts {
        let original = json!({"path": text, "depth": 1});
        let form = ArgumentForm::new(Some(&schema()), original.clone());
        // As a browser sends it: what the field holds, each end of line as CR LF.
        let super::Shape::Fields(fields) = &form.shape else { panic!("fields") };
        let mut pairs = Vec::new();
        for field in fields {
            let value = field.text().replace("\r\n", "\n").replace('\n', "\r\n");
            pairs.push((field.input(), value));
            if field.has_switch() && field.original.is_some() {
                pairs.push((format!("use.{}", field.name), "1".to_owned()));
            }
        }
        let got = form.read(&Fields(pairs)).unwrap().unwrap();
        assert_eq!(got, original, "{text:?}");
        assert!(form.is_original(&got));
    }
}

#[test]
fn big_and_odd_numbers_stay_exact() {
    let original = json!({"path": "a", "depth": u64::MAX, "ratio": 1.0});
    let got = read(
        &schema(),
        &original,
        &[
            ("arg.path", "a"),
            ("arg.depth", "18446744073709551615"),
            ("arg.ratio", "1.0"),
            ("arg.force", ""),
            ("arg.mode", ""),
            ("arg.tags", ""),
            ("arg.note", ""),
            ("arg.either", ""),
        ],
    );
    assert_eq!(got.unwrap(), original);
}

#[test]
fn wrong_values_name_their_field() {
    let original = json!({"path": "a", "depth": 1});
    let all = |name: &str, value: &str| {
        let mut pairs = vec![
            ("arg.path", "a"),
            ("arg.depth", "1"),
            ("arg.ratio", ""),
            ("arg.force", ""),
            ("arg.mode", ""),
            ("arg.tags", ""),
            ("arg.note", ""),
            ("arg.either", ""),
        ];
        for pair in &mut pairs {
            if pair.0 == name {
                pair.1 = Box::leak(value.to_owned().into_boxed_str());
            }
        }
        read(&schema(), &original, &pairs)
    };
    assert_eq!(all("", "").unwrap(), original);
    for (name, value) in [
        ("arg.depth", "1.5"),
        ("arg.depth", "two"),
        ("arg.depth", ""),
        ("arg.depth", "\"1\""),
        ("arg.ratio", "1,5"),
        ("arg.ratio", "NaN"),
        ("arg.force", "maybe"),
        ("arg.mode", "=slow"),
        ("arg.mode", "safe"),
        ("arg.tags", "[1,"),
        ("arg.either", "x"),
    ] {
        let said = all(name, value).unwrap_err();
        assert!(said.contains(&name[4..]), "{name}={value}: {said}");
    }
}

#[test]
fn leaving_out_and_emptying_differ() {
    let original = json!({"path": "a", "depth": 1, "note": "old"});
    let rest = [
        ("arg.path", "a"),
        ("arg.depth", "1"),
        ("arg.ratio", ""),
        ("arg.force", ""),
        ("arg.mode", ""),
        ("arg.tags", ""),
        ("arg.either", ""),
    ];
    let with = |more: &[(&str, &str)]| read(&schema(), &original, &[&rest[..], more].concat()).unwrap();
    assert_eq!(with(&[("arg.note", ""), ("use.note", "1")])["note"], json!(""));
    assert!(with(&[("arg.note", "old")]).get("note").is_none());
}

#[test]
fn odd_schemas_are_edited_as_a_whole() {
    let form = ArgumentForm::new(None, json!([1, 2]));
    assert_eq!(form.read(&sent(&[("arguments", "[1,3]")])).unwrap(), Some(json!([1, 3])));
    let many: serde_json::Map<String, Json> = (0..100).map(|n| (format!("p{n}"), json!(n))).collect();
    assert!(matches!(ArgumentForm::new(None, Json::Object(many)).shape, super::Shape::Whole));
    let large = ArgumentForm::new(None, json!({"text": "x".repeat(100_000)}));
    assert!(!large.is_open());
    assert!(large.read(&sent(&[("arg.text", "y")])).is_err());
    assert_eq!(large.read(&sent(&[("note", "y")])).unwrap(), None);
}

#[test]
fn an_incomplete_form_is_refused() {
    assert!(read(&schema(), &json!({"path": "a", "depth": 1}), &[("arg.path", "a")]).is_err());
}
