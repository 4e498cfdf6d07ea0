//! The words of the vault's notes, and the few fields that are read from their beginning.

use domain::deceit;
use jiff::Timestamp;
use serde_json::Value as Json;
use store::tasks::Task;
use uuid::Uuid;

/// The field that names a note's task.
pub(super) const TASK: &str = "steward_task";
/// The field that names a note's approval.
pub(super) const APPROVAL: &str = "steward_approval";
/// The field with the hash of what is asked.
pub(super) const SHA256: &str = "sha256";
/// The field of a note that decided nothing.
pub(super) const UNDECIDED: &str = "steward_undecided";
/// Lines of the fields at a note's beginning.
const MOST_FIELDS: usize = 200;

/// A text with the line ends that are compared.
pub(super) fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").trim_end().to_owned()
}

/// A field from the beginning of a note.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    lines
        .take(MOST_FIELDS)
        .take_while(|line| line.trim_end() != "---")
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// The first heading of a note.
pub(super) fn title(text: &str) -> Option<String> {
    let heading = text.lines().find_map(|line| line.strip_prefix("# "))?.trim();
    let heading: String = heading.chars().filter(|c| !c.is_control()).take(200).collect();
    (!heading.is_empty()).then_some(heading)
}

/// A note with the task that it became, among its fields, in place of what stood there: it may be an older one's, or anybody's.
pub(super) fn with_task(text: &str, task: Option<Uuid>) -> String {
    let line = format!("{TASK}: {}\n", task.map_or_else(|| "unknown".to_owned(), |id| id.to_string()));
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else {
        return format!("---\n{line}---\n{text}");
    };
    let mut is_in_fields = true;
    let kept = rest.split_inclusive('\n').filter(|line| {
        is_in_fields &= line.trim_end() != "---";
        !(is_in_fields && line.strip_prefix(TASK).is_some_and(|value| value.starts_with(':')))
    });
    format!("---\n{line}{}", kept.collect::<String>())
}

/// A note with what came of it.
pub(super) fn with_outcome(text: &str, task: &Task) -> String {
    let said = |name: &str| task.metadata.get(name).and_then(Json::as_str).unwrap_or_default();
    let words = if task.status == "completed" { said("summary") } else { said("failure_reason") };
    format!(
        "{}\n\n---\n\n**{}**, {}.\n\n{}",
        text.trim_end(),
        task.status,
        moment(task.updated_at),
        fenced("text", words)
    )
}

/// Text from anywhere, so that it is shown as it is: no picture is fetched, no link and no hidden sign works in it.
pub(super) fn fenced(kind: &str, text: &str) -> String {
    let text = deceit::visible(text.trim_end());
    if text.is_empty() {
        return String::new();
    }
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{kind}\n{text}\n{fence}\n")
}

/// The same on one line.
fn inline(text: &str) -> String {
    let text: String = deceit::visible(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", text.replace('`', "'").trim())
}

pub(super) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The latest of what was done and what failed.
pub(super) fn latest(mut done: Vec<Task>, failed: Vec<Task>) -> Vec<Task> {
    done.extend(failed);
    done.sort_by_key(|task| std::cmp::Reverse(task.updated_at));
    done.truncate(20);
    done
}

/// How things are. It holds nothing that changes by itself, so that it is written only when something happened.
pub(super) fn dashboard(waiting: &[&String], under_way: &[Task], over: &[Task], left: &[String]) -> String {
    let part = |title: String, lines: Vec<String>, none: &str| {
        let body = if lines.is_empty() { none.to_owned() } else { format!("- {}", lines.join("\n- ")) };
        format!("\n## {title}\n\n{body}\n")
    };
    let names = waiting.iter().map(|name| format!("[[{}]]", name.trim_end_matches(".md"))).collect();
    let now = under_way.iter().map(|task| format!("{} ({})", inline(&task.title), task.status.replace('_', " ")));
    let ended = over.iter().map(|task| format!("{} {}, {}", inline(&task.title), task.status, moment(task.updated_at)));
    let mut parts = vec![
        "# Steward\n\nWritten by Steward; what is changed here is written over.\n".to_owned(),
        part(format!("Waits for you ({})", waiting.len()), names, "Nothing."),
        part(format!("Under way ({})", under_way.len()), now.collect(), "Nothing."),
        part("Done lately".to_owned(), ended.collect(), "Nothing yet."),
    ];
    if !left.is_empty() {
        let names = left.iter().map(|name| inline(name)).collect();
        parts.push(part("Left alone: longer than a note may be".to_owned(), names, ""));
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written() {
        let id = Uuid::from_u128(7);
        for text in ["Buy milk", "---\ntags: x\n---\nBuy milk", "---\r\ntags: x\r\n---\r\nBuy milk"] {
            let with = with_task(text, Some(id));
            assert_eq!(field(&with, TASK), Some(id.to_string().as_str()), "{with}");
            assert_eq!(with_task(&with, Some(id)), with);
            assert!(with.ends_with("Buy milk"));
            // One that was done before, or came from elsewhere, says another.
            let other = Uuid::from_u128(8).to_string();
            assert_eq!(field(&with_task(&with.replace(&id.to_string(), &other), Some(id)), TASK), field(&with, TASK));
        }
        assert!(with_task("---\na: b\n---\nsteward_task: mine", None).ends_with("steward_task: mine"));
        assert_eq!(field("text\n---\nsteward_task: 1\n---\n", TASK), None);
        assert_eq!(field("---\nsteward_task_x: 1\n---\n", TASK), None);
        assert_eq!(title("---\na: b\n---\n# Call Bob \n").as_deref(), Some("Call Bob"));
    }

    #[test]
    fn nothing_gets_out_of_a_fence() {
        let text = fenced("text", "a\n````\n![x](https://evil.example/p.png)\n\u{202e}");
        assert!(text.starts_with("`````text\n") && text.ends_with("\n`````\n") && text.contains("U+202E"), "{text}");
        assert_eq!(inline("a`b\nc"), "`a'b c`");
    }
}
