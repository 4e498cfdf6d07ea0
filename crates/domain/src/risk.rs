//! How much there is to lose by a yes, as it is shown to whoever decides.

use serde_json::Value as Json;
use store::approvals::Approval;

/// How much there is to lose by a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It changes nothing, or only adds.
    Low,
    /// It changes something that can be put right, or nobody here knows what it does.
    Some,
    /// It removes, replaces, sends or pays.
    High,
}

impl Risk {
    /// In a word: `low`, `some` or `high`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Some => "some",
            Self::High => "high",
        }
    }
}

/// The risk of a call, and why. Judged by names that Steward knows and by what names say of themselves; a server's own
/// word that a tool only reads counts for nothing, so what is unknown is never low.
pub fn of_call(tool: &str, is_outside: bool) -> (Risk, &'static str) {
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

/// The risk of what an approval decides, and why; none where it only asks what happened.
pub fn of_approval(approval: &Approval) -> Option<(Risk, &'static str)> {
    let details = approval.details.as_ref()?;
    if needs_password(approval) {
        return Some((Risk::High, "whoever asks says so, and a yes needs the password once more"));
    }
    let tool = details.get("tool").and_then(Json::as_str)?;
    let is_outside = details.get("outside").and_then(Json::as_bool).unwrap_or(false);
    (approval.action_type == "tool_call").then(|| of_call(tool, is_outside))
}

/// Whether a yes is taken only from who has just shown who it is: the rule that asks says `high`, or the program that does.
pub fn needs_password(approval: &Approval) -> bool {
    approval.details.as_ref().and_then(|d| d.get("risk")).and_then(Json::as_str) == Some("high")
}

#[cfg(test)]
mod tests {
    use super::{Risk, of_call};

    #[test]
    fn what_is_unknown_is_never_low() {
        assert_eq!(of_call("get_file_info", true).0, Risk::Low);
        assert_eq!(of_call("move_file", true).0, Risk::Some);
        assert_eq!(of_call("write_file", false).0, Risk::High);
        assert_eq!(of_call("gmail.send-message", false).0, Risk::High);
        assert_eq!(of_call("get_everything", false).0, Risk::Some);
        assert_eq!(of_call("get_everything", true).0, Risk::High);
        assert_eq!(of_call("resend_later", false).0, Risk::Some, "whole words alone count");
    }
}
