//! No `for` in sight: the loop is the iterator's.
use futures::future::join_all;

pub async fn enrich(orders: Vec<Order>, crm: Crm) -> Vec<Order> {
    let handles: Vec<_> = orders
        .into_iter()
        .map(|order| {
            let crm = crm.clone();
            tokio::spawn(async move { crm.enrich(order).await }) //~ PL001 medium
        })
        .collect();
    join_all(handles).await.into_iter().filter_map(Result::ok).collect() //~? PL005
}
