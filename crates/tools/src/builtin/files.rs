//! Files within allowed folders: read, list, search, write, move, and folders made.

use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Done, Failure, arguments, blocking,
    confined::{self, Folder, Place, Sort, errno, trouble},
    search, tool, unknown_tool,
};

/// Folders of one server.
const MOST_FOLDERS: usize = 32;
/// Bytes read at once at most.
const READ_BYTES: u64 = 256 * 1024;
/// Bytes written at once at most; a call's arguments hold no more.
const WRITE_BYTES: usize = 512 * 1024;
/// Entries of a folder that are shown.
const SHOWN_ENTRIES: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The folders that may be touched.
    folders: Vec<String>,
    /// Whether nothing may be changed in them.
    #[serde(default)]
    read_only: bool,
}

/// The server.
pub(super) struct Files {
    folders: Arc<[Folder]>,
    is_read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadPart {
    path: String,
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    path: String,
    content: String,
    #[serde(default)]
    overwrite: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    source: String,
    destination: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    path: String,
    text: String,
}

impl Files {
    pub(super) fn open(settings: &Settings) -> Result<Self, String> {
        if !(1..=MOST_FOLDERS).contains(&settings.folders.len()) {
            return Err(format!("folders must name 1 to {MOST_FOLDERS} folders that may be touched"));
        }
        let folders = settings.folders.iter().map(|text| Folder::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { folders, is_read_only: settings.read_only })
    }

    pub(super) fn tools(&self) -> Vec<Value> {
        let path = json!({ "type": "string", "description": "The whole path, within the allowed folders" });
        let allowed: Vec<String> = self.folders.iter().map(|f| f.path().display().to_string()).collect();
        let within = format!("Allowed folders: {}.", allowed.join(", "));
        let mut tools = vec![
            tool(
                "read_file",
                &format!(
                    "Reads a file: text as it is, anything else in base64; at most {READ_BYTES} bytes at once. {within}"
                ),
                true,
                &json!({
                    "path": path,
                    "offset": { "type": "integer", "minimum": 0 },
                    "length": { "type": "integer", "minimum": 1, "maximum": READ_BYTES },
                }),
                &["path"],
            ),
            tool(
                "list_directory",
                &format!("Lists a folder: name, kind, size and time of each entry, at most {SHOWN_ENTRIES}. {within}"),
                true,
                &json!({ "path": path }),
                &["path"],
            ),
            tool(
                "get_file_info",
                &format!("What stands at a path: whether it is a file, and its size. {within}"),
                true,
                &json!({ "path": path }),
                &["path"],
            ),
            tool(
                "search_files",
                &format!(
                    "Searches the text files below a folder for a piece of text, in upper or lower case. {within}"
                ),
                true,
                &json!({ "path": path, "text": { "type": "string", "minLength": 1, "maxLength": 200 } }),
                &["path", "text"],
            ),
        ];
        if !self.is_read_only {
            tools.extend([
                tool(
                    "write_file",
                    &format!(
                        "Writes a text file. One that is there is left as it is unless overwrite is true. {within}"
                    ),
                    false,
                    &json!({
                        "path": path,
                        "content": { "type": "string", "maxLength": WRITE_BYTES },
                        "overwrite": { "type": "boolean" },
                    }),
                    &["path", "content"],
                ),
                tool(
                    "move_file",
                    &format!("Moves a file, or gives it another name. Nothing that is there is written over. {within}"),
                    false,
                    &json!({ "source": path, "destination": path }),
                    &["source", "destination"],
                ),
                tool(
                    "create_directory",
                    &format!("Makes a folder, and those above it that are missing. One that is there stays. {within}"),
                    false,
                    &json!({ "path": path }),
                    &["path"],
                ),
            ]);
        }
        tools
    }

