//! Notes: Markdown files in one folder, each known by its name.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Done, Failure, arguments, blocking,
    confined::{self, Folder, Place, Sort, errno, trouble},
    search, tool, unknown_tool,
};

/// Characters of a name.
const NAME_CHARS: usize = 120;
/// Bytes of a note.
const NOTE_BYTES: usize = 256 * 1024;
/// Notes that are listed.
const SHOWN: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where they are kept.
    folder: String,
}

/// The server.
pub(super) struct Notes {
    folder: Arc<[Folder]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    name: String,
    text: String,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) fn tools() -> Vec<Value> {
    let name =
        json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS, "description": "Its name, without .md" });
    let text = json!({ "type": "string", "maxLength": NOTE_BYTES, "description": "Markdown" });
    vec![
        tool("list_notes", "The names of the notes.", true, &json!({}), &[]),
        tool("read_note", "Reads a note.", true, &json!({ "name": name }), &["name"]),
        tool(
            "search_notes",
            "Searches the notes for a piece of text, in upper or lower case.",
            true,
            &json!({ "text": { "type": "string", "minLength": 1, "maxLength": 200 } }),
            &["text"],
        ),
        tool(
            "write_note",
            "Writes a note. One that is there is left as it is unless overwrite is true.",
            false,
            &json!({ "name": name, "text": text, "overwrite": { "type": "boolean" } }),
            &["name", "text"],
        ),
        tool(
            "append_note",
            "Adds a paragraph to the end of a note, which is made where it is not there.",
            false,
            &json!({ "name": name, "text": text }),
            &["name", "text"],
        ),
    ]
}

/// Whose turn it is to add to a note.
static ADDING: Mutex<()> = Mutex::new(());

impl Notes {
    pub(super) fn open(settings: &Settings) -> Result<Self, String> {
        Ok(Self { folder: Arc::from([Folder::parse(&settings.folder)?]) })
    }

    pub(super) async fn call(&self, tool: &str, sent: Value) -> Done {
        let folder = Arc::clone(&self.folder);
        match tool {
            "list_notes" => {
                let Nothing {} = arguments(sent)?;
                blocking(move || list(&folder)).await
            }
            "read_note" => {
                let of: Named = arguments(sent)?;
                blocking(move || Ok(json!({ "name": of.name, "text": read(&place(&folder, &of.name)?)? }))).await
            }
            "search_notes" => {
                let wanted: Wanted = arguments(sent)?;
                blocking(move || search::search(&folder, &root(&folder), &wanted.text)).await
            }
            "write_note" => {
                let new: Words = arguments(sent)?;
                blocking(move || {
                    let place = place(&folder, &new.name)?;
                    write(&place, &new.name, &new.text, new.overwrite)
                })
                .await
            }
            "append_note" => {
                let new: Words = arguments(sent)?;
                blocking(move || {
                    // One at a time: of two that add to a note at once neither is lost.
                    let _turn = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
                    let place = place(&folder, &new.name)?;
                    if place.facts()?.is_none() {
                        return write(&place, &new.name, &new.text, false);
                    }
                    let before = read(&place)?;
                    let whole = format!("{}\n\n{}\n", before.trim_end(), new.text.trim_end());
                    if read(&place)? != before {
                        return Err(Failure::NotStarted(
                            "somebody is writing in this note; nothing was added".to_owned(),
                        ));
                    }
                    write(&place, &new.name, &whole, true)
                })
                .await
            }
            other => Err(unknown_tool(other)),
        }
    }
}

fn root(folder: &[Folder]) -> String {
    folder.first().map(|f| f.path().display().to_string()).unwrap_or_default()
}

/// A note's place: its name is the name of one file, and leads nowhere else.
fn place(folder: &[Folder], name: &str) -> Result<Place, Failure> {
    let bad = name.trim().is_empty()
        || name.chars().count() > NAME_CHARS
        || name.starts_with('.')
        || name.contains(['/', '\\'])
        || name.chars().any(char::is_control);
    if bad {
        return Err(Failure::refused(format!(
            "a note's name has 1 to {NAME_CHARS} characters on one line, no slash, and no dot at its beginning"
        )));
    }
    Place::find(folder, &format!("{}/{name}.md", root(folder)))
}

fn read(place: &Place) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = NOTE_BYTES as u64 + 1;
    place.read()?.take(limit).read_to_end(&mut bytes).map_err(|e| trouble(&place.shown, errno(&e)))?;
    if bytes.len() > NOTE_BYTES {
        return Err(Failure::refused(format!("the note has more than {NOTE_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{} is no text", place.shown)))
}

fn write(place: &Place, name: &str, text: &str, overwrite: bool) -> Done {
    if text.len() > NOTE_BYTES {
        return Err(Failure::refused(format!("the note would have more than {NOTE_BYTES} bytes; begin another one")));
    }
    place.write(text.as_bytes(), overwrite)?;
    Ok(json!({ "name": name, "path": place.shown, "size_bytes": text.len() }))
}

fn list(folder: &[Folder]) -> Done {
    let root = root(folder);
    let (entries, is_cut) = confined::entries(&confined::folder_at(folder, &root)?, &root)?;
    let names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.sort == Sort::File)
        .filter_map(|entry| entry.name.to_str()?.strip_suffix(".md").map(str::to_owned))
        .filter(|name| !name.starts_with('.'))
        .collect();
    let is_cut = is_cut || names.len() > SHOWN;
    Ok(json!({ "names": names.into_iter().take(SHOWN).collect::<Vec<_>>(), "is_cut": is_cut }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_are_kept_by_name_and_no_name_leads_out() {
        let home = tempfile::tempdir().unwrap();
        let notes = Notes::open(&Settings { folder: home.path().display().to_string() }).unwrap();
        let call = async |tool: &str, sent: Value| notes.call(tool, sent).await;
        call("write_note", json!({ "name": "Bank März", "text": "42 €" })).await.unwrap();
        let again = call("write_note", json!({ "name": "Bank März", "text": "0 €" })).await.unwrap_err();
        assert!(matches!(again, Failure::Refused(said) if said.contains("there already")));
        call("append_note", json!({ "name": "Bank März", "text": "and 7 €" })).await.unwrap();
        call("append_note", json!({ "name": "new", "text": "x" })).await.unwrap();
        let read = call("read_note", json!({ "name": "Bank März" })).await.unwrap();
        assert_eq!(read["text"], "42 €\n\nand 7 €\n");
        assert_eq!(call("list_notes", json!({})).await.unwrap()["names"], json!(["Bank März", "new"]));
        assert_eq!(call("search_notes", json!({ "text": "AND 7" })).await.unwrap()["hits"][0]["line"], 3);
        for name in ["../x", "a/b", ".hidden", "", " ", "a\nb"] {
            let said = call("write_note", json!({ "name": name, "text": "x" })).await.unwrap_err();
            assert!(matches!(said, Failure::Refused(said) if said.contains("name")), "{name}");
        }
    }
}
