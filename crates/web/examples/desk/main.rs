//! The desk with made-up rows, for working on its look: `cargo run -p web --example desk [ADDRESS]`. It prints the
//! address and a session's cookie, and ends with Ctrl-C; the rows are in a temporary folder.

mod hands;

use std::error::Error;

use domain::{
    accounts::{self, Setup},
    playbook::{canonical_json, sha256_hex},
    policy::{Effect, Verdict},
    work::{self, PlannedCall, Work, Worker},
};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{
    Actor, Config, Store, Vault,
    file_attachments::{self, NewAttachment},
    mcp_servers::{self, ServerTool},
    model_turns::{NewTurn, TurnEnd},
    policies::NewPolicy,
    system_logs::{self, NewLogLine},
    tasks::{self, NewTask},
    users, watchers,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Done<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Done {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8010".to_owned());
    let folder = tempfile::tempdir()?;
    let config = Config::from_url(&format!("sqlite://{}", folder.path().join("steward.db").display()))?;
    store::migrate::migrate(&config).await?;
    let store = Store::open(&config).await?;
    let vault = Vault::open(&folder.path().join("master.key"), &folder.path().join("attachments"))?;
    let state = web::State {
        store: store.clone(),
        vault,
        hands: std::sync::Arc::new(hands::Hands),
        version: "0.1.0",
        allowed_hosts: Vec::new(),
        trusted_proxies: web::Proxies::default(),
        playbooks: web::Playbooks::new(|| {
            vec![web::PlaybookEntry {
                name: "file-away".to_owned(),
                description: Some("Files what arrives by kind and date".to_owned()),
                origin: "built in".to_owned(),
                is_on: true,
                errors: Vec::new(),
            }]
        }),
    };
    let setup = Setup {
        username: "ada".to_owned(),
        email: "ada@example.org".to_owned(),
        password: "correct horse battery staple".to_owned(),
        token: None,
    };
    let ada = accounts::setup(&store, setup).await?;
    Box::pin(fill(&store, ada)).await?;
    let (token, _) = accounts::begin_session(&store, &Actor::service(), ada).await?;
    println!("http://{address}\nada / correct horse battery staple\nsteward_session={token}");
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    web::serve(tokio::net::TcpListener::bind(&address).await?, state, shutdown).await?;
    Ok(())
}

/// A house at work: something of everything that the pages show.
async fn fill(store: &Store, ada: Uuid) -> Done {
    let me = Actor::user(ada);
    let tools = servers(store, &me).await?;
    rules(store, &me).await?;
    seen(store, &me).await?;
    let employee = users::agent(&Actor::service(), store, accounts::EMPLOYEE).await?.ok_or("no employee")?;
    let at_work = Desk { store, me, employee, tools };

    // Done: read, moved as approved.
    let work = at_work.begin("File away: Steuerbescheid 2025.pdf", "Steuerbescheid 2025.pdf", true).await?;
    at_work
        .run_step(
            &work,
            "look",
            "get_file_info",
            json!({"path": "/home/ada/steward/inbox/Steuerbescheid 2025.pdf"}),
            r#"{"size": 84213, "isFile": true}"#,
        )
        .await?;
    at_work
        .worker()
        .finish(store, &at_work.reload(&work).await?, true, "Moved to /home/ada/steward/archive/2025/Tax.".to_owned())
        .await?;
    // Failed.
    let work = at_work.begin("File away: scan0001.tiff", "scan0001.tiff", true).await?;
    at_work
        .worker()
        .finish(
            store,
            &work,
            false,
            "No rule of the playbook knows files of the type image/tiff; add one, or move the file yourself."
                .to_owned(),
        )
        .await?;
    // Nobody knows whether it happened.
    let work = at_work.begin("File away: Protokoll 11-20.odt", "Protokoll 11-20.odt", true).await?;
    let step = at_work
        .start(&work, "move", "move_file", move_of("Protokoll 11-20.odt", "Minutes/2026/Protokoll 11-20.odt"))
        .await?;
    let work = at_work.reload(&work).await?;
    let step = work.steps.iter().find(|s| s.id == step).ok_or("no step")?;
    at_work
        .worker()
        .outcome_unknown(store, &work, step, "Steward was stopped while the call was under way.".to_owned())
        .await?;
    // Waiting.
    let work = at_work.begin("File away: Rechnung März 2026.pdf", "Rechnung März 2026.pdf", true).await?;
    at_work
        .run_step(
            &work,
            "look",
            "get_file_info",
            json!({"path": "/home/ada/steward/inbox/Rechnung März 2026.pdf"}),
            r#"{"size": 182044, "isFile": true, "created": "2026-11-22T08:12:44Z"}"#,
        )
        .await?;
    at_work
        .ask(
            &at_work.reload(&work).await?,
            "move",
            "move_file",
            move_of("Rechnung März 2026.pdf", "Invoices/2026/03/Rechnung März 2026.pdf"),
        )
        .await?;
    let work = at_work.begin("Tidy the folder Downloads", "list.txt", false).await?;
    at_work.ask(&work, "write", "write_file", json!({"path": "/home/ada/steward/list.txt", "content": "one\ntwo\nthree\n", "overwrite": false, "attempts": 3})).await?;
    // Rejected with a note; last, since it wakes the task.
    let work = at_work.begin("File away: Angebot Müller.docx", "Angebot Müller.docx", true).await?;
    let id = at_work
        .ask(&work, "move", "move_file", move_of("Angebot Müller.docx", "Offers/2026/Angebot Müller.docx"))
        .await?;
    let no = domain::decide::Decision {
        approve: false,
        note: Some("Not yet: we are still talking to them.".to_owned()),
        arguments: None,
    };
    domain::decide::decide(store, &at_work.me, id, no).await?;
    led_by_a_model(store, &at_work).await?;
    plans(store, &at_work.me).await
}

/// Work that a model leads: a question answered, a limit reached, and the handbook it has read.
async fn led_by_a_model(store: &Store, at_work: &Desk<'_>) -> Done {
    domain::handbook::save(
        store,
        &at_work.me,
        0,
        "Ada runs a small bakery.\nInvoices go to Invoices/YEAR/MONTH.\n".to_owned(),
    )
    .await?;
    let second = "Ada runs a small bakery in Kiel.\nInvoices go to Invoices/YEAR/MONTH.\nNever write to the tax office by yourself.\n";
    domain::handbook::save(store, &at_work.me, 1, second.to_owned()).await?;
    for (title, question, kind, tool) in [
        (
            "Answer the mail of the mill",
            "They offer two kinds of rye flour: coarse and fine. Which do you want?",
            "question",
            domain::brain::ASK_PERSON,
        ),
        (
            "Compare the offers for a new oven",
            "May it go on? The limit task_usd is reached: this task has used $ 2.0041 of $ 2.0000; 23 calls are done",
            "budget",
            domain::brain::GRANT_MORE,
        ),
    ] {
        let mut new = NewTask::titled(title);
        new.assigned_to = Some(at_work.employee);
        tasks::create(&at_work.me, store, &new).await?;
        let worker = at_work.worker();
        let lease = worker.claim(store).await?.ok_or("nothing to claim")?;
        let work = work::open(&worker, store, &lease, "model:main", "{}").await?;
        let turn = NewTurn {
            run_id: work.run.id,
            task_id: work.task.id,
            ordinal: 0,
            model: "main".to_owned(),
            request_sha256: sha256_hex(title),
            request_bytes: 8123,
            attempt: work.lease.attempt,
        };
        let turn = worker.ask_model(store, &work.lease, turn).await?;
        let answer = json!({"text": "I looked at it; one thing is yours to say.", "calls": [{"id": "1", "name": tool, "arguments": {"question": question}}]});
        let end = TurnEnd {
            served_by: Some("claude-sonnet-4-5-20250929".to_owned()),
            answer: Some(answer.to_string()),
            input_tokens: 12_408,
            cached_tokens: 8_000,
            output_tokens: 214,
            cost_microusd: 18_834,
            error: None,
        };
        worker.end_turn(store, &work, turn, end, None).await?;
        let asked = work::Question {
            step: "turn 0 call 1".to_owned(),
            tool,
            action_type: kind,
            summary: question.to_owned(),
            arguments: json!({"question": question}),
        };
        worker.ask_person(store, &work, asked).await?;
    }
    Ok(())
}

/// Tasks of a person's own, with days, labels and an order.
async fn plans(store: &Store, me: &Actor) -> Done {
    let day = |n: i64| Some(store::now() + SignedDuration::from_hours(24 * n));
    let mut papers = NewTask::titled("Gather the receipts of the third quarter");
    (papers.due_date, papers.tags) = (day(2), vec!["tax".to_owned()]);
    let papers = tasks::create(me, store, &papers).await?;
    let mut bank = NewTask::titled("Ask the bank for the statement of interest");
    (bank.due_date, bank.priority) = (day(3), "high".to_owned());
    let bank = tasks::create(me, store, &bank).await?;
    let mut office = NewTask::titled("Call the tax office about the extension");
    office.description = Some("They are there until noon. The file number is on the last letter.".to_owned());
    (office.due_date, office.tags) = (day(6), vec!["tax".to_owned(), "call".to_owned()]);
    office.dependencies = vec![papers, bank];
    tasks::create(me, store, &office).await?;
    Ok(())
}

fn move_of(name: &str, to: &str) -> Json {
    json!({"source": format!("/home/ada/steward/inbox/{name}"), "destination": format!("/home/ada/steward/archive/{to}")})
}

async fn servers(store: &Store, me: &Actor) -> Done<Vec<ServerTool>> {
    let service = Actor::service();
    let id = mcp_servers::create(
        me,
        store,
        "files",
        "npx",
        ["-y", "@modelcontextprotocol/server-filesystem", "/home/ada/steward"].map(str::to_owned).to_vec(),
        None,
    )
    .await?;
    let path = json!({"type": "string", "description": "Path within the allowed folders"});
    let offers = [
        (
            "get_file_info",
            "Retrieve detailed metadata about a file or directory.",
            json!({"type": "object", "required": ["path"], "properties": {"path": path}}),
        ),
        (
            "move_file",
            "Move or rename files and directories. Fails if the destination exists.",
            json!({"type": "object", "required": ["source", "destination"], "properties": {"source": path, "destination": path}}),
        ),
        (
            "write_file",
            "Create a new file or overwrite an existing one.",
            json!({"type": "object", "required": ["path", "content"], "properties": {
            "path": path, "content": {"type": "string"}, "overwrite": {"type": "boolean"}, "attempts": {"type": "integer"}, "encoding": {"type": "string", "enum": ["utf-8", "latin-1"]}}}),
        ),
        (
            "read_media_file",
            "Read an image or audio file.",
            json!({"type": "object", "required": ["path"], "properties": {"path": path}}),
        ),
    ];
    for (place, (name, says, schema)) in offers.iter().enumerate() {
        let hash = sha256_hex(name);
        mcp_servers::see_tool(&service, store, id, name, Some(says), schema, &hash).await?;
        if place < 3 {
            mcp_servers::approve_tool(me, store, id, name, &hash, *name == "get_file_info").await?;
        }
    }
    mcp_servers::set_status(&service, store, id, "active", Some(vec!["tools".to_owned()]), Some(store::now())).await?;
    let broken =
        mcp_servers::create(me, store, "calendar", "calendar-mcp", vec!["--readonly".to_owned()], None).await?;
    mcp_servers::set_status(&service, store, broken, "error", None, None).await?;
    let said = [
        "calendar-mcp: cannot read credentials: no such file or directory",
        "the server ended with exit status 3; it is started again in 32 s",
    ];
    let lines: Vec<NewLogLine> = said.iter().map(|text| line("error", "server:calendar", text)).collect();
    system_logs::append(&service, store, &lines).await?;
    system_logs::append(
        &service,
        store,
        &[
            line("info", "watcher", "inbox: 4 files seen, 4 tasks made"),
            line("warning", "server:files", "slow answer: 4.2 s"),
        ],
    )
    .await?;
    Ok(mcp_servers::tools(me, store, id).await?)
}

fn line(level: &'static str, module: &str, message: &str) -> NewLogLine {
    NewLogLine {
        id: Uuid::now_v7(),
        timestamp: store::value::time_text(store::now()),
        level,
        module: module.to_owned(),
        message: message.to_owned(),
        user_id: None,
        task_id: None,
        request_id: None,
        ip_address: None,
        user_agent: None,
        metadata: json!({}),
    }
}

async fn rules(store: &Store, me: &Actor) -> Done {
    let rule = |name: &str, tool: &str, condition: Option<&str>, effect: &str, outside| NewPolicy {
        position: 0,
        name: name.to_owned(),
        server: "files".to_owned(),
        tool: tool.to_owned(),
        condition: condition.map(str::to_owned),
        outside,
        effect: effect.to_owned(),
        approval_ttl_minutes: 1440,
    };
    let all = [
        rule(
            "files: reading",
            "{read_file,read_text_file,list_directory,directory_tree,search_files,get_file_info}",
            None,
            "allow",
            true,
        ),
        rule(
            "never out of the house",
            "*",
            Some("has(args.destination) && !args.destination.startsWith(\"/home/ada/steward/\")"),
            "deny",
            false,
        ),
        rule("files: moving asks", "move_file", None, "ask", false),
    ];
    for new in all {
        domain::rules::add(store, me, new, None).await?;
    }
    Ok(())
}

async fn seen(store: &Store, me: &Actor) -> Done {
    let inbox = watchers::create(
        me,
        store,
        "inbox",
        "folder",
        json!({"path": "/home/ada/steward/inbox", "playbook": "file-away"}),
    )
    .await?;
    watchers::report(me, store, inbox, None).await?;
    let lost =
        watchers::create(me, store, "scanner", "folder", json!({"path": "/mnt/scanner", "playbook": "file-away"}))
            .await?;
    for _ in 0..3 {
        watchers::report(
            me,
            store,
            lost,
            Some("the folder /mnt/scanner is not there; make it or mount it, and it is looked at again by itself"),
        )
        .await?;
    }
    Ok(())
}

/// The employee at work for ada.
struct Desk<'a> {
    store: &'a Store,
    me: Actor,
    employee: Uuid,
    tools: Vec<ServerTool>,
}

