//! A place belongs to one database: what was restored or copied from it writes there only once it has been told to.

use std::path::Path;

use backup::{Engine, Error, Safe, claim::Whose};
use jiff::SignedDuration;

use crate::world::{World, config};

/// The safe of a Steward that was started on a folder beside the world's own, with the same place.
fn beside(world: &World, folder: &Path) -> Safe {
    Safe {
        engine: Engine::of(&config(folder)),
        attachments_dir: folder.join("attachments"),
        data_dir: folder.to_owned(),
        scratch_dir: folder.join("backup"),
        ..world.safe()
    }
}

async fn names(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["bundles", "log", "files"] {
        found.extend(world.place().list(folder).await.unwrap().into_iter().map(|e| e.name));
    }
    found
}

fn is_refused<T: std::fmt::Debug>(done: Result<T, Error>) -> String {
    let Err(error @ Error::NotOwn { .. }) = done else { panic!("the place is another's: {done:?}") };
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_keeps_its_hands_off_the_place_until_it_takes_it_over() {
    let world = World::new(true).await;
    let first = world.safe().create().await.unwrap();
    world.attach("the invoice").await;
    world.shipping().tick().unwrap();
    world.send().await.unwrap();
    let copy = beside(&world, &world.restore("copy", None).await.unwrap());
    let before = names(&world).await;
    let said = is_refused(copy.create().await);
    assert!(said.contains("another SQLite database") && said.contains("--take-over"), "{said}");
    is_refused(copy.let_go(store::now() + SignedDuration::from_hours(48)).await);
    is_refused(copy.claim().hold().await);
    assert_eq!(names(&world).await, before, "nothing was written and nothing was swept");
    // Whoever only reads may go on.
    assert_eq!(copy.list().await.unwrap().bundles.len(), 1);
    copy.verify(None, &world.opener()).await.unwrap();
    copy.drill(&world.opener()).await.unwrap();
    // The original never notices.
    let second = world.safe().create().await.unwrap();
    assert!(matches!(world.safe().claim().whose().await.unwrap(), Whose::Own(_)));

    // The disaster: the copy goes on in the place of the original.
    let former = copy.claim().take_over().await.unwrap().unwrap();
    assert_eq!(copy.claim().take_over().await.unwrap(), None, "once");
    let third = copy.create().await.unwrap();
    is_refused(world.safe().create().await);
    let there: Vec<String> = world.safe().list().await.unwrap().bundles.into_iter().map(|b| b.id).collect();
    assert_ne!(second.id, third.id);
    assert_eq!(there, [first.id, third.id], "what was there goes by its count: the newest of a day stays");
    assert_eq!(former.engine, "SQLite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restored_in_its_own_place_goes_on_there() {
    let world = World::new(false).await;
    world.safe().create().await.unwrap();
    let into = world.data();
    let wish = backup::safe::Wish { id: None, to: None, into, replace: true };
    world.safe().restore(&wish, &world.opener()).await.unwrap();
    world.safe().create().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_folder_is_refused_and_a_copied_machine_is_noticed() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let mark = world.data().join("steward.db-place");
    let knows_its_birth = std::fs::metadata(&mark).unwrap().created().is_ok();
    if knows_its_birth {
        let folder = world.dir.path().join("copied");
        std::fs::create_dir_all(folder.join("backup")).unwrap();
        for name in ["steward.db", "steward.db-place", "backup/shipping.json"] {
            std::fs::copy(world.data().join(name), folder.join(name)).unwrap();
        }
        let copy = beside(&world, &folder);
        assert!(is_refused(copy.create().await).contains("this folder is a copy"));
        // Taken over, it begins a series of its own.
        copy.claim().take_over().await.unwrap();
        assert!(!folder.join("backup/shipping.json").exists());
        copy.claim().check().await.unwrap();
        assert!(is_refused(world.safe().create().await).contains("another SQLite database"));
        assert_eq!(world.safe().claim().take_over().await.unwrap().unwrap().engine, "SQLite");
        // Whoever follows the log meanwhile goes on with nothing that was forgotten.
        assert!(world.data().join("backup/forgotten").exists());
    }
    // A machine that was copied is alike to the last byte: who writes first goes on, and the other one is told.
    let noted = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&mark).unwrap()).unwrap();
    let before = noted();
    world.safe().create().await.unwrap();
    let mut as_copied = noted();
    as_copied["turns"] = before["turns"].clone();
    std::fs::write(&mark, as_copied.to_string()).unwrap();
    assert!(is_refused(world.safe().create().await).contains("or of this machine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_of_before_is_its_writers() {
    let world = World::new(true).await;
    world.safe().create().await.unwrap();
    let of_before = |folder: &Path| {
        std::fs::remove_file(world.kept().join("owner.json")).unwrap();
        std::fs::remove_file(folder.join("steward.db-place")).unwrap();
    };
    let into = world.restore("copy", None).await.unwrap();
    let copy = beside(&world, &into);
    // The copy of before knows nothing of having been restored, but it never wrote there.
    of_before(&into);
    assert!(is_refused(copy.create().await).contains("never shipped"));
    world.safe().create().await.unwrap();
    of_before(&world.data());
    world.safe().create().await.unwrap();
    assert!(world.kept().join("owner.json").is_file(), "it is noted now");
    // And one that knows it is refused in any case.
    std::fs::remove_file(world.kept().join("owner.json")).unwrap();
    let again = beside(&world, &world.restore("again", None).await.unwrap());
    assert!(is_refused(again.create().await).contains("restored"));
}
