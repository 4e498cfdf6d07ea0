//! A moved note as a person's word. It counts only if the note is letter by letter the one that Steward wrote for a question
//! that is still open, nobody else could have moved it, and the vault is its owner's.

use std::path::Path;

use domain::{
    decide::{self, Decision},
    own_places,
    playbook::{canonical_json, sha256_hex},
    requests,
    work::Seen,
};
use outside::Trouble;
use serde_json::{Value as Json, json};
use store::{
    Actor, Store,
    approvals::{self, Approval},
    mcp_servers::{self, Server},
    users,
};
use uuid::Uuid;

use super::{
    APPROVED, DONE, House, REJECTED, blocking,
    disk::{self, Note},
    passing,
    text::{self, APPROVAL, SHA256, UNDECIDED, fenced, moment},
};

/// What asks for a yes or a no to one call; the other is what programs ask.
const CALL: &str = "tool_call";

/// Whose word a moved note is.
pub(super) struct Voice<'a> {
    /// The user name of the vault's owner.
    pub name: &'a str,
    /// Programs of which the owner says that they do not write here.
    pub trusts: &'a [String],
}

/// A question with what is frozen of it.
pub(super) struct Asked {
    approval: Approval,
    /// Exactly what would be sent, where it is a call.
    arguments: Option<String>,
    sha256: String,
    title: String,
}

/// What is asked, as it stands in the house.
pub(super) async fn asked(actor: &Actor, store: &Store, approval: &Approval) -> Result<Asked, Trouble> {
    let frozen = approvals::call(actor, store, approval.id).await.map_err(passing)?.map(|frozen| frozen.call);
    let task = match approval.task_id {
        Some(id) => store::tasks::get(actor, store, id).await.map_err(passing)?,
        None => None,
    };
    let sha256 = sha256_hex(&canonical_json(&json!({
        "id": approval.id, "action_type": approval.action_type, "details": approval.details,
        "call": frozen.as_ref().map(|call| (&call.server, &call.tool, &call.arguments_sha256, &call.definition_sha256)),
    })));
    Ok(Asked {
        approval: approval.clone(),
        arguments: frozen.map(|call| call.arguments),
        sha256,
        title: task.map(|task| task.title).unwrap_or_default(),
    })
}

impl Asked {
    fn detail(&self, name: &str) -> &str {
        self.approval.details.as_ref().and_then(|d| d.get(name)).and_then(Json::as_str).unwrap_or_default()
    }

    pub(super) fn file_name(&self) -> String {
        let tool = self.detail("tool");
        let what = if tool.is_empty() { self.approval.action_type.as_str() } else { tool };
        let what: String = what.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(60).collect();
        format!("{what} {}.md", self.approval.id)
    }

