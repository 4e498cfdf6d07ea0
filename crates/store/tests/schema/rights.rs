//! `user_rights` on PostgreSQL: what is kept there is at any time what the tables it is made of say.

use tokio_postgres::Client;

use crate::fresh::{another, explain, with_postgres};
use crate::violations::{ADA, BOB, EVE, FIXTURE, OWEN};

/// Every right there is, for everybody: as it is kept, and as users, agents and `role_permissions` say (the rule as
/// `has_permission` once asked it).
const DIFFERENCES: &str = "
    SELECT u.username || ' ' || p.permission
    FROM users u, (SELECT permission FROM role_permissions UNION SELECT 'policy_admin' UNION SELECT 'task_admin' UNION SELECT 'nothing') p
    WHERE has_permission(u.id, p.permission) IS DISTINCT FROM (
        EXISTS (SELECT 1 FROM role_permissions g WHERE g.role = u.role AND u.status = 'active' AND g.permission IN ('*', p.permission))
        AND (NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id)
             OR (p.permission NOT IN ('approval_decide', 'approval_decide_own', 'policy_admin', 'server_admin', 'user_admin')
                 AND EXISTS (SELECT 1 FROM role_permissions g WHERE g.role = 'user' AND g.permission = p.permission))))
    ORDER BY 1";

async fn differences(db: &Client) -> Vec<String> {
    db.query(DIFFERENCES, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn rights(db: &Client, user: &str) -> Vec<String> {
    let sql = format!("SELECT permissions FROM user_rights WHERE user_id = '{user}'");
    db.query_opt(&sql, &[]).await.unwrap().map(|row| row.get(0)).unwrap_or_default()
}

#[tokio::test]
async fn rights_follow_every_change() {
    with_postgres(|db| async move {
        db.batch_execute(FIXTURE).await.unwrap_or_else(|e| panic!("{}", explain(&e)));
        assert_eq!(differences(&db).await, [""; 0]);
        assert_eq!((rights(&db, ADA).await, rights(&db, EVE).await), (vec!["*".to_owned()], Vec::new()));
        for change in [
            format!("UPDATE users SET status = 'active' WHERE id = '{EVE}'"),
            format!("UPDATE users SET status = 'suspended' WHERE id = '{BOB}'"),
            format!("UPDATE users SET role = 'observer', status = 'active' WHERE id = '{BOB}'"),
            format!("INSERT INTO agents (user_id) VALUES ('{ADA}'), ('{OWEN}')"),
            "UPDATE users SET role = 'admin'".to_owned(),
            "INSERT INTO role_permissions (role, permission) VALUES ('user', 'task_admin')".to_owned(),
            "DELETE FROM role_permissions WHERE role = 'user' AND permission = 'sign_in'".to_owned(),
            "UPDATE role_permissions SET permission = 'sign_in' WHERE permission = 'task_admin'".to_owned(),
            format!("DELETE FROM agents WHERE user_id = '{ADA}'"),
            "TRUNCATE agents".to_owned(),
            "DELETE FROM role_permissions WHERE permission = '*'".to_owned(),
            // A load with triggers off.
            format!(
                "BEGIN; SET LOCAL session_replication_role = replica; UPDATE users SET role = 'user' WHERE id = '{ADA}'; \
                 INSERT INTO users (id, username, email, password_hash) VALUES (gen_random_uuid(), 'new', 'new@example.org', 'x'); COMMIT"
            ),
            "TRUNCATE role_permissions".to_owned(),
        ] {
            let before: Vec<String> = db
                .query("SELECT user_id || array_to_string(permissions, ',') FROM user_rights ORDER BY 1", &[])
                .await
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            db.batch_execute(&change).await.unwrap_or_else(|e| panic!("{change}: {}", explain(&e)));
            assert_eq!(differences(&db).await, [""; 0], "{change}");
            let after = "SELECT user_id || array_to_string(permissions, ',') FROM user_rights ORDER BY 1";
            let after: Vec<String> = db.query(after, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
            assert_ne!(before, after, "{change}: it changes nobody's rights, and shows nothing");
        }
    })
    .await;
}

/// Two who change what one person may do, at once: the later one waits, and then sees what the earlier one did.
#[tokio::test]
async fn two_changes_at_once_do_not_lose_each_other() {
    with_postgres(|db| async move {
        db.batch_execute(FIXTURE).await.unwrap_or_else(|e| panic!("{}", explain(&e)));
        let other = another(&db).await;
        let waits = another(&db).await;
        let pid: i32 = other.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        db.batch_execute(&format!("BEGIN; UPDATE users SET role = 'admin' WHERE id = '{BOB}'")).await.unwrap();
        let second = tokio::spawn(async move {
            other.batch_execute(&format!("INSERT INTO agents (user_id) VALUES ('{BOB}')")).await
        });
        let blocked = "SELECT cardinality(pg_blocking_pids($1)) > 0";
        while !waits.query_one(blocked, &[&pid]).await.unwrap().get::<_, bool>(0) {
            assert!(!second.is_finished(), "it must wait for the first change");
            tokio::task::yield_now().await;
        }
        db.batch_execute("COMMIT").await.unwrap();
        second.await.unwrap().unwrap_or_else(|e| panic!("{}", explain(&e)));
        assert_eq!(differences(&db).await, [""; 0]);
        assert!(!rights(&db, BOB).await.contains(&"*".to_owned()), "an agent has no administrator's rights");
    })
    .await;
}

/// The view reads as its owner and shows one's own row alone; nobody's without a name.
#[tokio::test]
async fn one_sees_ones_own_rights() {
    with_postgres(|db| async move {
        db.batch_execute(FIXTURE).await.unwrap_or_else(|e| panic!("{}", explain(&e)));
        for (user, expected) in [(BOB, rights(&db, BOB).await), (ADA, vec!["*".to_owned()]), ("", Vec::new())] {
            db.batch_execute("BEGIN; SET LOCAL ROLE app_user").await.unwrap();
            db.execute("SELECT set_config('app.current_user_id', $1, true)", &[&user]).await.unwrap();
            let seen = db.query("SELECT permissions FROM my_rights", &[]).await.unwrap();
            assert_eq!(seen.len(), usize::from(!user.is_empty()), "{user}");
            assert_eq!(
                seen.iter().flat_map(|row| row.get::<_, Vec<String>>(0)).collect::<Vec<_>>(),
                expected,
                "{user}"
            );
            db.batch_execute("ROLLBACK").await.unwrap();
        }
    })
    .await;
}
