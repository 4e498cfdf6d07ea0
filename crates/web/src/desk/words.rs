//! What a call does, in plain words.

use domain::risk::Risk;
use maud::{Markup, html};
use serde_json::Value as Json;

use super::parts::{cut, say, size, visible};

/// One sentence about a call. Tools that Steward knows are told by what they do, others by their name.
pub(crate) fn sentence(server: &str, tool: &str, arguments: &Json) -> Markup {
    let text = |name: &str| arguments.get(name).and_then(Json::as_str);
    match (tool, text("path"), text("source"), text("destination")) {
        ("move_file", _, Some(from), Some(to)) => html! { "Move " (path(from)) " to " (path(to)) },
        ("write_file", Some(at), _, _) => {
            let length = text("content").map_or(0, str::len);
            html! { "Write " (size(i64::try_from(length).unwrap_or(i64::MAX))) " to " (path(at)) ", over what is there" }
        }
        ("edit_file", Some(at), _, _) => html! { "Change parts of " (path(at)) },
        ("create_directory", Some(at), _, _) => html! { "Make the folder " (path(at)) },
        ("read_file" | "read_text_file" | "read_media_file" | "get_file_info", Some(at), _, _) => {
            html! { "Read " (path(at)) }
        }
        _ => html! { "Run " strong { (say(tool)) } " of the server " strong { (say(server)) } (list(arguments)) },
    }
}

/// What calls of a kind do, for the head of a group of them.
pub(crate) fn kind(server: &str, tool: &str) -> Markup {
    match tool {
        "move_file" => html! { "Move files" },
        "write_file" => html! { "Write files" },
        "edit_file" => html! { "Change files" },
        "create_directory" => html! { "Make folders" },
        _ => html! { (say(tool)) " of " (say(server)) },
    }
}

/// A path that may break after its slashes.
fn path(value: &str) -> Markup {
    html! { bdi { code { @for part in visible(value).split_inclusive('/') { (part) wbr; } } } }
}

fn list(arguments: &Json) -> Markup {
    let Some(map) = arguments.as_object().filter(|m| !m.is_empty()) else { return html! {} };
    html! {
        " with "
        @for (place, (name, value)) in map.iter().take(4).enumerate() {
            @if place > 0 { ", " }
            (say(name)) " " code { (say(&cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), 120))) }
        }
        @if map.len() > 4 { " and more" }
    }
}

/// The risk as a mark.
pub(crate) fn risk_mark(risk: Risk) -> Markup {
    let class = match risk {
        Risk::Low => "",
        Risk::Some => "some",
        Risk::High => "high",
    };
    html! { span class={ "state risk " (class) } { (risk.word()) " risk" } }
}