    pub(super) async fn call(&self, tool: &str, sent: Value) -> Done {
        let folders = Arc::clone(&self.folders);
        let writes = !matches!(tool, "read_file" | "list_directory" | "search_files" | "get_file_info");
        if writes && self.is_read_only {
            return Err(unknown_tool(tool));
        }
        match tool {
            "read_file" => {
                let part: ReadPart = arguments(sent)?;
                blocking(move || read(&folders, &part)).await
            }
            "list_directory" => {
                let at: At = arguments(sent)?;
                blocking(move || list(&folders, &at.path)).await
            }
            "get_file_info" => {
                let at: At = arguments(sent)?;
                blocking(move || info(&folders, &at.path)).await
            }
            "search_files" => {
                let wanted: Search = arguments(sent)?;
                blocking(move || search::search(&folders, &wanted.path, &wanted.text)).await
            }
            "write_file" => {
                let new: Write = arguments(sent)?;
                blocking(move || write(&folders, &new)).await
            }
            "move_file" => {
                let wanted: Move = arguments(sent)?;
                blocking(move || {
                    let from = Place::find(&folders, &wanted.source)?;
                    from.move_to(&Place::find(&folders, &wanted.destination)?)?;
                    Ok(json!({ "moved": wanted.source, "to": wanted.destination }))
                })
                .await
            }
            "create_directory" => {
                let at: At = arguments(sent)?;
                blocking(move || {
                    let is_new = confined::make_folder(&folders, &at.path)?;
                    Ok(json!({ "path": at.path, "is_new": is_new }))
                })
                .await
            }
            other => Err(unknown_tool(other)),
        }
    }
}

fn read(folders: &[Folder], part: &ReadPart) -> Done {
    let place = Place::find(folders, &part.path)?;
    let mut file = place.read()?;
    let fail = |e: std::io::Error| trouble(&part.path, errno(&e));
    let size_bytes = file.metadata().map_err(fail)?.len();
    file.seek(SeekFrom::Start(part.offset)).map_err(fail)?;
    let mut content = Vec::new();
    file.take(part.length.unwrap_or(READ_BYTES).min(READ_BYTES)).read_to_end(&mut content).map_err(fail)?;
    let is_cut = part.offset + (content.len() as u64) < size_bytes;
    let mut answer = json!({ "path": part.path, "size_bytes": size_bytes, "is_cut": is_cut });
    match text_of(content) {
        Ok(text) => answer["text"] = text.into(),
        Err(bytes) => answer["base64"] = STANDARD.encode(bytes).into(),
    }
    Ok(answer)
}

/// Bytes as text, though the end of a part may have cut a letter through.
fn text_of(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(text) => Err(text.into_bytes()),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let is_cut_letter = e.utf8_error().error_len().is_none() && at > 0;
            let mut bytes = e.into_bytes();
            if !is_cut_letter {
                return Err(bytes);
            }
            bytes.truncate(at);
            String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
        }
    }
}

fn info(folders: &[Folder], path: &str) -> Done {
    let place = Place::find(folders, path)?;
    let Some((sort, size_bytes)) = place.facts()? else {
        return Err(Failure::refused(format!("{path} is not there")));
    };
    let text = format!("size: {size_bytes}\nisDirectory: {}\nisFile: {}", sort == Sort::Folder, sort == Sort::File);
    Ok(json!({ "path": path, "kind": sort.word(), "size_bytes": size_bytes, "text": text }))
}

fn list(folders: &[Folder], path: &str) -> Done {
    let dir = confined::folder_at(folders, path)?;
    let (entries, is_cut) = confined::entries(&dir, path)?;
    let is_cut = is_cut || entries.len() > SHOWN_ENTRIES;
    let shown: Vec<Value> = entries
        .iter()
        .take(SHOWN_ENTRIES)
        .map(|entry| {
            let modified = jiff::Timestamp::from_second(entry.modified_s).ok();
            json!({
                "name": entry.name.to_string_lossy(), "kind": entry.sort.word(), "size_bytes": entry.size_bytes,
                "modified": modified, "path": Path::new(path).join(&entry.name).to_string_lossy(),
            })
        })
        .collect();
    Ok(json!({ "path": path, "entries": shown, "is_cut": is_cut }))
}

fn write(folders: &[Folder], new: &Write) -> Done {
    if new.content.len() > WRITE_BYTES {
        return Err(Failure::refused(format!("content has more than {WRITE_BYTES} bytes")));
    }
    let place = Place::find(folders, &new.path)?;
    place.write(new.content.as_bytes(), new.overwrite)?;
    Ok(json!({ "path": new.path, "size_bytes": new.content.len() }))
}
