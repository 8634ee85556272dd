//! The fifteen lines of the README, as they stand there.

use plimsoll::{group::Group, keyed::Keyed, semaphore::Semaphore};

async fn fetch(tenant: String) -> Result<(), std::io::Error> {
    assert!(!tenant.is_empty());
    Ok(())
}

async fn refresh(tenants: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    // At most 16 at once for each tenant, and never more than 100,000 tenants remembered.
    let limits = Keyed::builder("tenants", |_: &String| Semaphore::new(16)).keys_max(100_000).build()?;
    // At most 64 tasks; the first error ends the rest; dropping the group ends them all.
    let mut group = Group::builder("refresh").limit(64).build()?;
    for tenant in tenants {
        let permit = limits.try_acquire(&tenant)?; // "tenants acme: 16 of 16 in use, 0 waiting"
        let work = async move {
            let _held = permit;
            fetch(tenant).await
        };
        group.spawn(work).await;
    }
    group.join().await?;
    Ok(())
}

#[tokio::test]
async fn the_fifteen_lines_of_the_readme_run() {
    refresh(vec!["acme".into(); 8]).await.unwrap();
    // Nothing has run yet when the seventeenth of one tenant asks: the first sixteen are held.
    let refused = refresh(vec!["acme".into(); 17]).await.unwrap_err().to_string();
    assert_eq!(refused, "tenants acme: 16 of 16 in use, 0 waiting");
}