    /// What stands in the way of deciding it by moving a note; none: nothing.
    fn obstacle(&self) -> Option<&'static str> {
        // What a call's outcome was, an answer in words, more means: a moved note says no more than yes or no.
        if ![CALL, requests::ACTION_TYPE].contains(&self.approval.action_type.as_str()) {
            return Some("it asks for more than a yes or a no, and that can be said at the desk alone");
        }
        if self.detail("risk") == "high" {
            return Some("it is of high risk: a yes wants you to show at the desk who you are");
        }
        None
    }

    /// The note. It holds nothing that changes by itself.
    pub(super) fn note(&self, may_decide: bool) -> String {
        let details = self.approval.details.clone().unwrap_or_default();
        let arguments = match &self.arguments {
            Some(frozen) => serde_json::from_str::<Json>(frozen).ok(),
            None => details.get("arguments").cloned(),
        };
        let shown = arguments.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_default();
        let until = self.approval.expires_at.map(|end| format!(" until {}", moment(end))).unwrap_or_default();
        let (server, tool) = (self.detail("server"), self.detail("tool"));
        let what = if tool.is_empty() {
            "A program asks whether it may do this:".to_owned()
        } else {
            format!("If you say yes, the tool `{tool}` of `{server}` is called once, with exactly this:")
        };
        let part = |words: &str, block: String| {
            if block.is_empty() { String::new() } else { format!("{words}\n\n{block}\n") }
        };
        let mut parts = vec![
            format!("---\n{APPROVAL}: {}\n{SHA256}: {}\n---\n\n# A question{until}\n\n", self.approval.id, self.sha256),
            part("In short:", fenced("text", self.detail("summary"))),
            part(&what, fenced("json", &shown)),
            part("For the task:", fenced("text", &self.title)),
            part("Because:", fenced("text", self.detail("reason"))),
        ];
        for file in Seen::files_of(&self.approval) {
            parts.push(part("With this file, as it was when you were asked:", fenced("text", &file.path)));
        }
        if details["outside"] == true {
            parts.push("It works on content from outside, which anybody may have written.\n\n".to_owned());
        }
        parts.push(match (self.obstacle(), may_decide) {
            (Some(why), _) => format!("Decide it at the desk: {why}.\n"),
            (None, false) => "Decide it at the desk: this vault decides nothing.\n".to_owned(),
            (None, true) => format!(
                "Yes: move this note into `{APPROVED}`. No: move it into `{REJECTED}`. Changed in any letter it decides nothing, and \
                 undecided{until} it means no.\n"
            ),
        });
        parts.concat()
    }
}

/// Takes what was moved as its owner's word, note by note.
pub(super) async fn take(root: &Path, voice: Option<&Voice<'_>>, house: &House<'_>) -> Result<(), Trouble> {
    for (folder, approve) in [(APPROVED, true), (REJECTED, false)] {
        let at = root.to_owned();
        let notes = blocking(move || disk::notes(&at, folder)).await?;
        for note in notes.into_iter().filter(|note| text::field(&note.text, UNDECIDED).is_none()) {
            // A note of the person's own is none of ours.
            let Some(id) = text::field(&note.text, APPROVAL) else { continue };
            let id: Option<Uuid> = id.parse().ok();
            let ended = match id {
                Some(id) => decided(root, (folder, approve), (id, &note), voice, house).await?,
                None => Err("it names no question".to_owned()),
            };
            let root = root.to_owned();
            match ended {
                Ok(words) => {
                    let whole = format!("{}\n\n---\n\n**{words}**\n", note.text.trim_end());
                    // It is no question any more: without its field nothing takes it for one.
                    let whole = whole.replacen(&format!("{APPROVAL}:"), "decided:", 1);
                    blocking(move || disk::hand_on(&root, (folder, &note), DONE, &whole)).await?;
                }
                Err(why) => {
                    let words = format!("{} in {folder} decided nothing: {why}", note.name);
                    house.logs.push("warning", &format!("watcher:{}", house.watcher.name), &words, None);
                    let whole = format!(
                        "---\n{UNDECIDED}: true\n---\n\n**Nothing was decided:** {why}.\n\nIf the question is still open, its note stands \
                         in `Pending_Approval` as it is. This one can be removed.\n\n{}",
                        fenced("text", &note.text)
                    );
                    blocking(move || disk::rewrite(&root, folder, &note, &whole)).await?;
                }
            }
        }
    }
    Ok(())
}

