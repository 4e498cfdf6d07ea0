//! What only PostgreSQL can be asked: partitions by their own names, whole tables, functions, roles, and names put in
//! front of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    pin::pin,
};

use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::{TABLES, owner::Owner};
use crate::{
    Actor, Principal,
    common::{self, Db, kind},
    postgres::translate,
};

/// Who tries here.
const WHO: &[&str] = &["user", "admin", "agent", "service"];

/// Another program's connection, within a transaction, as the actor. It needs none of our code for that.
pub async fn acting_as(db: &Db, actor: &Actor) -> Client {
    let client = common::connect(&db.config).await;
    client.batch_execute("BEGIN").await.unwrap();
    become_actor(&client, actor).await;
    client
}

async fn become_actor(client: &Client, actor: &Actor) {
    let role = if actor.principal == Principal::Service { "app_service" } else { "app_user" };
    let user = actor.user_id().map(|id| id.to_string()).unwrap_or_default();
    client.batch_execute(&format!("SET LOCAL ROLE {role}; SET LOCAL app.current_user_id = '{user}'")).await.unwrap();
}

/// One try in a transaction of its own: `done`, or what refused it.
async fn tried(db: &Db, client: &Client, actor: &Actor, sql: &str) -> String {
    // The client's library loses its place where COPY is refused.
    let own = if sql.ends_with("STDIN") { Some(common::connect(&db.config).await) } else { None };
    let client = own.as_ref().unwrap_or(client);
    client.batch_execute("BEGIN").await.unwrap();
    become_actor(client, actor).await;
    let answer = if sql.starts_with("COPY") && sql.ends_with("STDOUT") {
        match client.copy_out(sql).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.map(drop),
            Err(e) => Err(e),
        }
    } else if sql.starts_with("COPY") && sql.ends_with("STDIN") {
        // No row, which is enough to be allowed.
        match client.copy_in::<_, &[u8]>(sql).await {
            Ok(sink) => pin!(sink).finish().await.map(drop),
            Err(e) => Err(e),
        }
    } else {
        client.batch_execute(sql).await
    };
    let ended = client.batch_execute("ROLLBACK").await;
    assert!(ended.is_ok() || own.is_some(), "{sql}: {ended:?}");
    let Err(e) = answer else { return "done".to_owned() };
    if let Some("0A000" | "55000" | "42809" | "0LP01") = e.code().map(tokio_postgres::error::SqlState::code) {
        return "refused".to_owned();
    }
    let told = kind(&translate("raw", &e));
    assert!(!told.contains("unexpected"), "{sql} in {}: {told}", db.config.describe());
    told
}

/// `WHO` each, one column each.
async fn each(db: &Db, client: &Client, sql: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for actor in [&db.bob, &db.ada, &db.employee, &db.service] {
        answers.push(tried(db, client, actor, sql).await);
    }
    answers
}

/// Relations that PostgreSQL alone has: rights as policies look them up.
const ONLY_POSTGRES: [&str; 2] = ["my_rights", "user_rights"];

/// The section of the golden file.
pub async fn section(db: &Db, owner: &Owner) -> String {
    let known: BTreeSet<String> = TABLES.iter().map(|t| t.0).chain(ONLY_POSTGRES).map(str::to_owned).collect();
    assert_eq!(
        owner.relations().await.into_iter().collect::<BTreeSet<_>>(),
        known,
        "a table is not tried: add it to TABLES"
    );
    let client = common::connect(&db.config).await;
    let mut text = String::from("\n# Only on PostgreSQL: whole tables, and partitions by their own names.\n");
    whole_tables(db, owner, &client, &mut text).await;
    text.push_str("\n# Only on PostgreSQL: functions; who may call them. A trigger's can be called by nobody.\n");
    functions(owner, &mut text).await;
    text.push_str(
        "\n# Only on PostgreSQL: a way around, tried by a program whose login is a member of app_user alone.\n",
    );
    ways_around(db, owner, &mut text).await;
    text
}

fn line(text: &mut String, answers: &[String], told: &str) {
    for answer in answers {
        write!(text, "{answer:<10}").unwrap();
    }
    writeln!(text, "{told}").unwrap();
}

