//! Once, at start, for the life of the process.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let metrics = Metrics::install()?;
    tokio::spawn(async move { metrics.push_forever().await });
    server::run().await
}
