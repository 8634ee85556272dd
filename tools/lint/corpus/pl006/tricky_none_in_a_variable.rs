//! `None`, one line up.
pub async fn sync(accounts: Vec<Account>, crm: &Crm) {
    let limit: Option<usize> = None;
    stream::iter(accounts)
        .for_each_concurrent(limit, |account| crm.push(account)) //~ PL006 medium
        .await;
}
