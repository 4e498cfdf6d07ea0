//! Migrations march in step: the same number, the same name and the same meaning on both databases.

use crate::fresh;

#[test]
fn migrations_march_in_step() {
    let postgres = fresh::migrations("postgres");
    let sqlite = fresh::migrations("sqlite");
    let names = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(
        names(&postgres),
        names(&sqlite),
        "each migration stands under migrations/postgres and migrations/sqlite"
    );
    for (index, (name, _)) in postgres.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name} leaves a gap in the numbers");
    }
    let known: Vec<String> =
        store::migrate::MIGRATIONS.iter().map(|m| format!("{:04}_{}.sql", m.version, m.name)).collect();
    assert_eq!(names(&postgres), known, "every file is in store::migrate::MIGRATIONS, in order");
    for (name, text) in postgres.iter().chain(&sqlite) {
        let opening = text.lines().next().unwrap_or_default();
        assert!(opening.starts_with("-- "), "{name} opens with a line that says what it is for");
        let statements = text.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with("--"));
        assert!(statements || text.trim().len() > 40, "{name} does nothing and does not say why");
        // All or nothing: the migrator holds the transaction.
        let own_transaction = text.lines().any(|l| matches!(l.trim(), "BEGIN;" | "COMMIT;" | "ROLLBACK;"));
        assert!(
            !own_transaction && (!text.contains("CONCURRENTLY") || text.lines().any(|l| l == "-- online")),
            "{name} can't run within the migrator's transaction"
        );
    }
}
