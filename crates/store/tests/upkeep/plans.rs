//! What a page costs on PostgreSQL where one person owns nearly everything: it must walk the index that begins with that
//! person, for each who asks and whoever asked first. bench/src/plans looks at every statement in a big database of many.

use serde_json::Value as Json;
use store::every_statement;
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

use crate::common::{Db, Engine, connect, id, with};

/// Tasks, nearly all of them completed, bob's, and half of them the employee's to do; and an approval for each tenth.
const DATA: &str = "
SET session_replication_role = replica;
INSERT INTO tasks (id, title, status, priority, created_by, assigned_to, created_at, updated_at, completed_at)
SELECT md5('t' || n)::uuid, 'task ' || n, CASE WHEN n % 4000 = 7 THEN 'pending' ELSE 'completed' END, 'medium', '{bob}',
       CASE WHEN n % 2 = 0 THEN '{employee}'::uuid END, now() - n * interval '1 minute', now(),
       CASE WHEN n % 4000 = 7 THEN NULL ELSE now() END
FROM generate_series(1, 20000) n;
INSERT INTO approvals (id, task_id, requested_by, action_type, details, status, created_at, expires_at, approved_by, approved_at)
SELECT md5('a' || n)::uuid, md5('t' || n)::uuid, '{employee}', 'tool_call', '{}', CASE WHEN n % 2000 = 0 THEN 'pending' ELSE 'approved' END,
       now() - n * interval '1 minute', now() + interval '1 day', CASE WHEN n % 2000 = 0 THEN NULL ELSE '{bob}'::uuid END,
       CASE WHEN n % 2000 = 0 THEN NULL ELSE now() END
FROM generate_series(10, 20000, 10) n;
INSERT INTO task_provenance (task_id, outside, source, detail, created_at)
SELECT md5('t' || n)::uuid, true, 'watcher:' || n % 500, '{}', now() - n * interval '1 minute' FROM generate_series(1, 20000) n;
SET session_replication_role = origin;
ANALYZE;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
";

const FIRST: &str = "'9999-12-30', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 20";

/// A statement with its values, and the index that each of its walks takes.
const PLANS: &[(&str, &str, &[&str])] = &[
    ("tasks/list", "", &["idx_tasks_created_by_newest", "idx_tasks_assigned_to_newest"]),
    (
        "tasks/list_status",
        ", 'pending'",
        &["idx_tasks_created_by_status_newest", "idx_tasks_assigned_to_status_newest"],
    ),
    (
        "tasks/list_status",
        ", 'completed'",
        &["idx_tasks_created_by_status_newest", "idx_tasks_assigned_to_status_newest"],
    ),
    ("approvals/list_open", "", &["idx_approvals_status_newest"]),
];

/// More than a page of any of them touches, and less than a tenth of the table.
const BLOCKS: u64 = 400;

/// The indexes of a plan, and the blocks it touched.
async fn explain(client: &Client, actor: Uuid, name: &str, values: &str) -> (Vec<String>, u64) {
    let context = format!(
        "BEGIN; SELECT set_config('role', 'app_user', true), set_config('app.current_user_id', '{actor}', true)"
    );
    client.batch_execute(&context).await.unwrap();
    let ask = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}({values})");
    // Once to warm what the session remembers of the catalogue, which would count as blocks.
    client.simple_query(&ask).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let said = client.simple_query(&ask).await;
    let said = said.unwrap_or_else(|e| panic!("{name}: {e:?}"));
    client.batch_execute("ROLLBACK").await.unwrap();
    let text: String = said
        .iter()
        .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None })
        .collect();
    let plan: Json = serde_json::from_str(&text).unwrap();
    let top = &plan[0]["Plan"];
    let (mut found, mut open) = (Vec::new(), vec![top]);
    while let Some(node) = open.pop() {
        if node["Node Type"] == "Seq Scan" && node["Relation Name"] != "user_rights" && node["Actual Loops"] != 0 {
            found.push(format!("all of {}", node["Relation Name"]));
        }
        found.extend(node["Index Name"].as_str().map(str::to_owned));
        open.extend(node["Plans"].as_array().into_iter().flatten());
    }
    (found, top["Shared Hit Blocks"].as_u64().unwrap() + top["Shared Read Blocks"].as_u64().unwrap())
}

async fn one_person_s_pages_cost_no_more_for_all_that_is_his(db: &Db) {
    let client = connect(&db.owner).await;
    let people = [("{bob}", id(&db.bob)), ("{employee}", id(&db.employee))];
    let data = people.iter().fold(DATA.to_owned(), |sql, (name, id)| sql.replace(name, &id.to_string()));
    client.batch_execute(&data).await.unwrap();
    let every = every_statement();
    let prepare = async |place: usize, name: &str| {
        let statement = every.iter().find(|s| s.name == name).unwrap();
        client.batch_execute(&format!("PREPARE s{place} AS {}", statement.postgres())).await.unwrap();
    };
    for (place, (name, _, _)) in PLANS.iter().enumerate() {
        prepare(place, name).await;
    }
    // Bob owns what there is and asks first: the plans that are made then serve everybody after him.
    for actor in [&db.bob, &db.employee, &db.cat, &db.ada] {
        for (place, (name, more, expected)) in PLANS.iter().enumerate() {
            let (indexes, blocks) = explain(&client, id(actor), &format!("s{place}"), &format!("{FIRST}{more}")).await;
            for index in *expected {
                assert!(indexes.iter().any(|i| i == index), "{name}{more} by {indexes:?}");
            }
            assert!(!indexes.iter().any(|i| i.starts_with("all of")), "{name}{more} reads {indexes:?}");
            assert!(blocks < BLOCKS, "{name}{more} as {actor:?} touches {blocks} blocks: {indexes:?}");
        }
    }
    for (place, (name, values, index)) in [
        ("approvals/list", FIRST, "idx_approvals_newest"),
        ("approvals/waiting", "100", "idx_approvals_status"),
        ("briefing/open", "1000", "idx_tasks_"),
        ("tasks/summaries", FIRST, "idx_tasks_created_by_newest"),
        ("tasks/of_source", "'watcher:7', now() - interval '1 year'", "idx_task_provenance_source"),
    ]
    .into_iter()
    .enumerate()
    {
        prepare(100 + place, name).await;
        for actor in [&db.bob, &db.employee] {
            let (indexes, blocks) = explain(&client, id(actor), &format!("s{}", 100 + place), values).await;
            assert!(blocks < BLOCKS, "{name} as {actor:?} touches {blocks} blocks: {indexes:?}");
            assert!(indexes.iter().any(|i| i.starts_with(index)), "{name} by {indexes:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nearly_everything_is_one_person_s() {
    with(Engine::Postgres, one_person_s_pages_cost_no_more_for_all_that_is_his).await;
}
