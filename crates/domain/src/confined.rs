//! Built-in servers that touch files only within folders: what can be said of a path by its name alone, before anything is
//! touched. The server itself looks again when it is called, also at links.

use std::path::Path;

use serde_json::Value as Json;
use store::mcp_servers::{BUILTIN, Server};

/// Arguments of such a server's tools that name a place.
const PLACES: [&str; 3] = ["path", "source", "destination"];

/// The folders that a built-in server may touch, as its settings name them.
pub fn folders(command: &str, args: &[String]) -> Vec<String> {
    let config: Json = args.first().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match command.strip_prefix(BUILTIN) {
        Some("files") => serde_json::from_value(config["folders"].clone()).unwrap_or_default(),
        Some("notes") => config["folder"].as_str().map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Why a server that is confined to folders would refuse these arguments; none: it is not confined, or nothing is wrong with
/// them as far as names say.
pub fn outside(server: &Server, arguments: &Json) -> Option<String> {
    // Notes are known by names, not by paths.
    if server.command.strip_prefix(BUILTIN) != Some("files") {
        return None;
    }
    let folders = folders(&server.command, &server.args);
    let named = PLACES.iter().filter_map(|name| arguments.get(name)?.as_str());
    named.into_iter().find_map(|path| {
        if !path.starts_with('/') || path.split('/').any(|part| part == "." || part == "..") {
            return Some(format!("{path} is no whole path without . or .. in it"));
        }
        let may_touch = folders.iter().any(|folder| holds(folder, Path::new(path)));
        (!may_touch).then(|| format!("{path} is not within the folders that may be touched: {}", folders.join(", ")))
    })
}

/// Whether a folder holds a path, or may: whose home `~` is, the machine of the server knows, and this may be another.
fn holds(folder: &str, path: &Path) -> bool {
    let Some(rest) = folder.strip_prefix("~/").or((folder == "~").then_some("")) else {
        return path.starts_with(folder);
    };
    let rest: Vec<_> = Path::new(rest).components().collect();
    let parts: Vec<_> = path.components().collect();
    rest.is_empty() || parts.windows(rest.len()).any(|part| part == rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{folders, holds};

    #[test]
    fn a_folder_holds_what_lies_below_it() {
        for (folder, path, held) in [
            ("/home/ada/steward", "/home/ada/steward/2026/a.pdf", true),
            ("/home/ada/steward/", "/home/ada/steward", true),
            ("/home/ada/steward", "/home/ada/stewards/a.pdf", false),
            ("~/steward", "/home/ada/steward/a.pdf", true),
            ("~/steward", "/srv/homes/ada/steward/a.pdf", true),
            ("~/steward", "/elsewhere/a.pdf", false),
            ("~/a/b", "/home/ada/a/c/b", false),
            ("~", "/anywhere", true),
        ] {
            assert_eq!(holds(folder, path.as_ref()), held, "{folder} {path}");
        }
    }

    #[test]
    fn the_settings_name_the_folders() {
        let args = |config: serde_json::Value| [config.to_string()];
        assert_eq!(folders("builtin:files", &args(json!({ "folders": ["/a", "~/b"] }))), ["/a", "~/b"]);
        assert_eq!(folders("builtin:notes", &args(json!({ "folder": "/n" }))), ["/n"]);
        assert!(folders("builtin:web", &args(json!({ "hosts": ["a.example"] }))).is_empty());
        assert!(folders("npx", &["/a".to_owned()]).is_empty());
    }
}
