//! What a call does, in plain words, and how much there is to lose.

use maud::{Markup, html};
use serde_json::Value as Json;
use store::approvals::Approval;

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

/// How much there is to lose by a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Risk {
    /// It changes nothing, or only adds.
    Low,
    /// It changes something that can be put right, or nobody here knows what it does.
    Some,
    /// It removes, replaces, sends or pays.
    High,
}

/// The risk of a call, and why. Judged by names that Steward knows and by what names say of themselves; a server's own
/// word that a tool only reads counts for nothing, so what is unknown is never low.
pub(crate) fn risk(tool: &str, is_outside: bool) -> (Risk, &'static str) {
    const READS: [&str; 9] = [
        "read_file",
        "read_text_file",
        "read_media_file",
        "read_multiple_files",
        "list_directory",
        "directory_tree",
        "search_files",
        "get_file_info",
        "create_directory",
    ];
    const GRAVE: [&str; 16] = [
        "delete", "remove", "drop", "purge", "erase", "send", "post", "publish", "pay", "transfer", "buy", "order",
        "exec", "execute", "run", "shell",
    ];
    let mut words = tool.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    let (risk, why) = match tool {
        _ if READS.contains(&tool) => (Risk::Low, "it reads, or makes an empty folder"),
        "move_file" => (Risk::Some, "it can be undone by moving the file back"),
        "write_file" => (Risk::High, "what is in the file now is replaced"),
        _ if words.any(|word| GRAVE.contains(&word.as_str())) => {
            (Risk::High, "by its name it removes, sends, pays or runs something")
        }
        _ => (Risk::Some, "Steward does not know this tool"),
    };
    match (risk, is_outside) {
        (Risk::Some, true) if tool != "move_file" => {
            (Risk::High, "the content is from outside, and Steward does not know this tool")
        }
        (risk, _) => (risk, why),
    }
}

/// The risk of what an approval decides; none where it only asks what happened.
pub(crate) fn risk_of(approval: &Approval) -> Option<(Risk, &'static str)> {
    let details = approval.details.as_ref()?;
    let tool = details.get("tool").and_then(Json::as_str)?;
    let is_outside = details.get("outside").and_then(Json::as_bool).unwrap_or(false);
    (approval.action_type == "tool_call").then(|| risk(tool, is_outside))
}

/// The risk as a mark.
pub(crate) fn risk_mark(risk: Risk) -> Markup {
    let (class, word) = match risk {
        Risk::Low => ("", "low risk"),
        Risk::Some => ("some", "some risk"),
        Risk::High => ("high", "high risk"),
    };
    html! { span class={ "state risk " (class) } { (word) } }
}

#[cfg(test)]
mod tests {
    use super::{Risk, risk};

    #[test]
    fn what_is_unknown_is_never_low() {
        assert_eq!(risk("get_file_info", true).0, Risk::Low);
        assert_eq!(risk("move_file", true).0, Risk::Some);
        assert_eq!(risk("write_file", false).0, Risk::High);
        assert_eq!(risk("gmail.send-message", false).0, Risk::High);
        assert_eq!(risk("get_everything", false).0, Risk::Some);
        assert_eq!(risk("get_everything", true).0, Risk::High);
        assert_eq!(risk("resend_later", false).0, Risk::Some, "whole words alone count");
    }
}