impl Desk<'_> {
    fn worker(&self) -> Worker {
        Worker { actor: Actor::user(self.employee), name: "example/1".to_owned(), lease: SignedDuration::from_mins(10) }
    }

    async fn begin(&self, title: &str, file: &str, outside: bool) -> Done<Work> {
        let mut new = NewTask::titled(title);
        new.assigned_to = Some(self.employee);
        new.metadata =
            json!({"playbook": "file-away", "file": {"name": file, "path": format!("/home/ada/steward/inbox/{file}")}});
        let id = tasks::create(&self.me, self.store, &new).await?;
        let (source, detail) = if outside {
            ("watcher:inbox", json!({"path": format!("/home/ada/steward/inbox/{file}"), "owner": "ada"}))
        } else {
            ("desk", json!({}))
        };
        tasks::add_provenance(&self.me, self.store, id, outside, source, detail).await?;
        let attachment = NewAttachment {
            filename: file.to_owned(),
            original_filename: file.to_owned(),
            mime_type: Some("application/pdf".to_owned()),
            file_size: 182_044,
            storage_path: format!("ab/{id}"),
            task_id: id,
            hash_checksum: sha256_hex(file),
            expires_at: None,
        };
        file_attachments::create(&self.me, self.store, &attachment).await?;
        let lease = self.worker().claim(self.store).await?.ok_or("nothing to claim")?;
        Ok(work::open(&self.worker(), self.store, &lease, "file-away", "name: file-away\n").await?)
    }

    async fn reload(&self, work: &Work) -> Done<Work> {
        Ok(work::reopen(&self.worker(), self.store, &work.lease).await?.ok_or("no run")?)
    }

    fn call(step: &str, tool: &str, arguments: &Json) -> PlannedCall {
        let arguments = canonical_json(arguments);
        PlannedCall {
            step: step.to_owned(),
            server: "files".to_owned(),
            tool: tool.to_owned(),
            arguments_sha256: sha256_hex(&arguments),
            arguments,
        }
    }

    async fn start(&self, work: &Work, step: &str, tool: &str, arguments: Json) -> Done<Uuid> {
        let call = Self::call(step, tool, &arguments);
        let rule = store::policies::list(&self.me, self.store).await?.first().map(|p| (p.id, p.name.clone()));
        let verdict = Verdict {
            effect: Effect::Allow,
            rule,
            reason: "files: reading allows it".to_owned(),
            approval_ttl_minutes: 1440,
        };
        let id = self.worker().journal_allowed(self.store, work, call.clone(), &verdict).await?;
        self.worker().start(self.store, &work.lease, id, call.arguments, call.arguments_sha256, None).await?;
        Ok(id)
    }

    async fn run_step(&self, work: &Work, step: &str, tool: &str, arguments: Json, answer: &str) -> Done {
        let id = self.start(work, step, tool, arguments).await?;
        Ok(self.worker().end(self.store, &work.lease, id, "succeeded", Some(answer.to_owned()), None).await?)
    }

    async fn ask(&self, work: &Work, step: &str, tool: &str, arguments: Json) -> Done<Uuid> {
        let verdict = Verdict {
            effect: Effect::Ask,
            rule: None,
            reason: "the work is on content from outside, and no rule allows this there".to_owned(),
            approval_ttl_minutes: 1440,
        };
        let known = self.tools.iter().find(|t| t.name == tool).ok_or("no such tool")?;
        Ok(self.worker().ask(self.store, work, None, Self::call(step, tool, &arguments), &verdict, known).await?)
    }
}
