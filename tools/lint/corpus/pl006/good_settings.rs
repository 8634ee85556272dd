//! What the operator set.
pub async fn sync(accounts: Vec<Account>, crm: &Crm, settings: &Settings) {
    stream::iter(accounts)
        .for_each_concurrent(settings.sync_concurrency, |account| crm.push(account))
        .await;
}
