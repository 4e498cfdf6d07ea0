//! The functions that the specification names, called as another program calls them: plainly, by a login that is a
//! member of `app_user` (or, for the daily clean-up, of `app_service`) and of nothing else.

use futures_util::future::join_all;
use store::{Config, sessions};
use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

use crate::common::{self, Db, Engine, id, in_seconds};

/// A login of another program.
struct Login {
    name: String,
    config: Config,
}

impl Login {
    async fn of(db: &Db, owner: &Client, role: &str) -> Self {
        let name = format!("steward_other_{}", Uuid::now_v7().simple());
        owner.batch_execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE {role}")).await.unwrap();
        let mut config = db.config.clone();
        common::target(&mut config).user(&name).password(&name);
        Self { name, config }
    }
}

/// Says who acts, for the session, as the specification's text expects it of a program.
async fn act_as(client: &Client, user: Option<Uuid>) {
    let user = user.map(|id| id.to_string()).unwrap_or_default();
    client.batch_execute(&format!("SET app.current_user_id = '{user}'")).await.unwrap();
}

/// The refusal's SQLSTATE and words.
fn refused<T: std::fmt::Debug>(result: Result<T, tokio_postgres::Error>) -> (SqlState, String) {
    let error = result.unwrap_err();
    let told = error.as_db_error().unwrap();
    (told.code().clone(), told.message().to_owned())
}

async fn everything(db: &Db, owner: &Client, client: &Client, service: &Client) {
    let (ada, bob, cat, sus) = (id(&db.ada), id(&db.bob), id(&db.cat), id(&db.sus));

    // current_user_id(): NULL when unset or empty.
    let me = "SELECT current_user_id()";
    assert_eq!(client.query_one(me, &[]).await.unwrap().get::<_, Option<Uuid>>(0), None);
    act_as(client, Some(bob)).await;
    assert_eq!(client.query_one(me, &[]).await.unwrap().get::<_, Option<Uuid>>(0), Some(bob));
    act_as(client, None).await;
    assert_eq!(client.query_one(me, &[]).await.unwrap().get::<_, Option<Uuid>>(0), None);

    // has_permission(): rows of role_permissions; none for who is not active, nor beyond a user's for an agent.
    for (user, permission, may) in [
        (ada, "task_assign", true),
        (bob, "task_assign", false),
        (bob, "task_create", true),
        (sus, "task_create", false),
        (id(&db.ina), "sign_in", false),
        (id(&db.obs), "task_view_all", true),
        (id(&db.employee), "task_create", true),
        (id(&db.employee), "approval_decide_own", false),
        (id(&db.admin_agent), "task_view_all", false),
        (id(&db.admin_agent), "task_create", true),
        (Uuid::nil(), "task_create", false),
    ] {
        let row = client.query_one("SELECT has_permission($1, $2)", &[&user, &permission]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), may, "{user} {permission}");
    }

    // assign_task(task, assignee, caller): the caller is who he says, may do it, and all of it is in the audit trail once.
    let assign = "SELECT assign_task(p_task_id => $1, p_assignee_id => $2, p_current_user_id => $3)";
    let task = db.task("Move the invoices").await;
    act_as(client, Some(cat)).await;
    let (code, told) = refused(client.execute(assign, &[&task, &cat, &cat]).await);
    assert_eq!((code, told.as_str()), (SqlState::INSUFFICIENT_PRIVILEGE, "Permission denied: Cannot assign tasks"));
    let (code, _) = refused(client.execute(assign, &[&task, &cat, &ada]).await);
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "nobody speaks for another");
    act_as(client, Some(bob)).await;
    let (code, told) = refused(client.execute(assign, &[&task, &sus, &bob]).await);
    assert_eq!((code, told.contains("not an active user")), (SqlState::FOREIGN_KEY_VIOLATION, true), "{told}");
    client.execute(assign, &[&task, &cat, &bob]).await.unwrap();
    act_as(client, Some(ada)).await;
    let (code, told) = refused(client.execute(assign, &[&Uuid::nil(), &cat, &ada]).await);
    assert_eq!((code, told.contains("not found")), (SqlState::NO_DATA_FOUND, true), "{told}");
    let rows = owner
        .query(
            "SELECT user_id, old_values ->> 'assigned_to', new_values ->> 'assigned_to' FROM audit_trail \
             WHERE action = 'task_assigned' AND entity_type = 'task' AND entity_id = $1",
            &[&task],
        )
        .await
        .unwrap();
    let rows: Vec<(Uuid, String, String)> = rows.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
    assert_eq!(rows, [(bob, id(&db.employee).to_string(), cat.to_string())]);

    // search_tasks(query, limit): the same tasks as the policies show.
    let search = "SELECT count(*) FROM search_tasks($1)";
    for (user, seen) in [(Some(bob), 1), (Some(cat), 1), (Some(id(&db.obs)), 1), (Some(sus), 0), (None, 0)] {
        act_as(client, user).await;
        assert_eq!(client.query_one(search, &[&"invoice"]).await.unwrap().get::<_, i64>(0), seen, "{user:?}");
    }
    act_as(client, Some(bob)).await;
    assert_eq!(
        client.query_one("SELECT count(*) FROM search_tasks('invoice', 0)", &[]).await.unwrap().get::<_, i64>(0),
        0
    );

    // cleanup_expired_sessions(): how many; for the clock, not for everybody.
    let on = &db.store;
    for (n, seconds) in [('a', -60), ('b', 60)] {
        let token = n.to_string().repeat(64);
        sessions::create(&db.service, on, bob, &token, in_seconds(seconds), None, None).await.unwrap();
    }
    let clean = "SELECT cleanup_expired_sessions()";
    assert_eq!(refused(client.query_one(clean, &[]).await).0, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(service.query_one(clean, &[]).await.unwrap().get::<_, i32>(0), 1);
    assert_eq!(service.query_one(clean, &[]).await.unwrap().get::<_, i32>(0), 0);

    // What a condition of the reader's sees are rows he may see: no error of it tells of others.
    act_as(client, Some(bob)).await;
    let curious = "SELECT id FROM accounts WHERE id <> current_user_id() AND email::integer = 1";
    assert!(client.query(curious, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_program_calls_the_functions_as_specified() {
    common::with(Engine::Postgres, async |db| {
        let owner = common::connect(&db.owner).await;
        let logins = join_all(["app_user", "app_service"].map(|role| Login::of(db, &owner, role))).await;
        let (client, service) = (common::connect(&logins[0].config).await, common::connect(&logins[1].config).await);
        everything(db, &owner, &client, &service).await;
        drop((client, service));
        for login in logins {
            owner.batch_execute(&format!("DROP ROLE {}", login.name)).await.unwrap();
        }
    })
    .await;
}
