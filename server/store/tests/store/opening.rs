//! Opening, closing, claims.

use plimsoll_store::*;

use crate::made::*;

#[tokio::test]
async fn the_directory_is_made_for_its_owner_only() {
    let parent = tempfile::TempDir::new().unwrap();
    let directory = parent.path().join("a/b");
    let store = Store::open(Options { directory: directory.clone() }).await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join("plimsoll.db")), 0o600);
        assert_eq!(mode(&directory.join("plimsoll.db-wal")), 0o600);
    }
    store.close().await;
}

#[tokio::test]
async fn a_second_store_in_the_directory_is_refused_until_the_first_is_closed() {
    let made = Made::new().await;
    assert!(matches!(open(&made.directory).await, Err(OpenError::Locked { .. })));
    made.store.close().await;
    made.store.close().await;
    open(&made.directory).await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_clone_gives_the_directory_back() {
    let made = Made::new().await;
    let clone = made.store.clone();
    drop(made.store);
    assert!(matches!(open(&made.directory).await, Err(OpenError::Locked { .. })));
    drop(clone);
    open(&made.directory).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let made = Made::new().await;
    let app = made.app().await;
    made.store.close().await;
    assert!(matches!(made.store.accept(made.claim, vec![message(app)]).await, Err(Error::Closed)));
    assert!(matches!(made.store.fanout_apps(0, page()).await, Err(Error::Closed)));
}

#[tokio::test]
async fn closing_finishes_what_was_begun() {
    let made = Made::new().await;
    let app = made.app().await;
    let calls: Vec<_> = (0..50).map(|_| made.store.accept(made.claim, vec![message(app)])).collect();
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    for call in &mut calls {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    made.store.close().await;
    for call in calls {
        assert_eq!(call.await.unwrap(), [Accepted::Stored]);
    }
}

#[tokio::test]
async fn every_opening_has_an_epoch_of_its_own_and_an_old_claim_is_fenced() {
    let made = Made::new().await;
    let app = made.app().await;
    let old = made.claim;
    let made = made.reopened().await;
    assert!(made.claim.epoch > old.epoch);
    assert_eq!(made.store.claim_of(app), made.claim);
    let refused = made.store.accept(old, vec![message(app)]).await;
    assert!(
        matches!(refused, Err(Error::Fenced { carried, in_force }) if carried == old.epoch && in_force == made.claim.epoch)
    );
    let elsewhere = Claim { shard: 1, ..made.claim };
    assert!(matches!(made.store.record(elsewhere, vec![]).await, Ok(())));
    assert!(matches!(
        made.store.change(elsewhere, vec![Change::DeleteApp { app, at: NOW }]).await,
        Err(Error::Fenced { .. })
    ));
    assert_eq!(made.store.fanout_apps(0, page()).await.unwrap(), [], "nothing of it was written");
}

#[tokio::test]
async fn a_writer_that_lost_its_directory_is_fenced() {
    let made = Made::new().await;
    let app = made.app().await;
    // What a second process does, had it not met the lock.
    let other = rusqlite::Connection::open(made.directory.path().join("plimsoll.db")).unwrap();
    other.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'", []).unwrap();
    assert!(matches!(
        made.store.accept(made.claim, vec![message(app)]).await,
        Err(Error::Fenced { in_force, .. }) if in_force == made.claim.epoch + 1
    ));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let made = Made::new().await;
    made.store.close().await;
    let file = rusqlite::Connection::open(made.directory.path().join("plimsoll.db")).unwrap();
    let newest: u32 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    file.pragma_update(None, "user_version", 9_999).unwrap();
    drop(file);
    let refused = open(&made.directory).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9_999, known, .. } if known == newest), "{refused}");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("plimsoll.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("CREATE TABLE theirs (a)", []).unwrap();
    drop(file);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open(&directory).await, Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(&path, b"this is a text, and a long one, but no file of tables".repeat(100)).unwrap();
    assert!(matches!(open(&directory).await, Err(OpenError::Foreign { .. })));
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_begun_again() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = rusqlite::Connection::open(directory.path().join("plimsoll.db")).unwrap();
    file.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(file);
    open(&directory).await.unwrap();
}

#[tokio::test]
async fn the_file_is_marked_as_ours_and_set_up_for_good() {
    let made = Made::new().await;
    let file = rusqlite::Connection::open(made.directory.path().join("plimsoll.db")).unwrap();
    let pragma = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("application_id"), 0x506C_696D);
    assert!(pragma("user_version") > 0);
    assert_eq!(pragma("page_size"), 4096);
    assert_eq!(pragma("auto_vacuum"), 2, "incremental");
}
