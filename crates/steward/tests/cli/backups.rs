//! The place of the backups, as an operator meets it who starts a restored copy.

use serde_json::Value;

use crate::desk::Desk;

#[test]
fn a_restored_copy_says_that_the_place_is_anothers_and_takes_it_over_when_told_to() {
    let kept = tempfile::tempdir().unwrap();
    let desk = Desk::set_up().env("STEWARD_BACKUP_TARGET", kept.path().to_str().unwrap());
    desk.run(&["backup", "create"]).done();
    let copy = desk.home().join("copy").display().to_string();
    desk.run(&["backup", "restore", "--into", &copy]).done();
    std::fs::copy(desk.data().join("master.key"), format!("{copy}/master.key")).unwrap();
    let there = |args: &[&str]| desk.run(&[&["--data-dir", copy.as_str()], args].concat());

    let said = there(&["backup", "create"]).refused();
    assert!(
        said.contains("belongs to another database") && said.contains("steward backup setup --take-over"),
        "{said}"
    );
    let owner = |out: &str| {
        let all: Vec<Value> = serde_json::from_str(out).unwrap();
        all.into_iter().find(|f| f["what"] == "backup owner").unwrap()
    };
    let told = owner(&there(&["doctor", "--json"]).out);
    assert_eq!(told["state"], "wrong", "{told}");
    assert!(told["said"].as_str().unwrap().starts_with("no backups are kept of this database"), "{told}");
    let set_up = there(&["backup", "setup"]);
    assert!(set_up.code == 1 && set_up.out.contains("another database"), "{set_up:?}");
    // It may look, and try out.
    assert!(there(&["backup", "list"]).done().contains("SQLite"));
    there(&["backup", "drill"]).done();

    let asked = there(&["backup", "setup", "--take-over"]);
    assert!(asked.code == 1 && asked.err.contains("nothing was changed"), "{asked:?}");
    let taken = there(&["backup", "setup", "--take-over", "--yes"]).done();
    assert!(taken.contains("is this database's now"), "{taken}");
    there(&["backup", "create"]).done();
    assert_eq!(owner(&there(&["doctor", "--json"]).out)["state"], "well");
    desk.run(&["backup", "create"]).refused();
}
