//! The code of the cookbook's page on caches, as it stands there.

use std::sync::atomic::AtomicU32;

use tokio::time::{advance, sleep};

#[derive(Debug, PartialEq)]
struct Profile(u32);

#[derive(Clone, Copy, Debug, PartialEq)]
struct NoSuchUser;

/// A database that takes 10 ms, and counts how often it is asked.
#[derive(Default)]
struct Database {
    asked: AtomicU32,
    written: AtomicU32,
}

impl Database {
    async fn profile(&self, user: u64) -> Result<Profile, NoSuchUser> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let read = self.written.load(Ordering::SeqCst);
        sleep(Duration::from_millis(10)).await;
        if user == 0 { Err(NoSuchUser) } else { Ok(Profile(read)) }
    }

    async fn rename(&self, _user: u64) {
        self.written.fetch_add(1, Ordering::SeqCst);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

// --- the page's code begins ---
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use plimsoll::singleflight::{Error, Singleflight};

struct Profiles {
    database: Database,
    kept: Cache<u64, Arc<Profile>>,
    loads: Singleflight<u64, Arc<Profile>, NoSuchUser>,
    changes: AtomicU64,
}

impl Profiles {
    fn new(database: Database) -> Result<Self, plimsoll::Invalid> {
        let kept = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build();
        let loads = Singleflight::builder("profile loads")
            .keys_max(500) // loads at once; who asks for one more is rejected
            .negative_for(Duration::from_secs(1)) // "no such user" is not asked again for a second
            .build()?;
        Ok(Self { database, kept, loads, changes: AtomicU64::new(0) })
    }

    async fn get(&self, user: u64) -> Result<Arc<Profile>, Error<NoSuchUser>> {
        if let Some(profile) = self.kept.get(&user).await {
            return Ok(profile);
        }
        self.loads.run(user, || self.load(user)).await
    }

    async fn load(&self, user: u64) -> Result<Arc<Profile>, NoSuchUser> {
        // Another load may have ended between our look into the cache and our turn.
        if let Some(profile) = self.kept.get(&user).await {
            return Ok(profile);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let profile = Arc::new(self.database.profile(user).await?);
        self.kept.insert(user, Arc::clone(&profile)).await;
        // First in, then looked: either we see that something was changed, or the change sees us.
        if self.changes.load(Ordering::SeqCst) != before {
            self.kept.invalidate(&user).await;
        }
        Ok(profile)
    }

    async fn rename(&self, user: u64) {
        self.database.rename(user).await;
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.loads.forget(user); // who asks from now on must not share what was read before
        self.kept.invalidate(&user).await;
    }
}
// --- the page's code ends ---

#[test]
fn the_page_shows_the_code_that_is_tested() {
    let page = include_str!("../../../docs/cookbook/cache.md");
    let shown = page.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    let tested = include_str!("cookbook_cache.rs").split("code begins ---\n").nth(1).unwrap();
    assert_eq!(shown, tested.split("// --- the page").next().unwrap());
}

fn profiles() -> Profiles {
    Profiles::new(Database::default()).expect("its settings are in range")
}

#[tokio::test(start_paused = true)]
async fn a_thousand_misses_of_one_user_ask_the_database_once() {
    let profiles = profiles();
    let gets = futures_util::future::join_all((0..1_000).map(|_| profiles.get(7))).await;
    assert!(gets.iter().all(|got| got.as_deref() == Ok(&Profile(0))));
    assert_eq!(profiles.get(7).await.as_deref(), Ok(&Profile(0)));
    assert_eq!(profiles.database.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_costs_the_others_nothing() {
    let profiles = profiles();
    let hasty = tokio::time::timeout(Duration::from_millis(5), profiles.get(7));
    let (hasty, patient) = tokio::join!(hasty, profiles.get(7));
    assert!(hasty.is_err());
    assert_eq!(patient.as_deref(), Ok(&Profile(0)));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_user_is_asked_for_once_a_second() {
    let profiles = profiles();
    for _ in 0..100 {
        assert_eq!(profiles.get(0).await, Err(Error::Inner(NoSuchUser)));
    }
    assert_eq!(profiles.database.asked(), 1);
    advance(Duration::from_secs(1)).await;
    assert!(profiles.get(0).await.is_err());
    assert_eq!(profiles.database.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_change_is_neither_shared_nor_kept_after_it() {
    let profiles = profiles();
    let change = async {
        sleep(Duration::from_millis(5)).await;
        profiles.rename(7).await;
        profiles.get(7).await
    };
    let (before, after) = tokio::join!(profiles.get(7), change);
    assert_eq!((before.as_deref(), after.as_deref()), (Ok(&Profile(0)), Ok(&Profile(1))));
    assert_eq!(profiles.get(7).await.as_deref(), Ok(&Profile(1)));
}
