//! Each page spawns its links, each of which spawns its own.
#[async_recursion]
pub async fn crawl(site: Arc<Site>, url: Url, depth: usize) {
    let page = site.fetch(&url).await;
    for link in page.links() {
        let site = site.clone();
        tokio::spawn(crawl(site, link, depth + 1)); //~ PL003
    }
}