async fn whole_tables(db: &Db, owner: &Owner, client: &Client, text: &mut String) {
    let words: Vec<String> = WHO.iter().map(|w| (*w).to_owned()).collect();
    line(text, &words, "try");
    let views: Vec<String> = owner
        .texts("SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'")
        .await
        .into_iter()
        .flatten()
        .collect();
    for relation in ONLY_POSTGRES {
        for try_ in [
            "SELECT 1 FROM {}",
            "INSERT INTO {} (permissions) VALUES ('{*}')",
            "UPDATE {} SET permissions = '{*}'",
            "DELETE FROM {}",
        ] {
            let sql = try_.replacen("{}", relation, 1);
            line(text, &each(db, client, &sql).await, &sql);
        }
    }
    let tables: Vec<&str> =
        TABLES.iter().map(|t| t.0).chain(ONLY_POSTGRES).filter(|t| !views.iter().any(|v| v == t)).collect();
    for try_ in ["TRUNCATE {}", "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", "COPY {} TO STDOUT", "COPY {} FROM STDIN"] {
        let mut groups: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for table in &tables {
            groups.entry(each(db, client, &try_.replace("{}", table)).await).or_default().push(table);
        }
        for (answers, tables) in groups {
            line(text, &answers, &try_.replace("{}", &format!("({})", tables.join(" "))));
        }
    }
    // Every month is like every other; which there are depends on the day.
    let partitions = owner
        .texts("SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace")
        .await;
    assert!(partitions.len() > 3, "months, and the one for the rest");
    let month = regex::Regex::new(r"_\d{4}_\d{2}\b").unwrap();
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in partitions.into_iter().flatten() {
        for try_ in [
            "SELECT 1 FROM {}",
            "INSERT INTO {} (level) VALUES ('info')",
            "UPDATE {} SET level = 'info'",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "LOCK TABLE {} IN ACCESS SHARE MODE",
            "COPY {} TO STDOUT",
            "COPY {} FROM STDIN",
            "ALTER TABLE system_logs DETACH PARTITION {}",
        ] {
            let sql = try_.replace("{}", &partition);
            let answers = each(db, client, &sql).await;
            let before = lines.insert(month.replace(&sql, "_<month>").into_owned(), answers.clone());
            assert!(before.is_none_or(|b| b == answers), "{sql} is answered unlike that of another month");
        }
    }
    for (sql, answers) in lines {
        line(text, &answers, &sql);
    }
}

async fn functions(owner: &Owner, text: &mut String) {
    let heads = ["app_user", "service", "anybody"].map(str::to_owned);
    line(text, &heads, "function");
    let rows = owner
        .texts(
            "SELECT p.oid::regprocedure::text, (p.prorettype = 'trigger'::regtype)::text, p.prosecdef::text, \
             has_function_privilege('app_user', p.oid, 'EXECUTE')::text, has_function_privilege('app_service', p.oid, 'EXECUTE')::text, \
             has_function_privilege('public', p.oid, 'EXECUTE')::text \
             FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace \
             AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') \
             ORDER BY p.oid::regprocedure::text COLLATE \"C\"",
        )
        .await;
    for row in rows {
        let [name, trigger, definer, rest @ ..] = &row[..] else { panic!("six columns") };
        let may: Vec<String> =
            rest.iter().map(|yes| if yes == "true" && trigger == "false" { "may" } else { "-" }.to_owned()).collect();
        let how = match (trigger.as_str(), definer.as_str()) {
            ("true", "true") => " trigger, definer",
            ("true", _) => " trigger",
            (_, "true") => " definer",
            _ => "",
        };
        line(text, &may, &format!("{name}{how}"));
        assert!(!(definer == "true" && trigger == "false" && rest[2] == "true"), "anybody may call the definer {name}");
    }
}

const WAYS_AROUND: &[&str] = &[
    "SET ROLE app_service",
    "SET ROLE app_definer",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "SET row_security = off; SELECT 1 FROM public.tasks",
    "ALTER TABLE public.tasks DISABLE TRIGGER ALL",
    "ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE public.tasks NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY user_can_view_own_tasks ON public.tasks",
    "CREATE POLICY mine ON public.tasks USING (true)",
    "CREATE RULE mine AS ON INSERT TO public.audit_trail DO INSTEAD NOTHING",
    "CREATE TRIGGER mine BEFORE INSERT ON public.audit_trail EXECUTE FUNCTION public.set_updated_at()",
    "ALTER FUNCTION public.has_permission(uuid, text) OWNER TO app_user",
    "CREATE OR REPLACE FUNCTION public.current_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
    "CREATE TABLE public.shadow (id uuid)",
    "CREATE SCHEMA shadow",
    "CREATE TEMP TABLE audit_trail (id uuid)",
    "CREATE TEMP VIEW users AS SELECT 1",
    "CREATE FUNCTION pg_temp.has_permission(uuid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE OPERATOR pg_temp.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = pg_catalog.uuid_eq)",
    "CREATE EXTENSION pg_trgm",
    "GRANT app_service TO CURRENT_USER",
    "GRANT SELECT ON public.sessions TO PUBLIC",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/steward-copied'",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT token FROM public.sessions",
    "SELECT password_hash FROM public.users",
    "SELECT environment FROM public.mcp_servers",
];

async fn ways_around(db: &Db, owner: &Owner, text: &mut String) {
    let Owner::Postgres(admin) = owner else { panic!("this is PostgreSQL") };
    let login = Login::new(db, admin).await;
    let client = common::connect(&login.config).await;
    for sql in WAYS_AROUND {
        // As an administrator of Steward's, who may more than others.
        let answer = tried(db, &client, &db.ada, sql).await;
        line(text, &[answer], sql);
    }
    drop(client);
    login.remove(admin).await;
}

/// A login that is a member of `app_user` and of nothing else, as another program's would be.
pub struct Login {
    name: String,
    pub config: crate::Config,
}

impl Login {
    pub async fn new(db: &Db, admin: &Client) -> Self {
        let name = format!("steward_other_{}", uuid::Uuid::now_v7().simple());
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE app_user")).await.unwrap();
        let mut config = db.config.clone();
        common::target(&mut config).user(&name).password(&name);
        Self { name, config }
    }

    pub async fn remove(self, admin: &Client) {
        admin.batch_execute(&format!("DROP ROLE {}", self.name)).await.unwrap();
    }
}