/// Decides one question. The inner result is what to write: what became of it, or why nothing was decided.
async fn decided(
    root: &Path,
    (folder, approve): (&'static str, bool),
    (id, note): (Uuid, &Note),
    voice: Option<&Voice<'_>>,
    house: &House<'_>,
) -> Result<Result<String, String>, Trouble> {
    let Some(voice) = voice else {
        return Ok(Err("this vault decides nothing; its owner can set decides".to_owned()));
    };
    let name = voice.name;
    if let Some(why) = not_its_owner(root, (folder, note), voice, house).await? {
        return Ok(Err(why));
    }
    let word = if approve { "Approved" } else { "Rejected" };
    let Some(approval) = approvals::get(house.actor, house.store, id).await.map_err(passing)? else {
        return Ok(Err(format!("there is no such question, or {name} may not see it")));
    };
    let owner = house.actor.user_id();
    let who = if approve { approval.approved_by } else { approval.rejected_by };
    if owner.is_some() && who == owner && approval.status == word.to_lowercase() {
        // Decided just so, and the process ended before the note was put away.
        return Ok(Ok(format!("{word} by {name}.")));
    }
    let asked = asked(house.actor, house.store, &approval).await?;
    if text::field(&note.text, SHA256) != Some(asked.sha256.as_str()) {
        return Ok(Err("its hash is not that of what is asked".to_owned()));
    }
    if approval.status == "pending" && text::plain(&asked.note(true)) != text::plain(&note.text) {
        return Ok(Err("it was changed after Steward wrote it".to_owned()));
    }
    if let Some(why) = asked.obstacle().filter(|_| approval.status == "pending") {
        return Ok(Err(why.to_owned()));
    }
    let program = format!("vault {}", house.watcher.name);
    let actor = house.actor.clone().from_request(None, Some(&program), None);
    let decision = Decision { approve, note: Some(format!("in the {program}")), arguments: None };
    match decide::decide_from_afar(house.store, &actor, id, decision, false).await {
        Ok(after) if after.status == "pending" => Ok(Ok(format!("{word} by {name}; further people must agree."))),
        Ok(_) => Ok(Ok(format!("{word} by {name}."))),
        Err(domain::Error::Store(e)) if e.is_transient() || matches!(e, store::Error::OutcomeUnknown(_)) => {
            Err(passing(e))
        }
        Err(e) => Ok(Err(e.to_string())),
    }
}

/// Why a moved note may not be the word of the vault's owner; none: it is.
async fn not_its_owner(
    root: &Path,
    (folder, note): (&'static str, &Note),
    voice: &Voice<'_>,
    house: &House<'_>,
) -> Result<Option<String>, Trouble> {
    let name = voice.name;
    let owner = match house.actor.user_id() {
        Some(id) => users::account(house.actor, house.store, id).await.map_err(passing)?,
        None => None,
    };
    if !owner.is_some_and(|owner| owner.username.eq_ignore_ascii_case(name) && !owner.is_agent) {
        return Ok(Some(format!("{name} is not the person to whom this vault belongs")));
    }
    let servers = mcp_servers::list(house.actor, house.store).await.map_err(passing)?;
    let trusts = voice.trusts.to_vec();
    let (root, note) = (root.to_owned(), note.clone());
    blocking(move || {
        if let Some(why) = servers.iter().find_map(|server| reaches(server, &root, &trusts)) {
            return Ok(Some(why));
        }
        disk::stranger(&root, folder, &note)
    })
    .await
}

/// Why a server may move notes: then the employee, with such a tool, would decide for itself. None: it can't.
fn reaches(server: &Server, root: &Path, trusts: &[String]) -> Option<String> {
    let root = own_places::real(root);
    let kind = mcp_servers::kind_of(&server.command);
    let texts: Vec<String> = match kind {
        "builtin" => domain::confined::folders(&server.command, &server.args),
        // It is elsewhere, and has no hands here.
        "http" => return None,
        _ => server.args.clone(),
    };
    let mut places = texts.iter().flat_map(|text| own_places::named_in(text)).map(|at| own_places::real(&at));
    let place = places.find(|at| at.starts_with(&root) || root.starts_with(at));
    if let Some(place) = place {
        return Some(format!(
            "the server {} may write into the vault ({}), so that it need not have been a person who moved it",
            server.name,
            place.display()
        ));
    }
    let is_program = kind != "builtin";
    (is_program && !trusts.contains(&server.name)).then(|| {
        format!(
            "the server {} is a program of the same user of this machine, so that it need not have been a person who moved the \
             note; if it can't write here, say so: its name in the watcher's trusts",
            server.name
        )
    })
}
